"""Wrong verdicts that somebody withdrew: what they had shown is shown no more, and counted no more."""

from collections.abc import Sequence

from outrider.api.projection import tables
from outrider.api.projections_engagement import BOUNCED, REPLIED, REPLY
from outrider.api.projections_enrollments import close_steps, mark_bounced
from outrider.events.contact import ContactCorrected
from outrider.events.database import Db
from outrider.events.enrollment import EnrollmentCorrected
from outrider.events.inbound import InboundReclassified
from outrider.events.message import Recorded

UNBOUNCED = """
update enrollments e
set bounced_at = null, bounce_kind = null, bounce_code = null, bounce_reason = null
where e.enrollment_id = $1
    and not exists (select from sends s where s.enrollment_id = e.enrollment_id and s.state = 'bounced')
"""
CORRECTED = """
update enrollments e
set reclassified = null,
    unsubscribed_at = case when c.unsubscribed then null else e.unsubscribed_at end,
    stop_reason = case when c.complaint then null else e.stop_reason end,
    ended_at = case when c.goes_on then null else e.ended_at end
from unnest($1::uuid[], $2::boolean[], $3::boolean[], $4::boolean[])
    as c (enrollment_id, unsubscribed, complaint, goes_on)
where e.enrollment_id = c.enrollment_id
"""


@tables.on(InboundReclassified)
async def inbound_reclassified(db: Db, events: Sequence[Recorded[InboundReclassified]]) -> None:
    """One by one, since they are rare: the reply and the bounce that stand are shown, and no others."""
    for item in events:
        event = item.event
        await db.execute(
            "update enrollments set reclassified = $2 where enrollment_id = $1", event.enrollment_id, item.position
        )
        await _reply(db, item)
        if event.was == "bounce":
            await db.execute(UNBOUNCED, event.enrollment_id)
        if event.bounce is not None:
            await _bounce(db, event)


async def _reply(db: Db, item: Recorded[InboundReclassified]) -> None:
    event, reply = item.event, item.event.reply
    if "reply" not in {event.was, event.verdict}:
        return
    await db.execute("delete from replies where enrollment_id = $1", event.enrollment_id)
    if reply is None or not reply.stops:
        await db.execute(
            "update enrollments set replied_at = null, suspected = false where enrollment_id = $1", event.enrollment_id
        )
    if reply is None:
        return
    enrollments, times = [event.enrollment_id], [reply.received_at]
    await db.execute(
        REPLY,
        enrollments,
        [event.campaign_id],
        [event.contact_id],
        [item.position],
        [reply.inbound],
        [reply.delivery_id],
        [reply.position],
        times,
        [reply.suspected],
    )
    if reply.stops:
        await db.execute(REPLIED, enrollments, times, [reply.suspected])
        await close_steps(db, enrollments)


async def _bounce(db: Db, event: InboundReclassified) -> None:
    bounce = event.bounce
    if bounce is None:
        return
    await db.execute(
        BOUNCED,
        [event.enrollment_id],
        [event.credential_id],
        [bounce.kind],
        [bounce.status_code],
        [bounce.reason],
        [bounce.received_at],
    )
    if bounce.kind == "hard":
        await mark_bounced(db, [event.contact_id], [bounce.reason], [bounce.received_at])
    await close_steps(db, [event.enrollment_id])


@tables.on(EnrollmentCorrected)
async def enrollment_corrected(db: Db, events: Sequence[Recorded[EnrollmentCorrected]]) -> None:
    """What was withdrawn stands no more; one that goes on has not ended, and its steps follow."""
    last = {item.event.enrollment_id: item.event for item in events}
    withdrawn: dict[object, set[str]] = {}
    for item in events:
        withdrawn.setdefault(item.event.enrollment_id, set()).update(item.event.withdrawn)
    await db.execute(
        CORRECTED,
        list(last),
        ["unsubscribed" in withdrawn[one] for one in last],
        ["complaint" in withdrawn[one] for one in last],
        [any(item.event.goes_on for item in events if item.event.enrollment_id == one) for one in last],
    )


@tables.on(ContactCorrected)
async def contact_corrected(db: Db, events: Sequence[Recorded[ContactCorrected]]) -> None:
    """What was only misread stands against the contacts no more."""
    await db.execute(
        "update contacts set unsubscribed_at = null where contact_id = any($1)",
        [item.event.contact_id for item in events if item.event.resubscribed],
    )
    await db.execute(
        "update contacts set bounced_at = null, bounce_reason = null where contact_id = any($1)",
        [item.event.contact_id for item in events if item.event.reachable],
    )
