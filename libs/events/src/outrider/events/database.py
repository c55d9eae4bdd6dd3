"""Postgres as the rest of the code sees it, and its migrations. The only module that imports asyncpg."""

import asyncio
import hashlib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Protocol, cast

import asyncpg
from pydantic_core import from_json, to_json

from outrider.events.errors import Unavailable

Row = Mapping[str, Any]
"""One row by column name; `jsonb` columns are JSON types."""

DISCONNECTED: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # a connection that is lost in mid-query may confuse the driver
    OSError,
    Unavailable,
)
"""What a restart of Postgres looks like from here: come again later."""
DOUBTFUL: tuple[type[Exception], ...] = (asyncpg.InterfaceError, OSError)
"""Those of them that a mistake of the caller looks like too: an argument too many, a file that is not there."""
PASSING: tuple[type[Exception], ...] = (
    *DISCONNECTED,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,  # deadlocks: a reader and a drain lock the same rows in different orders
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby that is not promoted yet
    asyncpg.InvalidCachedStatementError,  # a migration ran meanwhile
)
UniqueViolation: type[Exception] = asyncpg.UniqueViolationError
Forbidden: type[Exception] = asyncpg.InsufficientPrivilegeError
MIGRATION_LOCK = 6091845622
ROLES = ("outrider_api", "outrider_dispatcher", "outrider_sender", "outrider_reply_watcher")


def passing(error: BaseException) -> bool:
    """Whether the same thing may go well when it is tried again later: nobody made a mistake, nothing was recorded."""
    return isinstance(error, PASSING) and not isinstance(error, ValueError)  # ValueError: an address that is none


def heed_cancellation() -> None:
    """Raise CancelledError where this task was cancelled: the driver may hide that behind an error of its own.

    Whoever goes on after an error calls it first; or he would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Db(Protocol):
    """One connection; inside ``async with db.transaction()`` all or nothing."""

    async def execute(self, query: str, /, *args: object) -> str:
        """Run a statement; answers its command tag."""
        ...

    async def executemany(self, query: str, args: Sequence[Sequence[object]], /) -> None:
        """Run one statement for many argument lists, all or nothing."""
        ...

    async def fetch(self, query: str, /, *args: object) -> Sequence[Row]:
        """Every row."""
        ...

    async def fetchrow(self, query: str, /, *args: object) -> Row | None:
        """The first row, if any."""
        ...

    async def fetchval(self, query: str, /, *args: object) -> Any:  # noqa: ANN401  # a value of any column type
        """The first column of the first row, or None."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Begin, and commit or roll back at the end of the block."""
        ...


class Pool(Protocol):
    """Connections to lend; the same verbs on the pool use one of them for one statement."""

    async def execute(self, query: str, /, *args: object) -> str:
        """Run a statement; answers its command tag."""
        ...

    async def fetch(self, query: str, /, *args: object) -> Sequence[Row]:
        """Every row."""
        ...

    async def fetchrow(self, query: str, /, *args: object) -> Row | None:
        """The first row, if any."""
        ...

    async def fetchval(self, query: str, /, *args: object) -> Any:  # noqa: ANN401  # a value of any column type
        """The first column of the first row, or None."""
        ...

    def acquire(self) -> AbstractAsyncContextManager[Db]:
        """Lend a connection for the block."""
        ...

    async def close(self) -> None:
        """Close every connection once it is given back."""
        ...

    def terminate(self) -> None:
        """Close every connection now."""
        ...


async def connect(url: str, *schemas: str, name: str = "outrider", size: int = 10) -> Pool:
    """A pool whose connections look for tables in `schemas`, in that order. Raises Unavailable."""
    pool = await asyncpg.create_pool(
        url,
        min_size=0,  # a floor would be kept up by a loop of its own, against a database that is down or gone
        max_size=size,
        init=_speak_json,
        reset=_as_it_is,
        timeout=10,
        command_timeout=60,
        server_settings={"search_path": ",".join([*schemas, "pg_temp"]), "application_name": name, "jit": "off"},
    )
    try:
        await pool.fetchval("select 1")
    except BaseException as error:
        pool.terminate()
        if isinstance(error, DISCONNECTED):
            raise Unavailable(str(error)) from error
        raise
    return cast("Pool", pool)


async def _speak_json(connection: "asyncpg.Connection[Any]") -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_dump, decoder=from_json, format="text")


async def _as_it_is(connection: "asyncpg.Connection[Any]") -> None:
    """Nothing of a session outlives its statement or transaction here: asyncpg would ask the server to forget it all.

    That is one round trip for every time that a connection is given back. An open transaction is still rolled back.
    """


