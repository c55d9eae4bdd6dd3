"""The sender in this process or as a process, with the dispatcher's and the gateway's parts played by the test."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid4

from outrider.events.bus import COMMANDS_STREAM, Bus
from outrider.events.campaign import CampaignCreated, CampaignSettings, StepPlan
from outrider.events.clock import read_clock
from outrider.events.commands import Commands
from outrider.events.contact import ContactAdded
from outrider.events.credential import CredentialAdded
from outrider.events.delivery import DeliveryEvent, DeliveryStarted, SendStep
from outrider.events.enrollment import EnrollmentCreated, PlannedStep, StepsScheduled
from outrider.events.ids import address_key, delivery_id, enrollment_id, new_id, partition
from outrider.events.log import Log, Write
from outrider.events.message import Event, Json
from outrider.events.service import Service, Settings
from outrider.events.tokens import Keyring
from outrider.events.vault import Entry, Sealer, put
from outrider.local.keys import Keys
from outrider.sender.__main__ import build
from outrider.sender.delivery import delivery
from outrider.sender.quota import QuotaDay, day_id, quota_day
from tests.support.kernel import Kernel, kernel

ACCOUNT = UUID("0190b7a4-0000-7000-8000-000000000001")
SECONDS = 120.0
USER = "ann@sender.example"
PASSWORD = "correct horse"
PUBLIC_URL = "https://track.example.com/" + "a" * 80
"""Long, so that a folded or encoded header would show."""
STEPS = (
    StepPlan(position=1, delay_minutes=0, thread=False),
    StepPlan(position=2, delay_minutes=60, thread=True),
)
TEMPLATES: tuple[Json, ...] = (
    {"subject": "Hi {{first_name}}", "body_html": "<p>Dear {{first_name}},</p>", "body_text": None},
    {"subject": "Re: Hi {{first_name}}", "body_html": "<p>Again, {{first_name}}.</p>", "body_text": "Again."},
)


@dataclass(frozen=True)
class Person:
    """Somebody enrolled."""

    email: str
    contact: UUID
    enrollment: UUID
    address_key: str


@dataclass
class Mailing:
    """One campaign, and what its dispatcher would record and tell."""

    kernel: Kernel
    bus: Bus
    keys: Keys
    campaign: UUID = field(default_factory=new_id)

    @property
    def keyring(self) -> Keyring:
        """The sender's keys."""
        return Keyring.parse(self.keys.hash_key)

    async def record(self, stream: str, *events: Event) -> None:
        """These stand in the log, recorded by the dispatcher."""
        await self.kernel.log.append(ACCOUNT, Write(stream, None, events, uuid4()))

    async def create(self, settings: CampaignSettings | None = None) -> None:
        """The campaign exists, with two steps."""
        templates = [
            Entry(self.campaign, f"template-{position}-1", ACCOUNT, "campaign", source)
            for position, source in enumerate(TEMPLATES, 1)
        ]
        await put(self.kernel.pool, templates)
        created = CampaignCreated(campaign_id=self.campaign, settings=settings or CampaignSettings(), steps=STEPS)
        await self.record(f"campaign-{self.campaign}", created)

    async def credential(
        self, port: int, *, daily_limit: int = 100, exempt: bool = False, password: str = PASSWORD
    ) -> UUID:
        """A credential for the SMTP server at this port."""
        credential = new_id()
        await self.put_server(credential, port, password)
        added = CredentialAdded(
            credential_id=credential, campaign_id=self.campaign, daily_limit=daily_limit, follow_ups_exempt=exempt
        )
        await self.record(f"credential-{credential}", added)
        return credential

    async def put_server(self, credential: UUID, port: int, password: str = PASSWORD) -> None:
        """The vault holds its server, and its password sealed."""
        about = {
            "label": "Ann",
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_security": "none",
            "smtp_username": USER,
            "from_name": "Ann",
            "from_email": USER,
            "reply_to": None,
        }
        sealed = Sealer(self.keys.seal_public_key).seal(credential, {"smtp_password": password})
        await put(
            self.kernel.pool,
            [
                Entry(credential, "server", ACCOUNT, "credential", about),
                Entry(credential, "secrets", ACCOUNT, "credential", sealed),
            ],
        )

    async def people(self, count: int, credential: UUID) -> list[Person]:
        """So many people are enrolled and scheduled, in few appends."""
        found = [self._person(f"p{number}-{uuid4().hex[:6]}@people.example") for number in range(count)]
        await put(
            self.kernel.pool,
            [
                Entry(one.contact, "person", ACCOUNT, "contact", {"email": one.email, "first_name": f"Zoë {number}"})
                for number, one in enumerate(found)
            ],
        )
        await asyncio.gather(*(self._enroll(one, credential) for one in found))
        return found

    def _person(self, email: str) -> Person:
        contact = new_id()
        key = address_key(self.keyring.address_key, ACCOUNT, email)
        return Person(email, contact, enrollment_id(self.campaign, contact), key)

    async def _enroll(self, one: Person, credential: UUID) -> None:
        now = self.kernel.clock.now()
        cause = uuid4()
        about: dict[str, Any] = {
            "enrollment_id": one.enrollment,
            "campaign_id": self.campaign,
            "contact_id": one.contact,
            "batch_number": 0,
        }
        steps = tuple(PlannedStep(position=step.position, at=now) for step in STEPS)
        await self.kernel.log.append(
            ACCOUNT,
            Write(
                f"contact-{one.contact}",
                None,
                [ContactAdded(contact_id=one.contact, import_id=None, address_key=one.address_key)],
                cause,
            ),
            Write(
                f"enrollment-{one.enrollment}",
                None,
                [
                    EnrollmentCreated(**about),
                    StepsScheduled(
                        **about, credential_id=credential, dispatch_id=new_id(), steps=steps, reason="as planned"
                    ),
                ],
                cause,
            ),
        )

    async def job(self, one: Person, credential: UUID, position: int = 1, attempt: int = 1) -> SendStep:
        """What the dispatcher tells, having seen all that is recorded now."""
        return SendStep(
            account_id=ACCOUNT,
            seen=await self.kernel.log.last_position(),
            delivery_id=delivery_id(one.enrollment, position),
            enrollment_id=one.enrollment,
            campaign_id=self.campaign,
            contact_id=one.contact,
            credential_id=credential,
            position=position,
            attempt=attempt,
            planned_at=self.kernel.clock.now(),
            previous_delivery_id=delivery_id(one.enrollment, position - 1) if position > 1 else None,
        )

    async def tell(self, *jobs: SendStep) -> None:
        """JetStream has these."""
        for job in jobs:
            await self.bus.tell(job, f"cmd.send.{partition(job.credential_id)}")

    async def history(self, stream: str) -> list[Event]:
        """What the log says of it."""
        return [item.event for item in await self.kernel.log.read_stream(ACCOUNT, stream)]

    async def of(self, job: SendStep) -> list[Event]:
        """What the log says of the job's delivery."""
        return await self.history(delivery.stream(job.delivery_id))

    async def settled(self, *jobs: SendStep, seconds: float = SECONDS) -> list[Event]:
        """The outcome of each, once each attempt has one."""

        async def ended() -> bool:
            return all([await self._ended(job) for job in jobs])

        await until("outcomes", ended, seconds)
        return [(await self.of(job))[-1] for job in jobs]

    async def _ended(self, job: SendStep) -> bool:
        last = [event for event in await self.of(job) if isinstance(event, DeliveryEvent)][-1:]
        return any(event.attempt == job.attempt and not isinstance(event, DeliveryStarted) for event in last)

    async def taken(self, seconds: float = SECONDS) -> None:
        """Nothing that was told waits any more: it was claimed, or found not to be."""
        jetstream = self.bus.broker.connection.jetstream()

        async def empty() -> bool:
            found = await jetstream.consumers_info(COMMANDS_STREAM)
            return not any(info.num_pending or info.num_ack_pending for info in found)

        await until("jobs taken", empty, seconds)

    async def handed_out(self) -> None:
        """Every job was given to a sender once at least; its stop waits until it has looked at them."""
        jetstream = self.bus.broker.connection.jetstream()

        async def out() -> bool:
            return not any(info.num_pending for info in await jetstream.consumers_info(COMMANDS_STREAM))

        await until("jobs handed out", out)

    async def used(self, credential: UUID, day: datetime | None = None) -> int:
        """How many messages count against the credential's day."""
        on = (day or self.kernel.clock.now()).date()
        state: QuotaDay = quota_day.fold(await self.history(quota_day.stream(day_id(credential, on))))
        return state.counted


