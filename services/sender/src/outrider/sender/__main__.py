"""The sender as a process: ``python -m outrider.sender``."""

from outrider.events.delivery import SendStep
from outrider.events.service import Service, main
from outrider.events.todo import Drain, Todo, each
from outrider.sender.handlers import Sending
from outrider.sender.letters import Letters
from outrider.sender.projections import sending as gates
from outrider.sender.settling import KIND, of, settling

WORKERS = 64


async def build(service: Service) -> None:
    """One projection, one kind of job, one kind of to-do."""
    reader = service.read(gates)
    settled = service.read(settling(service.clock, service.settings.settle_seconds), work=True)
    letters = Letters(service.settings, service.log_pool, service.tables)
    sending = Sending(service.log, service.log_pool, service.tables, service.clock, letters, reader.reach)

    async def settle(todo: Todo) -> None:
        await sending.settle_started(todo.account_id, *of(todo))

    service.bus.take("sender", SendStep, sending.send_step, WORKERS)
    service.drain(Drain(KIND, each(settle), service.work, service.clock), settled)
    service.stopping.append(sending.stop)


if __name__ == "__main__":
    main("sender", build)
