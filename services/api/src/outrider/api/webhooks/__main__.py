"""The webhooks process of the api service: ``python -m outrider.api.webhooks``, in any number of replicas."""

from functools import partial

from outrider.api.projections import tables
from outrider.api.public_events import Showing
from outrider.api.webhooks.deliveries import KIND, deliveries
from outrider.api.webhooks.delivering import CLAIMED, LEASE_SECONDS, Delivering
from outrider.api.webhooks.lateness import measure_lateness
from outrider.api.webhooks.posting import Poster
from outrider.events.drain import Drain
from outrider.events.service import Service, main
from outrider.events.tokens import Keyring
from outrider.events.vault import Opener


async def build(service: Service) -> None:
    """The tables of the api, which events are shown with, and the to-dos of deliveries."""
    settings = service.settings
    if not settings.webhook_seal_private_key:
        raise LookupError("OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY is missing")
    reader, filled = service.read(tables), service.read(deliveries, work=True)
    delivering = Delivering(
        service.log,
        Showing(service.log_pool, service.tables, Keyring.parse(settings.hash_key)),
        service.work,
        Opener(settings.webhook_seal_private_key),
        Poster(inside=settings.allow_insecure_hosts, trust_ca=settings.trust_ca),
        service.clock,
        reader.reach,
    )
    drain = Drain(
        KIND,
        delivering.begin,
        service.work,
        service.clock,
        batch=CLAIMED,
        lease_seconds=LEASE_SECONDS,
        again_seconds=LEASE_SECONDS,
        lanes=delivering.lanes,
    )
    delivering.then.append(service.drain(drain, filled).ring)
    service.loops.append(delivering.sweep_for_ever)
    service.figures.append(partial(measure_lateness, service.work, service.clock))
    service.stopping.append(delivering.stop)


if __name__ == "__main__":
    main("webhooks", build, member="api")
