"""SendStep: claim it, acknowledge it, mail it, record what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import uniform
from time import monotonic
from uuid import UUID

from outrider.events.clock import Clock
from outrider.events.credential import CredentialRefused
from outrider.events.database import Pool
from outrider.events.delivery import DeliveryStarted, SendStep
from outrider.events.errors import NotYet
from outrider.events.log import Log
from outrider.events.mime import BadHeader
from outrider.events.rendering import BadTemplate, CannotRender
from outrider.events.telemetry import logger
from outrider.events.tracing import SpanKind, step
from outrider.sender import smtp
from outrider.sender.claiming import Claims, NotClaimed
from outrider.sender.composing import Letter
from outrider.sender.delivery import Lost, Outcome, Postponed, Unrenderable
from outrider.sender.desk import Desk, Desks, Line
from outrider.sender.letters import Letters
from outrider.sender.recording import Records, insist
from outrider.sender.smtp_conversation import SHUTDOWN
from outrider.sender.verdicts import outcome_of, status_code, words_of

CLAIM_SECONDS = 60.0
"""A claim older than this never enters DATA."""
GRACE_SECONDS = 8.0
CUT_SECONDS = 3.0
PATIENCE_SECONDS = 30.0
"""What can go on sooner comes again from the bus; for what cannot the dispatcher tells its row again, in 10 minutes."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How one message ended."""

    outcome: Outcome
    words: str
    answer: smtp.Outcome | None = None
    """Of the server, where it was asked."""


