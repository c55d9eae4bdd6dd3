"""One more gateway beside that of a running system, on the same log and bus."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from outrider.local.home import Ports
from tests.support.system import System


@contextmanager
def another_gateway(system: System, name: str = "api-2", settings: Mapping[str, str] | None = None) -> Generator[str]:
    """It is ready: its URL. `settings` are its own."""
    elsewhere = replace(system.site, ports=Ports(system.folder / f"{name}.json", usual=False))
    (part,) = elsewhere.services(("api",))
    environment = {**part.environment, "OUTRIDER_PUBLIC_URL": system.url, **(settings or {})}
    system.machine.start(replace(part, name=name, environment=environment))
    try:
        yield elsewhere.url
    finally:
        system.machine.drop(name)
