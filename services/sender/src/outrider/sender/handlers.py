"""SendStep: claim it, acknowledge it, mail it, record what became of it."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid5

from outrider.events.clock import Clock
from outrider.events.credential import CredentialRefused
from outrider.events.database import DISCONNECTED, Pool
from outrider.events.delivery import DeliveryStarted, SendStep
from outrider.events.errors import Conflict, NotYet
from outrider.events.log import Log, Write
from outrider.events.message import Event
from outrider.events.mime import BadHeader
from outrider.events.rendering import CannotRender
from outrider.events.telemetry import logger
from outrider.events.vault import Entry, put
from outrider.sender import smtp
from outrider.sender.claiming import Claims, NotClaimed
from outrider.sender.delivery import (
    Lost,
    Outcome,
    Postponed,
    Unrenderable,
    delivery,
    frees_quota,
    settle,
)
from outrider.sender.desk import Desk
from outrider.sender.letters import Letter, Letters
from outrider.sender.quota import release
from outrider.sender.verdicts import outcome_of

CLAIM_SECONDS = 60.0
"""A claim older than this never enters DATA."""
GRACE_SECONDS = 9.0
_log = logger(__name__)


class Sending:
    """The sender's whole work: one handler, and what goes on behind its acknowledgement."""

    def __init__(  # noqa: PLR0913, PLR0917  # its ports
        self,
        log: Log,
        vault: Pool,
        tables: Pool,
        clock: Clock,
        letters: Letters,
        reach: Callable[[int], Awaitable[bool]],
    ) -> None:
        """`vault` is on the log's database, `tables` on the projection."""
        self._log = log
        self._vault = vault
        self._tables = tables
        self._clock = clock
        self._letters = letters
        self._reach = reach
        self._claims = Claims(log, tables, clock)
        self._desks: dict[UUID, Desk] = {}
        self._opening = asyncio.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def send_step(self, job: SendStep) -> None:
        """The step is claimed and on its way, or need not be; SMTP goes on after the acknowledgement."""
        if self._stopping or not await self._reach(job.seen):
            raise NotYet(1)
        desk = await self._desk(job)
        if desk is None:
            return _not_claimed(job, "credential_gone")
        async with desk.slot() as keep:
            letter = await self._letters.letter(job, desk.mailer)
            if letter is None:
                return _not_claimed(job, "content_gone")
            started = await self._claim(desk, letter)
            if isinstance(started, NotClaimed):
                return _not_claimed(job, started.reason)
            keep()
        task = asyncio.create_task(self._mail(desk, letter, started), name=f"mail {job.delivery_id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return None

    async def _desk(self, job: SendStep) -> Desk | None:
        """The credential's desk; a new one where its hosts or passwords have changed."""
        version = await self._tables.fetchval(
            "select version from gates where stream = $1", f"credential-{job.credential_id}"
        )
        if version is None:
            raise NotYet(0.5)
        desk = self._desks.get(job.credential_id)
        if desk is not None and desk.version == version:
            return desk
        async with self._opening:
            desk = self._desks.get(job.credential_id)
            if desk is not None and desk.version == version:
                return desk
            mailer = await self._letters.mailer(job.account_id, job.credential_id)
            if mailer is None:
                return None
            self._desks[job.credential_id] = fresh = Desk(job.credential_id, mailer, version)
        if desk is not None:
            asyncio.get_running_loop().call_later(120, lambda: asyncio.ensure_future(desk.connections.close()))
        return fresh

    async def _claim(self, desk: Desk, letter: Letter) -> DeliveryStarted | NotClaimed:
        async with desk.turn:
            today = self._clock.now().date()
            if desk.refused_at == desk.version:
                raise NotYet(2)  # its gate closes as soon as the dispatcher has read the refusal
            if desk.held_on == today:
                return NotClaimed("held_today")
            day = desk.day(today)
            if day.version == 0:
                await self._claims.refresh(letter.job.account_id, day)
            try:
                claimed = await self._claims.claim(letter, day)
            except DISCONNECTED:
                self._give_up(letter.job)
                raise
            if isinstance(claimed, NotClaimed) and claimed.reason == "quota":
                await self._claims.refresh(letter.job.account_id, day)  # a release by another process may make room
            return claimed

    def _give_up(self, job: SendStep) -> None:
        """The append broke off: if the claim stands after all, nothing was begun, and that is recorded."""
        task = asyncio.create_task(self._record(job, Postponed("not_begun")), name=f"give up {job.delivery_id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _mail(self, desk: Desk, letter: Letter, started: DeliveryStarted) -> None:
        """One message over SMTP, and its outcome in the log."""
        deadline = time.monotonic() + CLAIM_SECONDS
        try:
            outcome, reply = await self._converse(desk, letter, deadline)
        finally:
            desk.slots.release()
        if isinstance(outcome, smtp.CredentialFailed):
            await self._refused(desk, letter, started, outcome)
            settled: Outcome = Postponed("credential", str(outcome.status_code))
        else:
            settled = outcome_of(outcome)
        await self._keep_words(letter, reply)
        await self._record(letter.job, settled)

    async def _converse(self, desk: Desk, letter: Letter, deadline: float) -> tuple[smtp.Outcome | Unrenderable, str]:
        try:
            content = self._letters.render(letter, self._clock.now())
        except (CannotRender, BadHeader) as error:
            return Unrenderable(), str(error)
        outcome = await desk.connections.send(letter.mailer.from_email, letter.person.email, content, deadline)
        return outcome, getattr(outcome, "reply", "") or getattr(outcome, "reason", "")

    async def _refused(
        self, desk: Desk, letter: Letter, started: DeliveryStarted, failed: smtp.CredentialFailed
    ) -> None:
        """The credential rests at once in this process, and everywhere once the dispatcher has read it."""
        if failed.kind == "held_today":
            desk.held_on = started.day
        else:
            desk.refused_at = desk.version
        job = letter.job
        refusal = CredentialRefused(
            credential_id=job.credential_id,
            campaign_id=job.campaign_id,
            day=started.day,
            kind=failed.kind,
            status_code=str(failed.status_code),
        )
        day = desk.day(started.day)
        cause = uuid5(job.delivery_id, f"refused-{job.attempt}")
        await self._insist(lambda: self._log.append(job.account_id, Write(day.stream, None, [refusal], cause)))
        words = Entry(job.credential_id, "smtp_error", job.account_id, "credential", {"reply": failed.reply})
        await self._insist(lambda: put(self._vault, [words]))

    async def _keep_words(self, letter: Letter, reply: str) -> None:
        """What the server said may name people: it lies with the person in the vault."""
        job = letter.job
        words = Entry(
            job.contact_id, f"smtp-reply-{job.delivery_id}-{job.attempt}", job.account_id, "contact", {"reply": reply}
        )
        await self._insist(lambda: put(self._vault, [words]))

    async def _record(self, job: SendStep, outcome: Outcome) -> None:
        """The outcome stands in the log, with the place that it frees on the credential's day."""
        await self._insist(lambda: self.settle(job.account_id, job.delivery_id, outcome, job.attempt))

    async def settle(self, account: UUID, delivery_id: UUID, outcome: Outcome, attempt: int) -> Event | None:
        """Record what this outcome of that attempt leads to; None where it has one already, or never began."""
        stream = delivery.stream(delivery_id)
        jitter = random.uniform(-1, 1)  # noqa: S311  # spreads retries
        while True:
            history = await self._log.read_stream(account, stream)
            state = delivery.fold(item.event for item in history)
            if state.started is None or state.started.attempt != attempt:
                return None
            events = settle(outcome, self._clock.now(), jitter, state)
            if not events:
                return None
            cause = uuid5(delivery_id, f"outcome-{attempt}-{len(history)}")
            writes = [Write(stream, len(history), events, cause)]
            if frees_quota(events[0]):
                freed = release(
                    state.started.credential_id, state.started.day, delivery_id, counted=state.started.counted
                )
                day = f"credentialDay-{state.started.credential_id}+{state.started.day.isoformat()}"
                writes.append(Write(day, None, [freed], cause))
            try:
                await self._log.append(account, *writes)
            except Conflict:
                continue
            _log.info("settled", delivery=str(delivery_id), attempt=attempt, outcome=events[0].name)
            return events[0]

    async def _insist(self, record: Callable[[], Awaitable[object]]) -> None:
        """Record it however often the database is lost meanwhile: what SMTP did is known only here."""
        wait = 0.1
        while True:
            try:
                await record()
            except DISCONNECTED as error:
                _log.warning("record.waits", error=type(error).__name__)
                await asyncio.sleep(wait)
                wait = min(5.0, wait * 2)
            else:
                return

    async def stop(self) -> None:
        """Nothing new is claimed; what is under way ends, or after 9 s is cut and recorded as what is then known."""
        self._stopping = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
        await asyncio.gather(*(desk.connections.close() for desk in self._desks.values()))
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=2)

    async def settle_started(self, account: UUID, delivery_id: UUID, attempt: int) -> None:
        """A claim without an outcome for so long: whether it was mailed cannot be known."""
        await self.settle(account, delivery_id, Lost("no_outcome"), attempt)


def _not_claimed(job: SendStep, reason: str) -> None:
    _log.info("not_claimed", delivery=str(job.delivery_id), attempt=job.attempt, reason=reason)
