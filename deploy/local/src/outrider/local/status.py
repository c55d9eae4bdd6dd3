"""What runs on this machine's data, and how it fares."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from outrider.local.home import Home, Ports
from outrider.local.services import SANDBOX, SERVICES
from outrider.local.serving import OK, call, command_line

SERVERS = ("postgres", "nats", SANDBOX)
SILENT = {"status", "readers", "todos"}
"""What health says that is no note: figures belong to metrics."""


@dataclass(frozen=True)
class Status:
    """One process."""

    name: str
    pid: int | None
    """None while it does not run."""
    state: str
    """`down`, `running` (nobody can be asked), `ready`, `not ready`."""
    note: str
    """What it says of itself, what keeps it from being ready for one."""


def statuses(home: Home) -> Iterator[Status]:
    """Look at every process that a runner would start."""
    ports = Ports(home.path / "ports.json")
    for name in (*SERVERS, *SERVICES):
        pid = None
        with suppress(OSError, ValueError):
            pid = int((home.pids / f"{name}.pid").read_text())
        if pid is None or not command_line(pid):
            yield Status(name, None, "down", "")
        elif name == "postgres":
            yield Status(name, pid, "running", "")
        else:
            yield Status(name, pid, *_asked(name, ports))


def _asked(name: str, ports: Ports) -> tuple[str, str]:
    place = {"nats": ("nats monitor", "/healthz"), SANDBOX: (SANDBOX, "/health")}
    port_name, path = place.get(name, (f"{name} health", "/health/ready"))
    try:
        status, body = call(ports[port_name], "GET", path)
    except KeyError:
        return "running", ""
    note = ""
    with suppress(ValueError):
        told: object = json.loads(body)
        if isinstance(told, dict):
            said = {key: value for key, value in cast("dict[str, object]", told).items() if value and key not in SILENT}
            note = ", ".join(f"{key}: {json.dumps(value)}" for key, value in said.items())
    return ("ready" if status == OK else "not ready"), note
