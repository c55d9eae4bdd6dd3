"""One process of the machine: how it starts, how it says that it is ready, what an earlier run may have left of it."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from outrider.local.leash import tied

PREFIX = "OUTRIDER_"
LOG_BYTES = 10_000_000
OK = 200


class Process(Protocol):
    """What this module starts, and what anything else starts in its place."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    def poll(self) -> int | None:
        """Answer the exit code, or minus the signal that ended it; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Answer the same once it has ended. Raises subprocess.TimeoutExpired."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """It gets the signal, unless it has ended."""
        ...

    def kill(self) -> None:
        """It gets SIGKILL, unless it has ended."""
        ...


@dataclass(frozen=True)
class Identity:
    """As whom a process runs: a command in front of its own, or another uid and gid; by default as we do."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None


@dataclass(frozen=True)
class Part:
    """A process to run. `environment` holds every OUTRIDER_ variable it gets; all others are inherited."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[int], bool]
    """Asked with the process id, again and again until it says yes; never raises."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_signal: int = signal.SIGTERM
    """Asks for an orderly end."""
    orphan_signal: int = signal.SIGKILL
    """Ends it when the runner was killed: a service learns nothing from a warning, its database is going too."""
    who: Identity = Identity()


def launch(part: Part, log: Path) -> Process:
    """Start it, with both outputs appended to the log, and return at once. Only from the main thread: see `tied`."""
    with suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as out:
        return subprocess.Popen(
            [*part.who.prefix, *part.command],
            env=environment(part),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            user=part.who.user,
            group=part.who.group,
            extra_groups=None if part.who.user is None else [],
            start_new_session=True,  # Ctrl-C reaches the runner alone: it stops everything in order
            preexec_fn=tied(part.orphan_signal),  # noqa: PLW1509  # the runner has no other thread
        )


def environment(part: Part) -> dict[str, str]:
    """Answer every variable that it starts with."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return inherited | {"PYTHONUNBUFFERED": "1"} | dict(part.environment)


def answers(port: int, path: str) -> Callable[[int], bool]:
    """Make a `Part.ready`: a GET on this loopback port is answered with 200. No proxy of the environment is asked."""

    def ready(_: int) -> bool:
        return call(port, "GET", path)[0] == OK

    return ready


def call(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None
) -> tuple[int, bytes]:
    """Answer status and body of a request on loopback; status 0 if nobody answers within ten seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def command_line(pid: int) -> str:
    """Answer what a process was started with; empty once it ended, also where nobody collects it (no init)."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    ps = subprocess.run(["/bin/ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, check=False)
    said = ps.stdout.decode(errors="replace").strip()
    return "" if said.startswith("Z") else said


def end_stray(pidfile: Path, mark: str, number: int = signal.SIGINT) -> None:
    """End what a killed runner left on these data, if anything: the mark is part of its command line.

    Waits up to ten seconds for an orderly end, then kills.
    """
    with suppress(OSError, ValueError, IndexError):
        pid = int(pidfile.read_text().split()[0])
        deadline = time.monotonic() + 10
        while mark in command_line(pid):
            os.kill(pid, number if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.1)
