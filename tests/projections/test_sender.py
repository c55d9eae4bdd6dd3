"""What the sender knows before it claims is what the log says, run on, run again or rebuilt."""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from outrider.events.campaign import (
    CampaignChanged,
    CampaignCreated,
    CampaignPaused,
    CampaignResumed,
    CampaignSettings,
    RetimedStep,
    StepPlan,
    StepsRetimed,
)
from outrider.events.contact import (
    AddressReserved,
    AddressSuppressed,
    AddressUnsuppressed,
    ContactAdded,
    ContactDeleted,
)
from outrider.events.credential import (
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    QuotaClaimed,
)
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.enrollment import EnrollmentCreated, EnrollmentReplied, EnrollmentStopped
from outrider.events.gates import closed_by
from outrider.events.inbound import AutoReplyReceived, ReplyReceived
from outrider.events.log import Write
from outrider.events.message import Event
from outrider.events.projector import Projection, Reader
from outrider.sender.projections import ASSERTED, sending
from outrider.sender.settling import settling
from tests.support.kernel import ACCOUNT, Kernel, kernel

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
CAMPAIGN, CREDENTIAL, CONTACT, ENROLLMENT = (UUID(int=number) for number in range(1, 5))
DELIVERIES = [UUID(int=100 + number) for number in range(6)]
WRITERS = {"delivery": "sender", "credentialDay": "sender", "inbound": "reply_watcher"}
ENROLLED: dict[str, Any] = {"enrollment_id": ENROLLMENT, "campaign_id": CAMPAIGN, "contact_id": CONTACT}
STEPS = (StepPlan(position=1, delay_minutes=0, thread=False),)


def of(delivery: UUID, attempt: int = 1) -> dict[str, Any]:
    return {**ENROLLED, "delivery_id": delivery, "credential_id": CREDENTIAL, "position": 1, "attempt": attempt}


def started(delivery: UUID, attempt: int = 1) -> DeliveryStarted:
    return DeliveryStarted(
        **of(delivery, attempt), claim=UUID(int=attempt), day=NOW.date(), counted=True, template_version=1,
        planned_at=NOW,
    )  # fmt: skip


def deferred(delivery: UUID, attempt: int = 1) -> DeliveryDeferred:
    return DeliveryDeferred(**of(delivery, attempt), by="host", status_code="", not_before=NOW, first_attempt_at=NOW)


def sent(delivery: UUID) -> EmailSent:
    return EmailSent(**of(delivery), planned_at=NOW, sent_at=NOW, status_code="250")


def a_full_life() -> Sequence[tuple[str, Event]]:
    """Something of everything that opens or closes a gate, and of what does neither."""
    deliveries: list[list[Event]] = [
        [started(DELIVERIES[0]), sent(DELIVERIES[0])],
        [started(DELIVERIES[1]), deferred(DELIVERIES[1]), started(DELIVERIES[1], 2)],
        [started(DELIVERIES[2]), DeliveryUnknown(**of(DELIVERIES[2]), reason="no_outcome", at=NOW)],
        [
            *(started(DELIVERIES[3]), DeliveryUnknown(**of(DELIVERIES[3]), reason="no_outcome", at=NOW)),
            DeliveryResolved(**of(DELIVERIES[3]), outcome="not_sent", at=NOW),
        ],
        [started(DELIVERIES[4]), DeliveryFailed(**of(DELIVERIES[4]), status_code="4.7.1")],
        [
            started(DELIVERIES[5]),
            EmailBounced(**of(DELIVERIES[5]), kind="soft", status_code="5.2.2", reason="mailbox_full", bounced_at=NOW),
        ],
    ]
    came: dict[str, Any] = {
        **ENROLLED, "credential_id": CREDENTIAL, "delivery_id": None, "position": None, "received_at": NOW,
    }  # fmt: skip
    ids: dict[str, Any] = {"credential_id": CREDENTIAL, "campaign_id": CAMPAIGN}
    settings = CampaignSettings(track_opens=False)
    streams: dict[str, Sequence[Event]] = {
        f"campaign-{CAMPAIGN}": [
            CampaignCreated(campaign_id=CAMPAIGN, settings=CampaignSettings(), steps=STEPS),
            CampaignPaused(campaign_id=CAMPAIGN),
            CampaignChanged(campaign_id=CAMPAIGN, settings=settings),
            CampaignResumed(campaign_id=CAMPAIGN),
            CampaignPaused(campaign_id=CAMPAIGN),
        ],
        f"credential-{CREDENTIAL}": [
            CredentialAdded(**ids, daily_limit=50),
            CredentialDisabled(**ids, reason="policy"),
            CredentialChanged(**ids, daily_limit=10, follow_ups_exempt=True),
            CredentialReenabled(**ids),
        ],
        f"contact-{CONTACT}": [
            ContactAdded(contact_id=CONTACT, import_id=None, address_key="a"),
            ContactDeleted(contact_id=CONTACT, address_key="a"),
        ],
        "address-a": [
            AddressReserved(address_key="a", contact_id=CONTACT),
            AddressSuppressed(address_key="a", suppression_id=UUID(int=7)),
            AddressUnsuppressed(address_key="a", suppression_id=UUID(int=7)),
        ],
        f"enrollment-{ENROLLMENT}": [
            EnrollmentCreated(**ENROLLED, batch_number=1),
            EnrollmentReplied(
                **ENROLLED,
                credential_id=None,
                delivery_id=None,
                step_position=None,
                replied_at=NOW,
                inbound=UUID(int=8),
            ),
            EnrollmentStopped(**ENROLLED, reason="deleted"),
        ],
        f"inbound-{ENROLLMENT}": [AutoReplyReceived(**came), ReplyReceived(**came), AutoReplyReceived(**came)],
        f"credentialDay-{CREDENTIAL}+2026-11-23": [
            QuotaClaimed(credential_id=CREDENTIAL, day=NOW.date(), deliveries=(DELIVERIES[0],), counted=1)
        ],
        f"plan-{CAMPAIGN}": [
            StepsRetimed(
                campaign_id=CAMPAIGN,
                reason="resumed",
                steps=(RetimedStep(enrollment_id=ENROLLMENT, position=1, at=NOW),),
            )
        ],
        **{f"delivery-{delivery}": events for delivery, events in zip(DELIVERIES, deliveries, strict=True)},
    }
    return shuffled(streams)


