"""To-dos: rows that their own reader fills and closes, and that a drain carries out, at least once each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from outrider.events.claims import ADD, NOT_DONE
from outrider.events.database import Db, Row
from outrider.events.message import Json


@dataclass(frozen=True, slots=True)
class Todo:
    """Work that is due at a business time. `key` is deterministic, so that adding it twice adds it once."""

    kind: str
    key: str
    account_id: UUID
    due_at: datetime
    owner: UUID | None = None
    """What it is about: it is closed or cancelled by it."""
    scope: UUID | None = None
    """What holds it: a campaign."""
    lane: UUID | None = None
    """What it uses up: a credential."""
    ordinal: int = 0
    """Within owner and kind the lowest open one goes first, where the drain keeps lanes."""
    data: Json = field(default_factory=dict[str, Any])
    held: bool = False
    attempts: int = 0
    trace: str | None = None
    """The traceparent of what led to it, where that is recorded."""


async def add(db: Db, todos: Sequence[Todo]) -> None:
    """Every one of these stands; those whose key stood already are left as they are, done or not."""
    if todos:
        await db.execute(
            ADD,
            [todo.kind for todo in todos],
            [todo.key for todo in todos],
            [todo.account_id for todo in todos],
            [todo.owner for todo in todos],
            [todo.scope for todo in todos],
            [todo.lane for todo in todos],
            [todo.ordinal for todo in todos],
            [todo.due_at for todo in todos],
            [todo.data for todo in todos],
            [todo.held for todo in todos],
            [todo.trace for todo in todos],
        )


async def close(db: Db, kind: str, keys: Sequence[str]) -> None:
    """These are done; they stay, so that they are never added again."""
    await db.execute(
        f"update todos set done_at = clock_timestamp() where kind = $1 and key = any($2) and {NOT_DONE}",  # noqa: S608  # constants
        kind,
        list(keys),
    )


async def cancel(db: Db, kind: str, owners: Sequence[UUID]) -> None:
    """Everything open of this kind that is about one of `owners` is done without having been carried out."""
    await db.execute(
        "update todos set done_at = clock_timestamp(), error = 'cancelled' "
        "where owner = any($2) and kind = $1 and done_at is null",
        kind,
        list(owners),
    )


async def hold(db: Db, kind: str, scopes: Sequence[UUID], *, held: bool) -> None:
    """Everything open of this kind in these scopes waits until it is released; then it is due when it is due."""
    await db.execute(
        "update todos set held = $3, not_before = case when $3 then not_before end "
        "where scope = any($2) and kind = $1 and done_at is null and held <> $3",
        kind,
        list(scopes),
        held,
    )


async def move(db: Db, kind: str, keys: Sequence[str], due: Sequence[datetime]) -> None:
    """These are due at these business times instead, and nobody is at them any more."""
    await db.execute(
        "update todos t set due_at = m.due_at, not_before = null from unnest($2::text[], $3::timestamptz[]) "  # noqa: S608  # constants
        f"as m (key, due_at) where t.kind = $1 and t.key = any($2) and t.key = m.key and {NOT_DONE}",
        kind,
        list(keys),
        list(due),
    )


def todo_of(row: Row) -> Todo:
    """The to-do of a row with `claims.FIELDS`."""
    return Todo(
        row["kind"],
        row["key"],
        row["account_id"],
        row["due_at"],
        row["owner"],
        row["scope"],
        row["lane"],
        row["ordinal"],
        row["data"],
        attempts=row["attempts"],
        trace=row["trace"],
    )
