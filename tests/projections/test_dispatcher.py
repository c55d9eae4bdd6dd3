"""The dispatcher's facts: the same tables whether built as things happen, again, or anew from the first event."""

from collections.abc import Mapping
from datetime import timedelta

from outrider.dispatcher.projections import facts
from outrider.events.campaign import CampaignPaused, PauseCampaign, ResumeCampaign
from outrider.events.contact import DeleteImport
from outrider.events.database import Pool
from outrider.events.delivery import DeliveryDeferred, EmailBounced
from outrider.events.enrollment import EnrollmentBounced, EnrollmentReplied
from outrider.events.inbound import ReplyReceived
from outrider.events.projector import Reader, caught_up
from tests.support.dispatcher import Office, office

TABLES = (
    "accounts",
    "account_months",
    "imports",
    "contacts",
    "suppressions",
    "outreach_contacts",
    "campaigns",
    "credentials",
    "credential_days",
    "enrollments",
    "steps",
)


async def dump(tables: Pool) -> dict[str, list[str]]:
    return {
        table: [row["row"] for row in await tables.fetch(f"select t::text as row from {table} t order by 1")]  # noqa: S608  # our own tables
        for table in TABLES
    }


async def a_full_life(found: Office) -> None:
    """Sent, bounced, deferred, answered, paused, deleted: at least one event of nearly every type."""
    first = await found.import_people("a@example.com", "b@example.com", "c@example.com", "d@example.com")
    second = await found.import_people("d@example.com", "e@example.com")
    campaign, _ = await found.campaign(credentials=2)
    assert (await found.dispatched(campaign, first)).body["scheduled"] == 4
    sent, bounced, deferred = await found.job(), await found.job(), await found.job()
    await found.send(sent)
    for job in (bounced, deferred):
        await found.claim(job)
    now = found.desk.clock.now()
    fields = deferred.model_dump(
        exclude={"account_id", "seen", "planned_at", "previous_delivery_id", "first_attempt_at"}
    )
    await found.report(
        deferred,
        DeliveryDeferred(
            **fields,
            by="recipient_server",
            status_code="451",
            not_before=now + timedelta(hours=1),
            first_attempt_at=now,
        ),
    )
    fields = bounced.model_dump(
        exclude={"account_id", "seen", "planned_at", "previous_delivery_id", "first_attempt_at"}
    )
    refused = EmailBounced(**fields, kind="hard", status_code="550", reason="user_unknown", bounced_at=now)
    await found.report(bounced, refused)
    reply = ReplyReceived(
        enrollment_id=sent.enrollment_id,
        campaign_id=campaign,
        contact_id=sent.contact_id,
        credential_id=sent.credential_id,
        delivery_id=sent.delivery_id,
        position=1,
        received_at=now,
    )
    await found.receive(sent, reply)
    await found.until("the reply ends it", lambda: found.has(f"enrollment-{sent.enrollment_id}", EnrollmentReplied))
    await found.until("the bounce ends it", lambda: found.has(f"enrollment-{bounced.enrollment_id}", EnrollmentBounced))
    await found.do(PauseCampaign, campaign_id=campaign)
    assert await found.has(f"campaign-{campaign}", CampaignPaused)
    await found.do(ResumeCampaign, campaign_id=campaign)
    await found.do(DeleteImport, import_id=second)


async def test_the_facts_are_the_same_applied_twice_and_rebuilt(urls: Mapping[str, str], bus_url: str) -> None:
    async with office(urls, bus_url) as found:
        await a_full_life(found)

        async def is_idle() -> bool:
            last = await found.desk.log.last_position()
            return await found.desk.facts.reach(last) and last == await found.desk.log.last_position()

        await found.until("nothing more is recorded", is_idle)
        await found.stop()
        await caught_up(found.desk.facts)
        before = await dump(found.desk.tables)
        assert (len(before["contacts"]), len(before["steps"])) == (5, 8)

        assert await Reader(facts, found.desk.log, found.desk.tables).catch_up() == 0
        assert await dump(found.desk.tables) == before

        for table in (*TABLES, "checkpoints"):
            await found.desk.tables.execute(f"truncate {table}")
        await caught_up(Reader(facts, found.desk.log, found.desk.tables))
        assert await dump(found.desk.tables) == before
