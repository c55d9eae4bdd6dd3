"""The dispatcher in this process, on real servers, with the other services' parts played by the test."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from outrider.dispatcher.desk import Desk
from outrider.dispatcher.draining import drains
from outrider.dispatcher.handlers import handlers
from outrider.dispatcher.mx import MxResolver
from outrider.dispatcher.projections import facts
from outrider.dispatcher.todos import todos
from outrider.events import vault
from outrider.events.account import OpenAccount
from outrider.events.bus import Bus
from outrider.events.campaign import (
    CampaignSettings,
    CreateCampaign,
    DispatchBatch,
    EnrollImport,
    StepPlan,
)
from outrider.events.clock import real_clock
from outrider.events.commands import Answer, Commands
from outrider.events.contact import ImportContacts
from outrider.events.credential import CredentialRefused, NewCredential, QuotaClaimed
from outrider.events.database import connect
from outrider.events.delivery import DeliveryDeferred, DeliveryStarted, EmailSent, SendStep
from outrider.events.drain import Drain
from outrider.events.ids import new_id
from outrider.events.log import Log, Write
from outrider.events.lookout import Lookout
from outrider.events.message import Command, Event
from outrider.events.projector import Reader
from outrider.events.vault import Entry

SECONDS = 120.0
STEPS = (
    StepPlan(position=1, delay_minutes=0, thread=False),
    StepPlan(position=2, delay_minutes=4320, thread=True),
)


@dataclass
class Office:
    """A running dispatcher with one account."""

    desk: Desk
    account: UUID
    sender: Log
    watcher: Log
    told: list[SendStep]
    tasks: list["asyncio.Task[None]"]
    handlers: Mapping[type[Command], Callable[[Any], Awaitable[Answer]]]

    async def do(self, kind: type[Command], *, command_id: UUID | None = None, **fields: object) -> Answer:
        """Carry out a command of the account. Raises what the handler raises."""
        command = kind.model_validate({"command_id": command_id or new_id(), "account_id": self.account, **fields})
        return await self.handlers[kind](command)

    async def stop(self) -> None:
        """Readers and drains have stopped."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def stop_draining(self) -> None:
        """No drain does anything by itself any more; what a handler waits for, it does."""
        readers = 2
        for task in self.tasks[readers:]:
            task.cancel()
        await asyncio.gather(*self.tasks[readers:], return_exceptions=True)

    async def until(self, what: str, condition: Callable[[], Awaitable[object]]) -> None:
        """The condition holds; fails with `what` otherwise."""
        try:
            async with asyncio.timeout(SECONDS):
                while not await condition():  # noqa: ASYNC110  # the condition lies in Postgres
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {SECONDS:g} s: {what}") from None

    async def import_people(self, *emails: str, keys: Sequence[str] | None = None) -> UUID:
        """Import people by their addresses; an address' key is made of its text."""
        import_id = new_id()
        rows = [
            {"contact_id": str(new_id()), "address_key": key, "person": {"email": email}}
            for email, key in zip(emails, keys or [f"{email:x>32}"[:32] for email in emails], strict=True)
        ]
        entries = [
            Entry(import_id, f"rows-{n}", self.account, "import", {"rows": rows[n * 1000 : n * 1000 + 1000]})
            for n in range(-(-len(rows) // 1000))
        ]
        await vault.put(self.desk.log_pool, entries)
        await self.do(ImportContacts, import_id=import_id, chunks=len(entries), rows=len(rows), skipped=0, rejected=0)
        return import_id

    async def campaign(
        self,
        settings: CampaignSettings | None = None,
        *,
        credentials: int = 1,
        daily_limit: int = 200,
        steps: Sequence[StepPlan] = STEPS,
    ) -> tuple[UUID, list[UUID]]:
        """Create a campaign: its id and those of its credentials."""
        campaign_id, ids = new_id(), [new_id() for _ in range(credentials)]
        await self.do(
            CreateCampaign,
            campaign_id=campaign_id,
            settings=settings or CampaignSettings(min_wait_seconds=0, max_wait_seconds=0),
            steps=tuple(steps),
            credentials=tuple(NewCredential(credential_id=found, daily_limit=daily_limit) for found in ids),
        )
        return campaign_id, ids

    async def dispatched(self, campaign_id: UUID, import_id: UUID) -> Answer:
        """Enroll the import and dispatch its first batch."""
        await self.do(EnrollImport, campaign_id=campaign_id, import_id=import_id)
        return await self.do(DispatchBatch, campaign_id=campaign_id)

    async def job(self, position: int = 1) -> SendStep:
        """The next SendStep of that position that was told; it is taken out of `told`."""

        async def is_told() -> bool:
            return any(job.position == position for job in self.told)

        await self.until(f"a SendStep of step {position} is told", is_told)
        found = next(job for job in self.told if job.position == position)
        self.told.remove(found)
        return found

    async def claim(self, job: SendStep, *, day: date | None = None) -> None:
        """The sender claims it, today unless told."""
        day, claim = day or self.desk.clock.now().date(), new_id()
        started = DeliveryStarted(
            **fields_of(job), claim=claim, day=day, counted=True, template_version=1, planned_at=job.planned_at
        )
        claimed = QuotaClaimed(credential_id=job.credential_id, day=day, deliveries=(job.delivery_id,), counted=1)
        await self.sender.append(
            self.account,
            Write(f"delivery-{job.delivery_id}", None, [started], claim),
            Write(f"credentialDay-{job.credential_id}+{day}", None, [claimed], claim),
        )

    async def send(self, job: SendStep, *, at: datetime | None = None) -> None:
        """The sender claims it, and a server accepts it."""
        await self.claim(job)
        await self.report(job, self.sent(job, at=at))

    def sent(self, job: SendStep, *, at: datetime | None = None) -> EmailSent:
        """A server accepted it."""
        return EmailSent(**fields_of(job), planned_at=job.planned_at, sent_at=at or job.planned_at, status_code="250")

    async def report(self, job: SendStep, outcome: Event) -> None:
        """The sender records an outcome."""
        await self.sender.append(self.account, Write(f"delivery-{job.delivery_id}", None, [outcome], new_id()))

    async def refuse(self, job: SendStep, kind: Literal["auth_failed", "held_today", "policy"]) -> None:
        """The sender reports that the server refused the credential itself."""
        now = self.desk.clock.now()
        await self.claim(job)
        about = fields_of(job)
        await self.report(
            job, DeliveryDeferred(**about, by="credential", status_code="5", not_before=now, first_attempt_at=now)
        )
        credential, campaign, day = job.credential_id, job.campaign_id, now.date()
        refused = CredentialRefused(credential_id=credential, campaign_id=campaign, day=day, kind=kind, status_code="5")
        await self.sender.append(self.account, Write(f"credentialDay-{credential}+{day}", None, [refused], new_id()))

    async def receive(self, job: SendStep, found: Event) -> None:
        """The reply-watcher records what came back."""
        await self.watcher.append(self.account, Write(f"inbound-{job.enrollment_id}", None, [found], new_id()))

    async def events(self, stream: str) -> list[Event]:
        """What a stream holds."""
        return [item.event for item in await self.desk.log.read_stream(self.account, stream)]

    async def has(self, stream: str, kind: type[Event]) -> bool:
        """Whether a stream holds such an event."""
        return any(isinstance(event, kind) for event in await self.events(stream))


def fields_of(job: SendStep) -> dict[str, Any]:
    """What every event of its delivery says."""
    names = ("delivery_id", "enrollment_id", "campaign_id", "contact_id", "credential_id", "position", "attempt")
    return {name: getattr(job, name) for name in names}


@asynccontextmanager
async def office(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    """The dispatcher runs: two readers and every drain; what it tells the sender is kept in `told`."""
    url, clock = urls["outrider_dispatcher"], real_clock()
    log_pool, tables, work = [await connect(url, schema, size=8) for schema in ("log", "dispatcher", "dispatcher_work")]
    others = [await connect(urls[f"outrider_{name}"], "log", size=2) for name in ("sender", "reply_watcher")]
    log = Log(log_pool, clock)
    desk = Desk(log, clock, log_pool, tables, work, Reader(facts, log, tables), Reader(todos, log, work))
    bus = Bus(bus_url, Commands(log_pool, clock), "test-dispatcher")
    told: list[SendStep] = []

    async def hear(text: str) -> None:
        told.append(SendStep.parse(text))

    bus.broker.subscriber("cmd.send.*")(hear)  # beside the stream: nobody takes from it here
    bus.on_ring(desk.facts.ring)
    bus.on_ring(desk.todos.ring)
    log.rung = bus.ring
    every: list[Drain] = drains(desk, bus, MxResolver("127.0.0.1:1"))
    lookout = Lookout(every, work, clock)
    desk.todos.then += [lookout.ring, *(drain.ring for drain in every if drain.looks_itself)]
    await bus.start()
    loops = [desk.facts.follow, desk.todos.follow, lookout.follow, *(drain.follow for drain in every)]
    tasks = [asyncio.create_task(loop()) for loop in loops]
    sender, watcher = (Log(pool, clock, bus.ring) for pool in others)
    by_kind = {drain.kind: drain for drain in every}
    found = Office(desk, new_id(), sender, watcher, told, tasks, handlers(desk, by_kind))
    try:
        await found.do(OpenAccount, key_id=new_id(), key_hash="0" * 64, key_prefix="ok_live_x")
        yield found
    finally:
        await found.stop()
        await bus.stop()
        for pool in (log_pool, tables, work, *others):
            pool.terminate()
