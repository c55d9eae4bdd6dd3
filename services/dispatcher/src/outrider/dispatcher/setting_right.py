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
from outrider.events.ids import delivery_id
from outrider.events.inbound import InboundReclassified
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
    left = Left(
        refused=await desk.tables.fetchval(REFUSED, who.enrollment_id),
        person="gone" if person.status != "present" else "unsubscribed" if person.unsubscribed else "present",
        is_running=await desk.tables.fetchval(RUNNING, who.campaign_id),
        steps=await _unsent(desk, item.account_id, who.enrollment_id),
    )
    await desk.log.transact(
        item.account_id, enrollment, who.enrollment_id, partial(correct, who, said, left), cause=cause_of(item)
    )


async def _unsent(desk: Desk, account: UUID, enrolled: UUID) -> Sequence[Unsent]:
    """The steps that were given up and never begun, or put off; one under way tells its outcome by itself."""
    now, found = desk.clock.now(), list[Unsent]()
    for row in await desk.tables.fetch(UNSENT, enrolled):
        delivery = delivery_id(enrolled, row["position"])
        last = [item.event for item in await desk.log.read_stream(account, f"delivery-{delivery}")][-1:]
        match last:
            case []:
                attempt = 1
            case [DeliveryDeferred(attempt=before) | DeliveryResolved(outcome="not_sent", attempt=before)]:
                attempt = before + 1
            case [DeliveryStarted(attempt=before)]:
                attempt = before  # its outcome opens, moves or ends it
            case _:
                continue
        found.append(Unsent(row["position"], attempt, row["credential_id"], max(row["due_at"], now)))
    return found