async def until(what: str, condition: Callable[[], Awaitable[bool]], seconds: float = SECONDS) -> None:
    """The condition holds. Fails with `what` once the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        assert loop.time() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def mailing(urls: Mapping[str, str], bus_url: str, keys: Keys) -> AsyncGenerator[Mailing]:
    """A campaign in the log, and a bus to tell its steps on."""
    async with kernel(urls) as k:
        k.clock = await read_clock(k.pool)
        k.log = Log(k.pool, k.clock)
        bus = Bus(bus_url, Commands(k.pool, k.clock), "dispatcher")
        await bus.start()
        k.log.rung = bus.ring
        try:
            yield Mailing(k, bus, keys)
        finally:
            await bus.stop()


def settings(urls: Mapping[str, str], bus_url: str, keys: Keys, **others: Any) -> Settings:
    """A sender's, on these servers."""
    url = urls["outrider_sender"]
    return Settings(
        database_url=url,
        log_url=others.pop("log_url", url),
        nats_url=bus_url,
        health_listen="127.0.0.1:0",
        hash_key=keys.hash_key,
        seal_public_key=keys.seal_public_key,
        seal_private_key=keys.seal_private_key,
        public_url=PUBLIC_URL,
        allow_insecure_hosts=True,
        **others,
    )


@asynccontextmanager
async def sender(configured: Settings) -> AsyncGenerator[Service]:
    """The whole service, at work in this process for the block; stopped as a process is."""
    service = Service("sender", configured)
    await service.open()
    await build(service)
    running = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        service.stop.set()
        await running


class StartSender(Protocol):
    """The fixture `start`."""

    def __call__(self, *, settle_seconds: float = 900) -> AbstractAsyncContextManager[Service]:
        """A sender runs for the block; call it twice for two replicas."""
        ...


Hurried = Callable[[float], AbstractAsyncContextManager[Mailing]]
"""The fixture `hurried`: a campaign while business time runs so many times faster."""
