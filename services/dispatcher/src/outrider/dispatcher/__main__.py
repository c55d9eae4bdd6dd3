"""The dispatcher: decides, plans and schedules. ``python -m outrider.dispatcher``."""

from functools import partial

from outrider.dispatcher.desk import Desk
from outrider.dispatcher.draining import drains
from outrider.dispatcher.handlers import handlers
from outrider.dispatcher.mx import MxResolver
from outrider.dispatcher.projections import facts
from outrider.dispatcher.quota_use import measure_quota
from outrider.dispatcher.todos import todos
from outrider.events.service import Service, main


async def build(service: Service) -> None:
    """Two readers, the to-dos that they lead to, and the commands."""
    facts_reader = service.read(facts)
    todos_reader = service.read(todos, work=True)
    desk = Desk(service.log, service.clock, service.log_pool, service.tables, service.work, facts_reader, todos_reader)
    every = drains(desk, service.bus, MxResolver(service.settings.dns))
    for drain in every:
        service.drain(drain, todos_reader)
    service.figures.append(partial(measure_quota, desk))
    service.bus.serve("dispatcher", handlers(desk, {drain.kind: drain for drain in every}), facts_reader.reach)


if __name__ == "__main__":
    main("dispatcher", build)
