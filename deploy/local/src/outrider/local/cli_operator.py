# pyright: reportUnknownMemberType=false
# click leaves decorators partly untyped.
"""The operator's half of the command line: what looks after a system that runs, here or in a cluster."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, TypeVar
from uuid import UUID

import rich_click as click

from outrider.local.errors import Failed

if TYPE_CHECKING:  # asyncpg takes a third of a second, and `--help` needs none of it
    from outrider.local.operating import Place

T = TypeVar("T")
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script.")


def done(work: "Callable[[Place], Coroutine[Any, Any, T]]") -> T:
    """Run it on the system at hand; what is wrong is said in one line on standard error, with exit code 2."""
    from outrider.local.operating import Place  # noqa: PLC0415  # see above

    try:
        return asyncio.run(work(Place.of(os.environ)))
    except Failed as failed:
        click.echo(f"failed: {failed}", err=True)
        sys.exit(2)


@click.group()
def account() -> None:
    """Open accounts, and list them.

    `create` asks the HTTP API, with `OUTRIDER_URL` and `OUTRIDER_OPERATOR_TOKEN`; `list` reads
    `OUTRIDER_DATABASE_URL`. What is not set is taken from `.outrider/env` of `outrider up`.
    """


@account.command("create")
@click.argument("name")
@click.option("--monthly-limit", type=click.IntRange(0), help="Messages a calendar month; unlimited without it.")
@as_json_option
def account_create(name: str, monthly_limit: int | None, *, as_json: bool) -> None:
    """Open an account called NAME. Its first API key is shown once, and kept nowhere.

    For example: `outrider account create "Example Ltd" --monthly-limit 10000`
    """
    from outrider.local import accounts, operating  # noqa: PLC0415  # `--help` needs none of it

    opened = done(partial(accounts.create, name=name, monthly_limit=monthly_limit))
    if as_json:
        operating.print_json(opened)
        return
    key = opened["api_key"]
    click.echo(f"account  {opened['id']}  {opened['name']}")
    click.echo(f"key      {key['plaintext'] if isinstance(key, dict) else key}  (shown this once)")


@account.command("list")
@as_json_option
def account_list(*, as_json: bool) -> None:
    """List every account, the oldest first: its plan, what it sent this month, how many keys open it."""
    from outrider.local import accounts, operating  # noqa: PLC0415  # as above

    rows = done(accounts.accounts)
    operating.show(rows, accounts.COLUMNS, as_json=as_json, none="no account yet: `outrider account create NAME`")


@click.group()
def dead() -> None:
    """See what was given up, and have it tried again.

    A to-do (plan a batch, send a step, stop an enrollment ...) that fails 20 times is dead: nothing carries it out any
    more until somebody looks. Find the cause in `error` and in the log of its service, repair it, then `retry`.

    Reads `OUTRIDER_DATABASE_URL` (the owner's), else `.outrider/env` of `outrider up`.
    """


@dead.command("list")
@as_json_option
def dead_list(*, as_json: bool) -> None:
    """List dead to-dos, the one that died first first. Exit code 1 if there are any."""
    from outrider.local import dead as dead_todos  # noqa: PLC0415  # as above
    from outrider.local import operating  # noqa: PLC0415

    rows = done(dead_todos.dead)
    operating.show(rows, dead_todos.COLUMNS, as_json=as_json, none="nothing is dead")
    sys.exit(1 if rows else 0)


@dead.command("retry")
@click.argument("kind", required=False)
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "every", is_flag=True, help="All of them, of every kind.")
@as_json_option
def dead_retry(kind: str | None, keys: tuple[str, ...], *, every: bool, as_json: bool) -> None:
    """Give dead to-dos another 20 tries, beginning at once.

    All of one KIND, or only those with these KEYs, as `dead list` shows them. It is safe: every to-do may run twice.

    For example: `outrider dead retry plan_batch`, `outrider dead retry --all`
    """
    from outrider.local import dead as dead_todos  # noqa: PLC0415  # as above
    from outrider.local import operating  # noqa: PLC0415

    if every == (kind is not None):
        raise click.UsageError("Name a KIND (and KEYs), or say --all.")
    count = done(partial(dead_todos.retry, kind=kind, keys=keys))
    if as_json:
        operating.print_json({"retried": count})
    else:
        click.echo(f"{count} to be tried again" if count else "nothing of that is dead: see `outrider dead list`")


@click.command()
@click.option("--contains", "text", required=True, metavar="TEXT", help="What to look for, in any case.")
@as_json_option
def audit(text: str, *, as_json: bool) -> None:
    """Say where TEXT stands: table, column (with the path inside JSON) and key. To prove that a person is gone.

    Looks at every column of every table of every schema, the log of events, commands and the vault included, and at
    the log files of this machine's processes. Case does not matter. It cannot look into what is sealed (mail
    passwords), into backups, into the mail sandbox, nor into pages that Postgres has not vacuumed yet.

    The exit code is 0 if TEXT stands nowhere, else 1.

    For example: `outrider audit --contains ada@example.com`
    """
    from outrider.local import audit as auditing  # noqa: PLC0415  # as above
    from outrider.local import operating  # noqa: PLC0415

    if not text.strip():
        raise click.UsageError("TEXT is empty: that stands everywhere.")
    rows = done(partial(auditing.audit, text=text))
    operating.show(rows, auditing.COLUMNS, as_json=as_json, none="it stands nowhere")
    sys.exit(1 if rows else 0)


@click.command()
@as_json_option
def doctor(*, as_json: bool) -> None:
    """Look at everything that can be wrong, and say what to do about it.

    Processes and ports, disk, the database and its durability, clock skew, how far each reader is behind (events and
    seconds), commands that nobody decides, dead to-dos; what each database role may do and must not; the streams of
    NATS (`OUTRIDER_NATS_URL`); DNS and certificates of the API (`OUTRIDER_URL`) and of tracking
    (`OUTRIDER_PUBLIC_URL`); and of each domain that mail is sent from MX, SPF, DMARC, and DKIM where it is signed here
    (`OUTRIDER_DNS`). What is not named is not looked at. Processes, ports and disk only where `outrider up` runs.

    The exit code is 1 if anything is `bad`.
    """
    from outrider.local import doctor as doctors  # noqa: PLC0415  # as above
    from outrider.local import finding, operating  # noqa: PLC0415

    rows = done(partial(doctors.examine, environment=os.environ))
    operating.show(rows, doctors.COLUMNS, as_json=as_json, none="")
    sys.exit(1 if any(row["state"] == finding.BAD for row in rows) else 0)


@click.command()
@click.argument("name")
@as_json_option
def rebuild(name: str, *, as_json: bool) -> None:
    """Make the tables of the projection NAME anew from the log, beside the live ones, and put them in their place.

    NAME is `api.v1`, `dispatcher.facts.v1`, `sender.sending.v1` or `reply_watcher.watching.v1`. For tables that a bug
    or a restored backup made wrong, once the code is right. Services run on without a restart, and their reader is held
    for milliseconds at the end. It can be ended at any time (Ctrl-C) and begun again: until the swap nothing changes.
    To-dos and cursors (schemas `..._work`) are no projections, and are never rebuilt.

    Works on `OUTRIDER_DATABASE_URL` (the owner's), else on what `outrider up` runs here.
    """
    from outrider.local import operating  # noqa: PLC0415  # as above
    from outrider.local import rebuild as rebuilding  # noqa: PLC0415

    with operating.progress(shown=not as_json) as tell:
        figures = done(partial(rebuilding.rebuild, name=name, tell=partial(tell, name)))
    if as_json:
        operating.print_json(figures)
        return
    click.echo(f"rebuilt {name}: {figures['events']} events in {figures['seconds']} s")
    click.echo(f"its reader was held for {figures['held_seconds']} s")


@click.command()
@click.argument("name")
@click.option("--ranges", type=click.IntRange(1, 64), required=True, help="Into how many; 1 makes it whole again.")
@as_json_option
def split(name: str, ranges: int, *, as_json: bool) -> None:
    """Split the reader NAME into shard ranges, so that replicas of its service apply events side by side.

    For a reader that one replica can no longer keep up to date (`outrider doctor` says how far each is behind). An
    account lies in one range, so the order of its events is kept. Services run on: each replica takes whichever range
    is furthest behind and not taken. Have as many replicas as ranges. A reader that is split already is brought to one
    position first; while that is done, for two seconds at most, nothing is appended to the log.

    For example: `outrider split api.v1 --ranges 2`, and back: `outrider split api.v1 --ranges 1`
    """
    from outrider.local import operating, splitting  # noqa: PLC0415  # as above

    figures = done(partial(splitting.split, name=name, ranges=ranges))
    if as_json:
        operating.print_json(figures)
        return
    click.echo(f"{name} is read in {ranges} range{'s' if ranges > 1 else ''} from {figures['position']} on")


@click.command()
@click.option(
    "--mailed",
    type=click.File(encoding="utf-8", errors="replace"),
    multiple=True,
    metavar="FILE",
    help="Lines of a mail server's log: each of our Message-IDs in them was mailed. May be given several times.",
)
@click.option("--without-events", is_flag=True, help="Bring nothing back from NATS, and leave what it has alone.")
@as_json_option
def restore(mailed: tuple[TextIO, ...], *, without_events: bool, as_json: bool) -> None:
    """Make a restored backup of Postgres fit to be gone on with, before any service starts.

    Brings back what the stream EVENTS of NATS has recorded since the backup, begins a new epoch, purges the commands
    that were told, and pauses every active campaign. Steps that were due and whose outcome nobody knows count as sent,
    and are listed as unknown (`GET /sends?state=unknown`). Not so with `--mailed`: those in FILE were sent, and the
    others go out when their campaign is resumed. So FILE has to be the whole log of that time. The whole procedure
    stands in docs/operations.md, "Restore".

    Needs `OUTRIDER_DATABASE_URL` (the owner's), `OUTRIDER_NATS_URL`, `OUTRIDER_ROLE_PASSWORD_DISPATCHER` and
    `..._SENDER`, and with `--mailed` `OUTRIDER_HASH_KEY`. It can be ended at any time and run again.

    For example: `outrider restore --mailed mail.log`
    """
    from outrider.local import operating, restoring  # noqa: PLC0415  # as above

    lines = [line for file in mailed for line in file] if mailed else None
    with operating.progress(shown=not as_json) as tell:
        work = partial(restoring.restore, environment=os.environ, mailed=lines, tell=tell, leave=without_events)
        figures = done(work)
    if as_json:
        operating.print_json(figures)
        return
    for name, value in figures.items():
        click.echo(f"{name.replace('_', ' ')}: {operating.in_words(value)}")
    click.echo("Now start the services, look at GET /sends?state=unknown, and resume campaign by campaign.")


@click.group()
def subscriber() -> None:
    """Let programs of other people read their account's events from NATS: docs/subscribing.md."""


@subscriber.command("create")
@click.argument("name")
@click.argument("account_id", type=click.UUID, metavar="ACCOUNT")
@click.option("--nats-url", help="nats-server, as the services' user; else OUTRIDER_NATS_URL, else .outrider/env.")
def subscriber_create(name: str, account_id: UUID, nats_url: str | None) -> None:
    """Make the durable consumer NAME, which holds every event of ACCOUNT from the oldest that NATS keeps.

    Whoever may read it stands in nats-server's configuration (deploy/nats/accounts.conf). Made again it goes on where
    it is; for another account it has to be deleted first.

    For example: `outrider subscriber create crm 0190b7a4-0000-7000-8000-000000000001`
    """
    from outrider.events.streams import declare_subscriber  # noqa: PLC0415  # `--help` needs none of it
    from outrider.local import operating  # noqa: PLC0415

    try:
        asyncio.run(declare_subscriber(nats_url or operating.nats_url(os.environ), name, account_id))
    except Exception as error:  # noqa: BLE001  # nats-py's own, of many kinds
        click.echo(f"failed: {error}", err=True)
        sys.exit(2)
    click.echo(f"{name} holds the events of {account_id}")


COMMANDS = (account, dead, audit, doctor, rebuild, split, restore, subscriber)