def shuffled(streams: Mapping[str, Sequence[Event]]) -> Sequence[tuple[str, Event]]:
    """All events, the streams mixed, each in its own order; the same mixture every time."""
    turns = [stream for stream, events in streams.items() for _ in events]
    random.Random(7).shuffle(turns)  # noqa: S311  # a mixture, no secret
    left = {stream: iter(events) for stream, events in streams.items()}
    return [(stream, next(left[stream])) for stream in turns]


@dataclass
class Table:
    """The sender's tables, and logs to fill them from."""

    sender: Kernel
    logs: Mapping[str, Kernel]

    async def record(self, events: Sequence[tuple[str, Event]]) -> None:
        """Each stream is written by its writer."""
        for stream, event in events:
            writer = WRITERS.get(stream.partition("-")[0], "dispatcher")
            await self.logs[writer].log.append(ACCOUNT, Write(stream, None, [event], uuid4()))

    async def catch_up(self, projection: Projection, limit: int = 500, *, work: bool = False) -> None:
        """As far as the log is."""
        reader = Reader(projection, self.sender.log, self.sender.work if work else self.sender.tables)
        while await reader.catch_up(limit):
            pass

    async def dump(self) -> Mapping[str, Sequence[str]]:
        """Every row of every table."""
        found: dict[str, Sequence[str]] = {}
        for name in ("gates", "campaigns", "credentials", "checkpoints"):
            rows = await self.sender.tables.fetch(f"select t::text as row from {name} t order by 1")  # noqa: S608  # constants
            found[name] = [row["row"] for row in rows]
        return found

    async def forget(self) -> None:
        """As before the first event."""
        await self.sender.tables.execute("truncate gates, campaigns, credentials, checkpoints")


@asynccontextmanager
async def table(urls: Mapping[str, str]) -> AsyncGenerator[Table]:
    async with kernel(urls, "sender") as own, kernel(urls) as dispatcher, kernel(urls, "reply_watcher") as watcher:
        yield Table(own, {"sender": own, "dispatcher": dispatcher, "reply_watcher": watcher})


async def test_the_tables_come_out_the_same_run_on_run_again_or_rebuilt(urls: Mapping[str, str]) -> None:
    async with table(urls) as found:
        await found.record(a_full_life())
        await found.catch_up(sending)
        once = await found.dump()
        assert all(once.values())
        await found.catch_up(sending)
        assert await found.dump() == once
        await found.forget()
        await found.catch_up(sending, limit=3)
        assert await found.dump() == once


async def test_each_gate_stands_where_its_stream_does(urls: Mapping[str, str]) -> None:
    life = a_full_life()
    async with table(urls) as found:
        await found.record(life)
        await found.catch_up(sending)
        rows = await found.sender.tables.fetch("select stream, version, closed from gates")
    streams: dict[str, list[Event]] = {}
    for stream, event in life:
        if stream.partition("-")[0] in ASSERTED:
            streams.setdefault(stream, []).append(event)
    assert {row["stream"]: (row["version"], row["closed"]) for row in rows} == {
        stream: (len(events), closed_by(events)) for stream, events in streams.items()
    }


async def test_the_newest_settings_and_limits_hold(urls: Mapping[str, str]) -> None:
    async with table(urls) as found:
        await found.record(a_full_life())
        await found.catch_up(sending)
        limits = await found.sender.tables.fetchrow("select daily_limit, follow_ups_exempt from credentials")
        campaign = await found.sender.tables.fetchrow("select settings, steps from campaigns")
    assert limits is not None
    assert (limits["daily_limit"], limits["follow_ups_exempt"]) == (10, True)
    assert campaign is not None
    assert CampaignSettings.model_validate(campaign["settings"]) == CampaignSettings(track_opens=False)
    assert [StepPlan.model_validate(step) for step in campaign["steps"]["steps"]] == list(STEPS)


async def test_each_claim_without_an_outcome_waits_to_be_settled(urls: Mapping[str, str]) -> None:
    """Also where the reader is run in pieces, and where it begins again: a to-do that was done is not added anew."""
    async with table(urls) as found:
        await found.record(a_full_life())
        projection = settling(found.sender.clock, 900)
        await found.catch_up(projection, limit=3, work=True)
        rows = "select key, owner, due_at, done_at is null as open, data from todos order by key"
        once = [dict(row) for row in await found.sender.work.fetch(rows)]
        [recorded] = [
            item.recorded_at
            for item in await found.sender.log.read_stream(ACCOUNT, f"delivery-{DELIVERIES[1]}")
            if item.version == 3
        ]
        await found.sender.work.execute("truncate checkpoints")
        await found.catch_up(projection, work=True)
        again = [dict(row) for row in await found.sender.work.fetch(rows)]
    assert once == again
    assert [row["key"] for row in once if row["open"]] == [f"{DELIVERIES[1]}:2"]
    [waits] = [row for row in once if row["open"]]
    assert (waits["owner"], waits["data"]) == (DELIVERIES[1], {"claim": str(UUID(int=2))})
    assert abs(waits["due_at"] - recorded - timedelta(seconds=900)) < timedelta(milliseconds=1)