class Sending:
    """The sender's whole work: one handler, and what goes on behind its acknowledgement."""

    def __init__(  # noqa: PLR0913, PLR0917  # its ports
        self,
        log: Log,
        tables: Pool,
        clock: Clock,
        letters: Letters,
        records: Records,
        reach: Callable[[int], Awaitable[bool]],
    ) -> None:
        """`tables` are the projection, `reach` waits for its reader."""
        self._clock = clock
        self._letters = letters
        self._records = records
        self._reach = reach
        self._claims = Claims(log, tables, clock, self._give_up)
        self._desks = Desks(letters, tables)
        self._under_way: dict[asyncio.Task[None], smtp.Connections | None] = {}
        self._stopping = False

    async def send_step(self, job: SendStep) -> None:
        """The step is claimed and on its way, or need not be; SMTP goes on after the acknowledgement."""
        if self._stopping or not await self._reach(job.seen):
            raise NotYet(3)
        await asyncio.shield(self._go_on(self._begin(job), f"begin {job.delivery_id}"))

    def _go_on(self, work: Coroutine[None, None, None], name: str, line: Line | None = None) -> asyncio.Task[None]:
        """This is done whoever is cancelled meanwhile; `stop` waits for it."""
        task = asyncio.create_task(work, name=name)
        self._under_way[task] = line.connections if line else None
        task.add_done_callback(self._under_way.pop)
        return task

    async def _begin(self, job: SendStep) -> None:
        """The step is claimed and its mail under way, or nothing was begun."""
        desk = await self._desks.at(job)
        if desk is None:
            return _not_claimed(job, "credential_gone")
        if hindrance := self._hindrance(desk):
            return _not_claimed(job, hindrance)
        async with desk.slot() as keep:
            line = desk.line
            letter = await self._letters.letter(job, line.mailer, line.version)
            if letter is None:
                return _not_claimed(job, "content_gone")
            deadline = monotonic() + CLAIM_SECONDS
            claimed = await self._traced_claim(desk, line, letter)
            if isinstance(claimed, NotClaimed):
                return _not_claimed(job, claimed.reason)
            keep()
            self._go_on(self._mail(desk, line, letter, claimed, deadline), f"mail {job.delivery_id}", line)
        return None

    async def _traced_claim(self, desk: Desk, line: Line, letter: Letter) -> DeliveryStarted | NotClaimed:
        about: dict[str, str | int] = {
            "outrider.delivery_id": str(letter.job.delivery_id),
            "outrider.attempt": letter.job.attempt,
        }
        with step("claim", SpanKind.INTERNAL, about) as span:
            claimed = await self._claim(desk, line, letter)
            if isinstance(claimed, NotClaimed):
                span.set_attribute("outrider.not_claimed", claimed.reason)
            return claimed

    async def _claim(self, desk: Desk, line: Line, letter: Letter) -> DeliveryStarted | NotClaimed:
        async with desk.turn:
            if desk.line is not line:
                raise NotYet(0.1)  # the letter was made for another one
            if hindrance := self._hindrance(desk):
                return NotClaimed(hindrance)
            if letter.job.until is not None and self._clock.now() >= letter.job.until:
                return NotClaimed("told_too_long_ago")
            today = self._clock.now().date()
            claimed = await self._claims.claim(letter, desk.day(today))
        if isinstance(claimed, NotClaimed) and claimed.reason == "quota":
            self._come_again_at(_midnight_after(today))
        return claimed

    def _hindrance(self, desk: Desk) -> str:
        """Why the credential is not to be tried now, or "". Raises NotYet where that will soon have passed."""
        now = self._clock.now()
        if self._stopping:
            raise NotYet(3)
        if desk.line.refused:
            return "credential_refused"
        if desk.held_on == now.date():
            self._come_again_at(_midnight_after(now.date()))
            return "held_today"
        if desk.rests_until is not None and now < desk.rests_until:
            self._come_again_at(desk.rests_until)
            return "host_not_reached"
        return ""

    def _come_again_at(self, business: datetime) -> None:
        """Raises NotYet where that is soon: what waits for long gives its place on the bus to others."""
        seconds = self._clock.real_seconds_until(business)
        if seconds <= PATIENCE_SECONDS:
            raise NotYet(seconds + uniform(0, 1))  # noqa: S311  # jitter

    def _give_up(self, account: UUID, claim: DeliveryStarted, cause: UUID) -> None:
        work = insist(lambda: self._records.give_up(account, claim, cause))
        self._go_on(work, f"give up {claim.delivery_id}")

    async def _mail(self, desk: Desk, line: Line, letter: Letter, started: DeliveryStarted, deadline: float) -> None:
        """One message over SMTP, then its outcome in the log, then what the server said."""
        job, began = letter.job, monotonic()
        try:
            ended = await self._converse(line, letter, deadline)
        finally:
            desk.give(monotonic() - began)
        refusal = self._learn(desk, line, started, ended.answer)
        with step("settle", SpanKind.INTERNAL, {"outrider.delivery_id": str(job.delivery_id)}):
            await insist(
                lambda: self._records.settle(job.account_id, job.delivery_id, started.claim, ended.outcome, refusal)
            )
        await self._records.keep_words(job, ended.words, of_credential=refusal is not None)

    async def _converse(self, line: Line, letter: Letter, deadline: float) -> _Ended:
        """How it ended. Where something fails that should not, it is known at least whether anything was begun."""
        mailer, begun = letter.mailer, False
        try:
            content = self._letters.render(letter, self._clock.now())
            begun = True
            about: dict[str, str | int] = {
                "outrider.delivery_id": str(letter.job.delivery_id),
                "outrider.attempt": letter.job.attempt,
            }
            with step("SMTP", SpanKind.CLIENT, about) as span:
                answer = await line.connections.send(
                    mailer.from_email, letter.person.email, content, deadline, span.add_event
                )
                span.set_attribute("outrider.outcome", type(answer).__name__)
        except (CannotRender, BadHeader, BadTemplate) as error:
            return _Ended(Unrenderable(), str(error))
        except Exception as error:  # noqa: BLE001  # a mail whose task ended without an outcome would show as unknown
            _log.exception("mail.failed", delivery=str(letter.job.delivery_id))
            return _Ended(Lost("lost_after_data") if begun else Postponed("not_begun"), type(error).__name__)
        return _Ended(outcome_of(answer), words_of(answer), answer)

    def _learn(
        self, desk: Desk, line: Line, started: DeliveryStarted, answer: smtp.Outcome | None
    ) -> CredentialRefused | None:
        """What the answer says about the credential: it rests at once in this process, the log tells everybody."""
        match answer:
            case smtp.CredentialFailed():
                if answer.kind == "held_today":
                    desk.held_on = started.day
                else:
                    line.refused = True
                return CredentialRefused(
                    credential_id=started.credential_id,
                    campaign_id=started.campaign_id,
                    day=started.day,
                    kind=answer.kind,
                    status_code=status_code(answer.status_code, answer.reply),
                )
            case smtp.NotSent():
                if answer.reason != SHUTDOWN:
                    desk.missed(self._clock.now())
            case smtp.Accepted() | smtp.Rejected() | smtp.Deferred():
                desk.reached()
            case smtp.Unknown() | None:
                pass
        return None

    async def stop(self) -> None:
        """Nothing new is claimed; what is under way ends, or after 8 s is cut and recorded as what is then known."""
        self._stopping = True
        await self._all_ended(GRACE_SECONDS)
        lines = self._desks.connections() | {line for line in self._under_way.values() if line is not None}
        await asyncio.gather(self._all_ended(CUT_SECONDS), *(line.close() for line in lines))
        for task in self._under_way:  # the database is gone: `settle_started` will show what became of these
            task.cancel()

    async def _all_ended(self, seconds: float) -> None:
        """Nothing is under way, or so many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._under_way:
                    await asyncio.wait(list(self._under_way))


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min, UTC)


def _not_claimed(job: SendStep, reason: str) -> None:
    _log.info("not_claimed", delivery=str(job.delivery_id), attempt=job.attempt, reason=reason)
