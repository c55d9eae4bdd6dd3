"""What the operator's commands share: where the system is, and how an answer is shown to a person or a script."""

import json
import shlex
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from outrider.events.database import Pool, connect
from outrider.events.errors import Unavailable
from outrider.local.errors import Failed
from outrider.local.home import Home

WIDE = 200
"""Columns of a table that goes to no terminal: nothing is cut off in a file or a pipe."""


@dataclass(frozen=True)
class Place:
    """One system, as an operator reaches it."""

    home: Home
    database_url: str = field(repr=False)
    """Of the owner of all schemas."""
    url: str
    """Of the HTTP API; empty where nobody said."""
    operator_token: str = field(repr=False)
    nats_url: str = field(repr=False, default="")
    """As the services' user; empty where nobody said."""
    facts: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])
    """What the runner wrote for shells, where it runs here."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
        """The system that the environment names, else the one that runs on this folder. Raises Failed."""
        home = Home.of(environment)
        known = {**_facts(home), **environment}
        if not known.get("OUTRIDER_DATABASE_URL"):
            raise Failed(
                f"OUTRIDER_DATABASE_URL is not set, and {home.env} is not there: `outrider up` on this machine, "
                "or the URL of the database's owner in a cluster"
            )
        return cls(
            home,
            known["OUTRIDER_DATABASE_URL"],
            known.get("OUTRIDER_URL", ""),
            known.get("OUTRIDER_OPERATOR_TOKEN", ""),
            known.get("OUTRIDER_NATS_URL", ""),
            _facts(home),
        )

    def database(self, *schemas: str, size: int = 2) -> AbstractAsyncContextManager[Pool]:
        """Connect as the owner for the block. Raises Failed where nobody answers, or `migrate` has not run."""
        return _connected(self.database_url, schemas, size)


def nats_url(environment: Mapping[str, str]) -> str:
    """The services' nats-server, of the environment, else the one that runs on this folder. Raises Failed."""
    home = Home.of(environment)
    known = {**_facts(home), **environment}
    if not known.get("OUTRIDER_NATS_URL"):
        raise Failed(f"OUTRIDER_NATS_URL is not set, and {home.env} is not there")
    return known["OUTRIDER_NATS_URL"]


def _facts(home: Home) -> Mapping[str, str]:
    """Answer what the runner wrote for shells; nothing where it never ran."""
    if not home.env.exists():
        return {}
    words = shlex.split(home.env.read_text(encoding="utf-8"))
    return {name: value for name, _, value in (word.partition("=") for word in words)}


@asynccontextmanager
async def _connected(url: str, schemas: Sequence[str], size: int) -> AsyncGenerator[Pool]:
    try:
        pool = await connect(url, *(schemas or ["log"]), name="outrider-operator", size=size)
    except Unavailable as error:
        raise Failed(f"the database does not answer: {error}") from error
    except ValueError as error:
        raise Failed(f"OUTRIDER_DATABASE_URL is no URL of a database: {error}") from error
    try:
        if await pool.fetchval("select to_regclass('log.events') is null"):
            raise Failed("this database has no log: `outrider migrate` makes it")
        yield pool
    finally:
        pool.terminate()


def show(rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, none: str) -> None:
    """Print the rows: a JSON array for a script, a table for a person, who is told `none` where there are none."""
    if as_json:
        print_json([{name: row.get(name) for name in columns} for row in rows])
        return
    if not rows:
        sys.stdout.write(f"{none}\n")
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in columns))
    console().print(table)


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False) + "\n")


def console() -> Console:
    """Answer where tables go; a pipe gets whole lines."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def progress(*, shown: bool) -> Generator[Callable[[str, int, int], None]]:
    """Give the block somebody to tell of what it goes through, how far it is, of how many: a bar for each."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(), disable=not shown) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=None)
            bars.update(tasks[what], completed=done, total=total)

        yield tell


def in_words(value: object) -> str:
    """Answer a figure as a person reads it."""
    match value:
        case dict():
            return ", ".join(f"{count} {what}" for what, count in value.items()) or "none"  # pyright: ignore[reportUnknownVariableType]
        case list():
            return " ".join(map(str, value)) or "none"  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case _:
            return _cell(value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value).__name__)