def _dump(value: object) -> str:
    return value if isinstance(value, str) else to_json(value).decode()  # several times as fast as json


async def migrate(admin_url: str, passwords: Mapping[str, str], clock: str | None = None) -> None:
    """Create what is missing: login roles, schemas, tables, the clock's anchor. Runs once at a time, forward only.

    `passwords` maps each of ROLES to its password; a role that is left out keeps the one it has. `clock` is None for
    real time or ``<RFC 3339 start>@<speed>``. Raises ValueError for another clock than the data has, or for a
    migration that was changed after it had run.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", MIGRATION_LOCK)
        await _roles(connection, passwords)
        await connection.execute("create schema if not exists log")
        await connection.execute(
            "create table if not exists log.migrations (schema text, file text, sha256 text not null, "
            "applied_at timestamptz not null default now(), primary key (schema, file))"
        )
        for schema, folder, role in _folders():
            if role is not None:
                await connection.execute(f'create schema if not exists "{schema}" authorization "{role}"')
            await _apply(connection, schema, folder, role)
        await _anchor(connection, clock or "")
    finally:
        await connection.close()


def _members() -> list[str]:
    """Every installed member of the namespace that brings tables of its own."""
    found = sorted(module.name for module in pkgutil.iter_modules(importlib.import_module("outrider").__path__))
    return [name for name in found if name != "events" and (files(f"outrider.{name}") / "schema").is_dir()]


async def _roles(connection: "asyncpg.Connection[Any]", passwords: Mapping[str, str]) -> None:
    for role in ROLES:
        known = await connection.fetchval("select true from pg_roles where rolname = $1", role)
        if not known:
            await connection.execute(f'create role "{role}" login')
        if password := passwords.get(role):
            quoted = await connection.fetchval("select quote_literal($1::text)", password)
            await connection.execute(f'alter role "{role}" login password {quoted}')


def _folders() -> Iterator[tuple[str, Traversable, str | None]]:
    """Each schema with a folder of its migrations and the role that owns it, in the order in which they are run."""
    kernel = files("outrider.events")
    yield "log", kernel / "schema", None
    for member in _members():
        folder = files(f"outrider.{member}")
        for schema, place in ((member, folder / "schema"), (f"{member}_work", folder / "work")):
            if place.is_dir():
                yield schema, kernel / "schema_service", f"outrider_{member}"
                yield schema, place, f"outrider_{member}"


def known_migrations() -> list[tuple[str, str]]:
    """Schema and name of every migration that this installation has, as `migrate` notes them."""
    return [(schema, _name(folder, place)) for schema, folder, _ in _folders() for place in _scripts(folder)]


def _scripts(folder: Traversable) -> list[Traversable]:
    return sorted((place for place in folder.iterdir() if place.name.endswith(".sql")), key=lambda place: place.name)


def _name(folder: Traversable, place: Traversable) -> str:
    return f"{folder.name}/{place.name}"


async def _apply(connection: "asyncpg.Connection[Any]", schema: str, folder: Traversable, role: str | None) -> None:
    for place in _scripts(folder):
        sql = place.read_text(encoding="utf-8")
        digest = hashlib.sha256(sql.encode()).hexdigest()
        name = _name(folder, place)
        known = await connection.fetchval(
            "select sha256 from log.migrations where schema = $1 and file = $2", schema, name
        )
        if known is not None and known != digest:
            raise ValueError(f"migration {schema} {name} was changed after it had run: write a new file instead")
        if known is None:
            async with connection.transaction():
                await connection.execute(f'set local search_path to "{schema}", log')
                if role is not None:
                    await connection.execute(f'set local role "{role}"')
                await connection.execute(sql)
                await connection.execute("reset role")
                await connection.execute(
                    "insert into log.migrations (schema, file, sha256) values ($1, $2, $3)", schema, name, digest
                )


async def _anchor(connection: "asyncpg.Connection[Any]", spec: str) -> None:
    known = await connection.fetchval("select spec from log.clock")
    if known is not None and known != spec:
        raise ValueError(f"these data were begun with the clock {known or 'real'!r}, not {spec or 'real'!r}")
    if known is None:
        start, _, speed = spec.partition("@")
        real = datetime.now(UTC)
        virtual = datetime.fromisoformat(start) if start else real
        if virtual.tzinfo is None:
            raise ValueError(f"OUTRIDER_CLOCK wants a start with a zone, as 2026-01-05T08:00:00Z@3600: {spec!r}")
        await connection.execute(
            "insert into log.clock (spec, started, virtual, speed) values ($1, $2, $3, $4)",
            spec,
            real,
            virtual,
            float(speed or 1),
        )
