"""The dispatcher's facts: the same tables whether built as things happen, again, or anew from the first event."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta

from outrider.dispatcher.projections import facts
from outrider.events.campaign import CampaignPaused, PauseCampaign, ResumeCampaign
from outrider.events.contact import DeleteImport
from outrider.events.credential import CredentialRefused, QuotaClaimed, QuotaReleased
from outrider.events.database import Db, Pool
from outrider.events.delivery import DeliveryDeferred, EmailBounced
from outrider.events.enrollment import EnrollmentBounced, EnrollmentReplied
from outrider.events.ids import new_id
from outrider.events.inbound import ReplyReceived
from outrider.events.log import Log, Write
from outrider.events.message import Event
from outrider.events.outreach import OutreachContactReleased, OutreachContactReserved
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

        for limit in (500, 1):
            for table in (*TABLES, "checkpoints"):
                await found.desk.tables.execute(f"truncate {table}")
            again = Reader(facts, found.desk.log, found.desk.tables)
            while await again.catch_up(limit):
                pass
            assert await dump(found.desk.tables) == before


async def what_shares_nothing(found: Office) -> None:
    """Every event type whose handler has tables of its own."""
    campaign, [credential] = await found.campaign()
    day, reserved = found.desk.clock.now().date(), {"outreach_id": new_id(), "contact_id": new_id()}
    claimed = {"credential_id": credential, "day": day, "deliveries": (new_id(),), "counted": 1}
    refused = {
        "credential_id": credential,
        "campaign_id": campaign,
        "day": day,
        "kind": "held_today",
        "status_code": "",
    }
    enrolled = {"enrollment_id": new_id(), "status_code": ""}
    streams: list[tuple[Log, str, list[type[Event]]]] = [
        (found.sender, f"credentialDay-{credential}+{day}", [QuotaClaimed, QuotaReleased, CredentialRefused]),
        (found.desk.log, f"outreachContact-{new_id()}", [OutreachContactReserved, OutreachContactReleased]),
    ]
    for log, stream, events in streams:
        fields = {**reserved, **claimed, **refused, **enrolled}
        written = [kind.model_validate(fields) for kind in events]
        await log.append(found.account, Write(stream, None, written, new_id()))


async def touched(db: Db) -> Counter[str]:
    """How often each table was read or written in this transaction, by triggers too."""
    rows = await db.fetch(
        "select relname, seq_scan + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del as n "
        "from pg_stat_xact_user_tables where schemaname = 'dispatcher'"
    )
    return Counter({row["relname"]: row["n"] for row in rows})


async def test_handlers_apart_share_no_table_with_others(urls: Mapping[str, str], bus_url: str) -> None:
    """Else their events could not be taken out of the order of the log."""
    async with office(urls, bus_url) as found:
        await a_full_life(found)
        await what_shares_nothing(found)
        await found.stop()
        shared: defaultdict[str, set[str]] = defaultdict(set)
        log, seen = found.desk.log, set[str]()
        async with found.desk.tables.acquire() as db, db.transaction():
            for table in TABLES:
                await db.execute(f"delete from {table}")  # noqa: S608  # our own tables
            for item in (await log.read_after(0, facts.handlers, 10_000))[0]:
                before = await touched(db)
                await facts.apply(db, [item])
                shared[facts.apart[item.event.name]] |= set(await touched(db) - before)
                seen.add(item.event.name)
        assert {name for name, apart in facts.apart.items() if apart} <= seen
        assert {apart: tables for apart, tables in shared.items() if apart} == {
            "outreach_contacts": {"outreach_contacts"},
            "credential_days": {"credential_days"},
        }
        assert {"enrollments", "steps", "credentials"} <= shared[""]
        assert not {"outreach_contacts", "credential_days"} & shared[""]
