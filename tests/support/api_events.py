"""Facts by hand, as the services would record them, for the tables of the api."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from outrider.api.projections import tables as projection
from outrider.events.account import AccountOpened, ApiKeyIssued
from outrider.events.campaign import (
    BatchDispatched,
    CampaignActivated,
    CampaignCreated,
    CampaignSettings,
    StepPlan,
)
from outrider.events.clock import Clock
from outrider.events.contact import ContactAdded, ContactCorrected, ImportCompleted, ImportStarted
from outrider.events.credential import CredentialAdded, QuotaClaimed
from outrider.events.database import Pool, Row, connect
from outrider.events.delivery import DeliveryEvent, DeliveryStarted, DeliveryUnknown, EmailBounced, EmailSent
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.enrollment import EnrollmentCorrected, EnrollmentCreated, PlannedStep, StepsScheduled
from outrider.events.ids import delivery_id, enrollment_id, new_id
from outrider.events.inbound import BounceReceived, InboundReclassified, ReplyReceived
from outrider.events.log import Log, Write
from outrider.events.message import Event
from outrider.events.projector import Reader, caught_up

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ACCOUNT = UUID("0190b7a4-0000-7000-8000-0000000000a1")
CAMPAIGN = UUID("0190b7a4-0000-7000-8000-0000000000c1")
CREDENTIAL = UUID("0190b7a4-0000-7000-8000-0000000000e1")
IMPORT = UUID("0190b7a4-0000-7000-8000-0000000000f1")
TABLES = (
    *("accounts", "api_keys", "usage", "imports", "import_counts", "contacts", "campaigns", "campaign_counts"),
    *("batches", "credentials", "credential_counts", "credential_days", "skips", "skip_counts", "enrollments"),
    *("planned_steps", "sends", "replies", "suppressions", "outreaches", "retimings", "erasures", "webhooks"),
)
STEPS = (
    StepPlan(position=1, delay_minutes=0, thread=False),
    StepPlan(position=2, delay_minutes=4320, thread=True),
)


def contact(number: int) -> UUID:
    """The contact of that number."""
    return uuid5(IMPORT, str(number))


def enrollment(number: int) -> UUID:
    """Its enrollment."""
    return enrollment_id(CAMPAIGN, contact(number))


def at(hours: float) -> datetime:
    """So many hours after the start."""
    return START + timedelta(hours=hours)


@dataclass
class Facts:
    """The log, written by every service, and the tables that the api makes of it."""

    logs: Mapping[str, Log]
    tables: Pool
    reader: Reader

    async def record(self, service: str, stream: str, *events: Event) -> None:
        """The events stand at the end of the stream."""
        await self.logs[service].append(ACCOUNT, Write(stream, None, events, new_id()))

    async def begin(self, contacts: int, batch_size: int = 50) -> None:
        """An account, an import, a campaign with one credential, and everybody enrolled in batches."""
        opened = AccountOpened(account_id=ACCOUNT, monthly_limit=None)
        key = ApiKeyIssued(account_id=ACCOUNT, key_id=new_id(), key_hash="0" * 64, key_prefix="ok_live_0000")
        await self.record("dispatcher", f"account-{ACCOUNT}", opened, key)
        begun = ImportStarted(import_id=IMPORT, chunks=1, rows=contacts, skipped=0, rejected=0)
        await self.record("dispatcher", f"import-{IMPORT}", begun)
        for number in range(contacts):
            added = ContactAdded(contact_id=contact(number), import_id=IMPORT, address_key=f"{number:032x}")
            await self.record("dispatcher", f"contact-{contact(number)}", added)
        done = ImportCompleted(import_id=IMPORT, record_count=contacts, skipped=0, rejected=0)
        await self.record("dispatcher", f"import-{IMPORT}", done)
        created = CampaignCreated(campaign_id=CAMPAIGN, settings=CampaignSettings(), steps=STEPS)
        await self.record("dispatcher", f"campaign-{CAMPAIGN}", created)
        credential = CredentialAdded(credential_id=CREDENTIAL, campaign_id=CAMPAIGN, daily_limit=200)
        await self.record("dispatcher", f"credential-{CREDENTIAL}", credential)
        for number in range(contacts):
            await self.enroll(number, 1 + number // batch_size)

    async def enroll(self, number: int, batch_number: int) -> None:
        """One more in that batch."""
        created = EnrollmentCreated(
            enrollment_id=enrollment(number),
            campaign_id=CAMPAIGN,
            contact_id=contact(number),
            batch_number=batch_number,
        )
        await self.record("dispatcher", f"enrollment-{enrollment(number)}", created)

    async def dispatch(self, numbers: range, batch_number: int = 1) -> None:
        """These are scheduled: step 1 at the start, step 2 three days later."""
        dispatched = BatchDispatched(campaign_id=CAMPAIGN, batch_number=batch_number, seed=1, at=START)
        await self.record("dispatcher", f"campaign-{CAMPAIGN}", CampaignActivated(campaign_id=CAMPAIGN), dispatched)
        for number in numbers:
            planned = (PlannedStep(position=1, at=at(0)), PlannedStep(position=2, at=at(72)))
            scheduled = StepsScheduled(
                enrollment_id=enrollment(number),
                campaign_id=CAMPAIGN,
                contact_id=contact(number),
                credential_id=CREDENTIAL,
                batch_number=batch_number,
                dispatch_id=new_id(),
                steps=planned,
                reason="the only one",
            )
            await self.record("dispatcher", f"enrollment-{enrollment(number)}", scheduled)

    def delivery(self, number: int, position: int) -> DeliveryEvent:
        """What every event of that message says."""
        return DeliveryEvent(
            delivery_id=delivery_id(enrollment(number), position),
            enrollment_id=enrollment(number),
            campaign_id=CAMPAIGN,
            contact_id=contact(number),
            credential_id=CREDENTIAL,
            position=position,
            attempt=1,
        )

    async def start(self, number: int, position: int) -> datetime:
        """The message is claimed, at its planned time."""
        planned = at(72 * (position - 1))
        said = self.delivery(number, position).model_dump()
        started = DeliveryStarted(
            **said, claim=new_id(), day=planned.date(), counted=True, template_version=1, planned_at=planned
        )
        await self.record("sender", f"delivery-{said['delivery_id']}", started)
        claimed = QuotaClaimed(
            credential_id=CREDENTIAL, day=planned.date(), deliveries=(said["delivery_id"],), counted=1
        )
        await self.record("sender", f"credentialDay-{CREDENTIAL}+{planned.date()}", claimed)
        return planned

    async def settle(self, number: int, position: int, outcome: str = "sent") -> None:
        """The message was claimed, and sent, refused, or nobody knows."""
        planned, said = await self.start(number, position), self.delivery(number, position).model_dump()
        code, reason = "550 5.1.1", "user_unknown"
        events: dict[str, Event] = {
            "sent": EmailSent(**said, planned_at=planned, sent_at=planned, status_code="250"),
            "bounced": EmailBounced(**said, kind="hard", status_code=code, reason=reason, bounced_at=planned),
            "unknown": DeliveryUnknown(**said, reason="no_outcome", at=planned),
        }
        await self.record("sender", f"delivery-{said['delivery_id']}", events[outcome])

    async def open(self, number: int, *, counts: bool = True) -> None:
        """The pixel of the first message was fetched."""
        said = self.delivery(number, 1).model_dump(exclude={"credential_id", "attempt"})
        opened = EmailOpened(**said, opened_at=at(1), counts=counts)
        await self.record("api", f"engagement-{said['delivery_id']}", opened)

    async def click(self, number: int, *, counts: bool = True) -> None:
        """The first link of the first message was followed."""
        said = self.delivery(number, 1).model_dump(exclude={"credential_id", "attempt"})
        clicked = LinkClicked(**said, link_number=1, clicked_at=at(2), counts=counts)
        await self.record("api", f"engagement-{said['delivery_id']}", clicked)

    async def reply(self, number: int, position: int, *, suspected: bool = False, stops: bool = True) -> None:
        """The person answered that message half an hour after it."""
        said = self.delivery(number, position).model_dump(exclude={"attempt"})
        when = at(72 * (position - 1) + 0.5)
        found = ReplyReceived(**said, received_at=when, suspected=suspected, stops=stops)
        await self.record("reply_watcher", f"inbound-{enrollment(number)}", found)

    async def come_back(self, number: int, position: int) -> None:
        """That message came back an hour later."""
        said = self.delivery(number, position).model_dump(exclude={"attempt"})
        came, code, reason = at(72 * (position - 1) + 1), "5.2.2", "mailbox_full"
        found = BounceReceived(**said, kind="soft", status_code=code, reason=reason, received_at=came)
        await self.record("reply_watcher", f"inbound-{enrollment(number)}", found)

    async def withdraw(self, number: int, was: str, inbound: UUID, *, reply: bool) -> None:
        """What its message was taken for is wrong: it was a reply, or nothing, and then the enrollment goes on."""
        said = self.delivery(number, 1).model_dump(exclude={"attempt"})
        stands = {"inbound": inbound, "delivery_id": said["delivery_id"], "position": 1, "received_at": at(1)}
        found = InboundReclassified.model_validate(
            {**said, "inbound": inbound, "was": was, "verdict": "reply" if reply else "ignore", "at": at(2)}
            | {"reply": {**stands, "suspected": False, "stops": True} if reply else None, "bounce": None}
            | {"was_hard": was == "bounce", "opted_out": False, "complained": False}
        )
        await self.record("reply_watcher", f"inbound-{enrollment(number)}", found)
        right = ContactCorrected(
            contact_id=contact(number), inbound=inbound, resubscribed=was == "opt_out", reachable=was == "bounce"
        )
        await self.record("dispatcher", f"contact-{contact(number)}", right)
        withdrawn = {"reply": "replied", "bounce": "bounced", "opt_out": "unsubscribed"}[was]
        corrected = EnrollmentCorrected.model_validate(
            {name: said[name] for name in ("enrollment_id", "campaign_id", "contact_id")}
            | {"inbound": inbound, "withdrawn": (withdrawn,), "goes_on": not reply}
        )
        await self.record("dispatcher", f"enrollment-{enrollment(number)}", corrected)

    async def catch_up(self, limit: int = 500) -> None:
        """The tables show everything that is recorded."""
        if limit == 500:  # the reader's own
            await caught_up(self.reader)
        while await self.reader.catch_up(limit):
            pass

    async def row(self, query: str, *args: object) -> Row:
        """The first row, which there is."""
        found = await self.tables.fetchrow(query, *args)
        assert found is not None
        return found

    async def dump(self) -> dict[str, list[str]]:
        """Every row of every table, in one order."""
        return {
            table: [row["row"] for row in await self.tables.fetch(f"select t::text as row from {table} t order by 1")]  # noqa: S608  # our own tables
            for table in TABLES
        }

    async def forget(self) -> None:
        """The tables are as they were before the first event."""
        await self.tables.execute(f"truncate {', '.join(TABLES)}, checkpoints")


@asynccontextmanager
async def facts(urls: Mapping[str, str]) -> AsyncGenerator[Facts]:
    """Connected as every service in turn."""
    clock = Clock(datetime.now(UTC), START, 1.0)
    pools = {name: await connect(urls[f"outrider_{name}"], "log", size=2) for name in WRITERS}
    tables = await connect(urls["outrider_api"], "api", size=3)
    logs = {name: Log(pool, clock) for name, pool in pools.items()}
    try:
        yield Facts(logs, tables, Reader(projection, logs["api"], tables))
    finally:
        for pool in (*pools.values(), tables):
            pool.terminate()


WRITERS = ("api", "dispatcher", "sender", "reply_watcher")
