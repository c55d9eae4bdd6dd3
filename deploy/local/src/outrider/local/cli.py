"""The command line `outrider`."""

import asyncio
import os
import signal
import sys
import time

import rich_click as click
from rich.console import Console
from rich.table import Table

from outrider.local import cli_operator, cli_secrets
from outrider.local.home import Home

DOWN_SECONDS = 30.0
LOOK_SECONDS = 0.05


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Outrider: multi-step e-mail outreach over your own mail accounts.

    On one machine: `up`, then `status`, then `down`. In a cluster: `migrate` before a new version starts.

    To look after either: `doctor` first; `account`, `dead`, `audit`, `rebuild`.

    All data of one machine lie in `.outrider/`, or where `OUTRIDER_HOME` says.
    """


@main.command()
@click.option("--servers-only", is_flag=True, help="Postgres and NATS alone: to restore a backup.")  # pyright: ignore[reportUnknownMemberType]  # click leaves a callback untyped
@click.option("--with-parent", is_flag=True, hidden=True, help="End when the process that started it is gone.")  # pyright: ignore[reportUnknownMemberType]  # as above
def up(*, servers_only: bool, with_parent: bool) -> None:
    """Run everything on this machine until Ctrl-C.

    Starts Postgres, NATS, a mail sandbox and the four services, and prints `ready: <address of the API>`.
    What a client needs stands in `.outrider/env`, to be sourced by a shell. Ports that are taken are replaced by
    free ones and remembered. A process that ends is started again. The data are kept: the next `up` goes on
    where this one ended, even after a power cut.

    `OUTRIDER_*` settings of your own win over the defaults, for instance:

    - `OUTRIDER_LISTEN=127.0.0.1:9000` for the API's address,

    - `OUTRIDER_RATE_LIMIT_PER_MINUTE=600` to have the limit that production has,

    - `OUTRIDER_CLOCK=2026-01-05T08:00:00Z@3600` for new data on which an hour takes a second.
    """
    from outrider.local import runner  # noqa: PLC0415  # `status` and `down` need none of it
    from outrider.local.services import SERVICES  # noqa: PLC0415

    services = () if servers_only else SERVICES
    sys.exit(runner.up(Home.of(os.environ), os.environ, services, with_parent=with_parent))


@main.command()
def down() -> None:
    """End what `up` started, from another terminal.

    Asks the runner to stop everything in order and waits until it has. It is no error if nothing runs.
    """
    home = Home.of(os.environ)
    pid = home.runner()
    if pid is None:
        click.echo(f"nothing runs on {home.path}")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while home.runner() == pid:
        if time.monotonic() > deadline:
            click.echo(f"failed: process {pid} did not end within {DOWN_SECONDS:g} s")
            sys.exit(1)
        time.sleep(LOOK_SECONDS)
    click.echo("stopped; all data are kept")


@main.command()
def status() -> None:
    """Show every process of this machine: its id, whether it is ready, what it says of itself.

    The exit code is 0 if all are ready (or running, where nobody can be asked), else 1.
    """
    from outrider.local.status import statuses  # noqa: PLC0415  # as above

    found = list(statuses(Home.of(os.environ)))
    table = Table("process", "pid", "state", "says", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.name, str(one.pid or ""), one.state, one.note)
    Console(soft_wrap=True, highlight=False).print(table)
    sys.exit(0 if all(one.state in {"ready", "running"} for one in found) else 1)


@main.command()
def migrate() -> None:
    """Bring a database, and the streams of NATS, to this version. `up` does it by itself.

    For clusters: run it once before the services of a new version start; again it changes nothing. Reads:

    - `OUTRIDER_DATABASE_URL`: as whom tables and roles are created, an owner who may create roles,

    - `OUTRIDER_ROLE_PASSWORD_API`, `..._DISPATCHER`, `..._SENDER`, `..._REPLY_WATCHER`: the passwords of the four
    login roles; a role without one keeps the password it has,

    - `OUTRIDER_NATS_URL`: whose streams are to be declared; without it they are left alone,

    - `OUTRIDER_CLOCK`: for tests alone, a clock of its own for data that are new.
    """
    from outrider.events.bus import declare  # noqa: PLC0415  # as above
    from outrider.events.database import ROLES  # noqa: PLC0415
    from outrider.events.database import migrate as migrate_database  # noqa: PLC0415

    try:
        database_url = os.environ["OUTRIDER_DATABASE_URL"]
        given = {
            role: os.environ.get(role.replace("outrider_", "OUTRIDER_ROLE_PASSWORD_", 1).upper()) for role in ROLES
        }
        passwords = {role: password for role, password in given.items() if password}
        asyncio.run(migrate_database(database_url, passwords, os.environ.get("OUTRIDER_CLOCK")))
        if nats_url := os.environ.get("OUTRIDER_NATS_URL"):
            asyncio.run(declare(nats_url))
    except KeyError as missing:
        click.echo(f"failed: {missing.args[0]} is not set")
        sys.exit(1)
    except (OSError, ValueError) as error:
        click.echo(f"failed: {error}")
        sys.exit(1)
    click.echo("migrated")


@main.command()
def demo() -> None:
    """Run a whole campaign on this machine in about a minute, and hold its statistics against the mail sandbox.

    Uses data of its own and a clock that runs fast. The last line is one JSON object with the figures; the exit code
    is 0 if every single message agrees.
    """
    from outrider.local.demo import main as run_demo  # noqa: PLC0415  # as above

    sys.exit(run_demo())


for command in (*cli_operator.COMMANDS, *cli_secrets.COMMANDS):
    main.add_command(command)
