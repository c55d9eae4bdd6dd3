"""To-do `correct_enrollment`: what followed from a verdict that somebody has withdrawn."""

from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from outrider.dispatcher.contact import contact, set_right
from outrider.dispatcher.correcting import Left, Unsent, correct
from outrider.dispatcher.desk import Desk
from outrider.dispatcher.enrollment import Who, enrollment
from outrider.dispatcher.stopping import cause_of
from outrider.events.delivery import DeliveryDeferred, DeliveryResolved, DeliveryStarted
from outrider.events.errors import Conflict, NotYet
from outrider.events.ids import delivery_id
from outrider.events.inbound import InboundReclassified
from outrider.events.log import Expect
from outrider.events.todo import Todo

UNSENT: Final = """
select position, credential_id, due_at
from steps
where enrollment_id = $1 and state in ('cancelled', 'started')
order by position
"""
BOUNCED: Final = """
select exists (
    select from steps s join enrollments e using (enrollment_id) where e.contact_id = $1 and s.bounced
)
"""
REFUSED: Final = "select exists (select from steps where enrollment_id = $1 and state = 'bounced')"
RUNNING: Final = "select exists (select from campaigns where campaign_id = $1 and status <> 'deleted')"


async def correct_enrollment(desk: Desk, item: Todo) -> None:
    """Contact and enrollment stand as the right verdict wants them."""
    await desk.fresh()
    said = InboundReclassified.model_validate(item.data["event"])
    who = Who(said.enrollment_id, said.campaign_id, said.contact_id)
    bounced = await desk.tables.fetchval(BOUNCED, who.contact_id)
    decide = partial(set_right, said, bounced=bounced)
    person = (await desk.log.transact(item.account_id, contact, who.contact_id, decide, cause=cause_of(item))).state
    unsent, as_they_are = await _unsent(desk, item.account_id, who.enrollment_id)
    left = Left(
        refused=await desk.tables.fetchval(REFUSED, who.enrollment_id),
        person="gone" if person.status != "present" else "unsubscribed" if person.unsubscribed else "present",
        is_running=await desk.tables.fetchval(RUNNING, who.campaign_id),
        steps=unsent,
    )
    try:
        await desk.log.transact(
            item.account_id,
            enrollment,
            who.enrollment_id,
            partial(correct, who, said, left),
            cause=cause_of(item),
            expect=as_they_are,
        )
    except Conflict:
        raise NotYet(0.2) from None  # an attempt has an outcome now: the next one is another


async def _unsent(desk: Desk, account: UUID, enrolled: UUID) -> tuple[Sequence[Unsent], Sequence[Expect]]:
    """The steps that were given up and never begun, or put off; one under way tells its outcome by itself.

    And what must still hold when they are opened, or one would be told under an attempt that has its outcome.
    """
    now, found, looked_at = desk.clock.now(), list[Unsent](), list[Expect]()
    for row in await desk.tables.fetch(UNSENT, enrolled):
        stream = f"delivery-{delivery_id(enrolled, row['position'])}"
        history = await desk.log.read_stream(account, stream)
        looked_at.append(Expect(stream, len(history)))
        match [item.event for item in history[-1:]]:
            case []:
                attempt = 1
            case [DeliveryDeferred(attempt=before) | DeliveryResolved(outcome="not_sent", attempt=before)]:
                attempt = before + 1
            case [DeliveryStarted(attempt=before)]:
                attempt = before  # its outcome opens, moves or ends it
            case _:
                continue
        found.append(Unsent(row["position"], attempt, row["credential_id"], max(row["due_at"], now)))
    return found, looked_at
