"""What decisions about imports and contacts make of the to-dos."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from outrider.dispatcher.plans import OPEN_PLAN
from outrider.dispatcher.todos_caused import caused
from outrider.dispatcher.todos_sending import NAME
from outrider.events import todo
from outrider.events.account import AccountClosed, PlanChanged
from outrider.events.contact import ContactDeleted, ContactUnsubscribed, ImportDeleted, ImportStarted
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.projector import Projection
from outrider.events.todo import Todo

people = Projection(NAME)
SWEPT_AGAIN: Final = timedelta(minutes=30)
CANCEL: Final = """
update todos set done_at = clock_timestamp(), error = 'cancelled'
where account_id = any($1) and kind in ('import_chunk', 'enroll_chunk', 'plan_batch', 'retime', 'send_step')
    and done_at is null
"""


@people.on(AccountClosed)
async def account_closed(db: Db, events: Sequence[Recorded[AccountClosed]]) -> None:
    """Nothing of it goes on; it is to be forgotten, and once more when what was on its way has ended."""
    await db.execute(CANCEL, [item.account_id for item in events])
    await todo.add(
        db,
        [
            Todo(
                "close_account",
                f"{item.account_id}:{time}",
                item.account_id,
                item.business_at + time * SWEPT_AGAIN,
                owner=item.account_id,
                data={"cause": str(item.cause)},
                trace=item.trace,
            )
            for item in events
            for time in (0, 1)
        ],
    )


@people.on(PlanChanged)
async def plan_changed(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
    """What waits for the plan may go on."""
    await todo.add(
        db,
        [caused(item, OPEN_PLAN, f"{item.account_id}:{item.position}", owner=item.account_id) for item in events],
    )


@people.on(ImportStarted)
async def import_started(db: Db, events: Sequence[Recorded[ImportStarted]]) -> None:
    """Its first chunk is to be added; each chunk leads to the next."""
    await todo.add(
        db,
        [
            caused(
                item,
                "import_chunk",
                f"{item.event.import_id}:0",
                owner=item.event.import_id,
                data={"chunk": 0, "cause": str(item.cause)},
            )
            for item in events
            if item.event.chunks
        ],
    )


@people.on(ImportDeleted)
async def import_deleted(db: Db, events: Sequence[Recorded[ImportDeleted]]) -> None:
    """Its contacts are to be deleted."""
    await todo.add(
        db,
        [
            caused(
                item,
                "delete_import",
                str(item.event.import_id),
                owner=item.event.import_id,
                data={"cause": str(item.cause)},
            )
            for item in events
        ],
    )


@people.on(ContactUnsubscribed, ContactDeleted)
async def contact_stopped(db: Db, events: Sequence[Recorded[ContactUnsubscribed | ContactDeleted]]) -> None:
    """Every enrollment of the contact ends; one whose wish was misread may unsubscribe again."""
    await todo.add(
        db,
        [
            caused(
                item,
                "stop_contact",
                _stop_key(item),
                owner=item.event.contact_id,
                data={
                    "type": item.event.name,
                    "version": item.event.version,
                    "event": item.event.as_json(),
                    "cause": str(item.cause),
                },
            )
            for item in events
        ],
    )


def _stop_key(item: Recorded[ContactUnsubscribed | ContactDeleted]) -> str:
    key = f"{item.event.contact_id}:{item.event.name}"
    return f"{key}:{item.position}" if isinstance(item.event, ContactUnsubscribed) else key
