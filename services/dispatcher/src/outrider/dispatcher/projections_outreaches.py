"""Facts about outreaches, from the log: whose a contact is."""

from collections.abc import Sequence

from outrider.dispatcher.projections_people import NAME
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.outreach import OutreachContactReleased, OutreachContactReserved
from outrider.events.projector import Projection

outreaches = Projection(NAME)


@outreaches.on(OutreachContactReserved, apart="outreach_contacts")
async def outreach_contact_reserved(db: Db, events: Sequence[Recorded[OutreachContactReserved]]) -> None:
    """It is that enrollment's: the last one of the run."""
    last = {(item.event.outreach_id, item.event.contact_id): item.event.enrollment_id for item in events}
    await db.execute(
        "insert into outreach_contacts (outreach_id, contact_id, enrollment_id) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[]) "
        "on conflict (outreach_id, contact_id) do update set enrollment_id = excluded.enrollment_id",
        [outreach for outreach, _ in last],
        [contact for _, contact in last],
        list(last.values()),
    )


@outreaches.on(OutreachContactReleased, apart="outreach_contacts")
async def outreach_contact_released(db: Db, events: Sequence[Recorded[OutreachContactReleased]]) -> None:
    """It is nobody's."""
    await db.execute(
        "delete from outreach_contacts o using unnest($1::uuid[], $2::uuid[]) as n (outreach_id, contact_id) "
        "where o.outreach_id = n.outreach_id and o.contact_id = n.contact_id",
        [item.event.outreach_id for item in events],
        [item.event.contact_id for item in events],
    )
