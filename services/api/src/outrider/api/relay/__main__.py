"""The relay of the api service: ``python -m outrider.api.relay``; of several replicas one is at work."""

from outrider.api.relay.relaying import Relay
from outrider.events.publication import Publication
from outrider.events.service import Service, main


async def build(service: Service) -> None:
    """One loop from the log to the stream EVENTS, woken by the bell."""
    publication = Publication(lambda: service.bus.broker.connection, service.settings.nats_url)
    relay = Relay(service.log, service.log_pool, publication)
    service.bus.on_ring(relay.ring)
    service.loops.append(relay.run)
    service.figures.append(relay.measure)
    service.stopping.append(relay.stop)


if __name__ == "__main__":
    main("relay", build, member="api")
