"""`outrider up`: everything Outrider needs on one machine, in the foreground, until it is asked to end."""

import asyncio
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from outrider.local import nats, postgres
from outrider.local.account import api_key
from outrider.local.errors import Failed
from outrider.local.home import Home, Ports, write_private
from outrider.local.keys import Keys
from outrider.local.machine import Machine
from outrider.local.services import Site, end_strays, wishes

POSTGRES = ("max_connections=200", "jit=off")  # all else as Postgres has it: every commit is on the disk
LOOK_SECONDS = 0.2
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    home: Home,
    environment: Mapping[str, str],
    services: Sequence[str],
    *,
    with_parent: bool = False,
) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP, then stop all in order; answers the exit code.

    The last line printed is `failed: <why>` if it could not start. `with_parent` ends it too when the process that
    started it is gone: a killed `make` tells nobody.
    """
    parent = os.getppid() if with_parent else None
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:  # nohup stays nohup
            signal.signal(number, _interrupt)
    try:
        with home.locked():
            return _run(home, environment, services, parent)
    except Failed as error:
        why = str(error)
    except OSError as error:
        why = f"{error.strerror}: {error.filename}" if error.filename else str(error)
    except KeyboardInterrupt:
        return 0
    say(f"failed: {' '.join(why.split())}")
    return 1


def _run(home: Home, environment: Mapping[str, str], services: Sequence[str], parent: int | None) -> int:
    machine = Machine(home.logs, home.pids, say)
    try:
        _begin(home, machine, environment, services)
        while parent in {None, os.getppid()}:
            machine.mend()
            time.sleep(LOOK_SECONDS)
        say("what started the runner is gone: stopping")
    except KeyboardInterrupt:
        say("stopping")
    except (Failed, OSError):
        raise
    except Exception as error:
        log = home.logs / "up.log"
        log.write_text(traceback.format_exc())
        raise Failed(f"{type(error).__name__}: {error} (see {log})") from error
    finally:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)  # it is stopping, and will be done soon
        machine.stop()
    say("stopped; all data are kept")
    return 0


def _begin(home: Home, machine: Machine, environment: Mapping[str, str], services: Sequence[str]) -> None:
    """Everything runs, and whoever waits has been told. Raises Failed."""
    end_strays(home.pids)
    ports = Ports(home.path / "ports.json")
    database, database_url = postgres.part(home.path / "postgres", ports, *POSTGRES)
    bus, nats_url = nats.part(home.path / "nats", ports)
    site = Site(
        database_url=database_url,
        nats_url=nats_url,
        keys=Keys.kept(home.path / "keys.json"),
        ports=ports,
        sandbox_home=home.path / "sandbox",
        settings=wishes(environment),
        clock=_clock(home.path / "clock", environment),
    )
    say(f"starting in {home.path}")
    machine.start(database, bus)
    prepare(site)
    write_private(home.path / "clock", site.clock)
    if services:
        machine.start(site.sandbox())
        machine.start(*site.services(services))
    facts = _facts(home, site, services)
    write_private(home.env, "".join(f"{name}={shlex.quote(value)}\n" for name, value in facts.items()))
    _welcome(home, site, facts)


def prepare(site: Site) -> None:
    """The database has its tables and roles, the bus its streams. Raises Failed."""
    from outrider.events.bus import declare  # noqa: PLC0415  # half a second, while the servers start
    from outrider.events.database import migrate  # noqa: PLC0415

    async def both() -> None:
        await migrate(site.database_url, site.keys.passwords, site.clock or None)
        await declare(site.nats_url)

    try:
        asyncio.run(both())
    except ValueError as error:  # other data than these: migrate says what is wrong with them
        raise Failed(str(error)) from error


def _clock(file: Path, environment: Mapping[str, str]) -> str:
    """The clock that was asked for, else the one these data were begun with."""
    return environment.get("OUTRIDER_CLOCK") or (file.read_text(encoding="utf-8") if file.exists() else "")


def _facts(home: Home, site: Site, services: Sequence[str]) -> dict[str, str]:
    """What a client wants to know, by the name it has in the env file."""
    facts = {
        "OUTRIDER_OPERATOR_TOKEN": site.keys.operator_token,
        "OUTRIDER_NATS_URL": site.nats_url,
        "OUTRIDER_DATABASE_URL": site.database_url,
    }
    if services:
        facts["OUTRIDER_SMTP_PORT"] = str(site.ports["smtp"])
        facts["OUTRIDER_IMAP_PORT"] = str(site.ports["imap"])
        facts["OUTRIDER_SANDBOX_URL"] = site.sandbox_url
    if "api" in services:
        port = int(site.url.rpartition(":")[2])
        key = api_key(home.path / "account.json", port, site.keys.operator_token)
        facts = {"OUTRIDER_URL": site.url, "OUTRIDER_API_KEY": key, **facts}
    return facts


def _welcome(home: Home, site: Site, facts: Mapping[str, str]) -> None:
    """Print where everything is, then the line that scripts wait for."""
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "HTTP API": facts.get("OUTRIDER_URL"),
        "Mail sandbox": facts.get("OUTRIDER_SANDBOX_URL"),
        "SMTP, IMAP": facts.get("OUTRIDER_SMTP_PORT") and f"127.0.0.1:{site.ports['smtp']}, :{site.ports['imap']}",
        "Postgres": f"127.0.0.1:{site.ports['postgres']}",
        "NATS": f"127.0.0.1:{site.ports['nats']}",
        "Clock": site.clock or "real time",
        "Logs": f"{home.logs}/",
        "For a shell": f"set -a; . {shlex.quote(str(home.env))}; set +a",
    }
    for name, where in rows.items():
        if where:
            table.add_row(name, where)
    Console(file=sys.stdout, soft_wrap=True, highlight=False).print(table)
    say(f"ready: {facts.get('OUTRIDER_URL', site.nats_url.rpartition('@')[2])}")


def say(line: str) -> None:
    """Print one line now: whoever reads the other end of a pipe waits for it."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads any more, and that is no reason to stop sending mail
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # for the rest of the process


def _interrupt(_: int, __: FrameType | None) -> None:
    """Leave whatever is going on; asyncio lets only this exception and SystemExit through."""
    raise KeyboardInterrupt
