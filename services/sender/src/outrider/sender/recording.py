"""Recording: what became of a claim, in one append, whatever is lost meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID, uuid5

from outrider.events.clock import Clock
from outrider.events.credential import CredentialRefused
from outrider.events.database import Pool, passing
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
    SendStep,
)
from outrider.events.errors import Conflict
from outrider.events.log import Appended, Log, Write
from outrider.events.message import Event, Json
from outrider.events.telemetry import SENDS, logger
from outrider.sender.delivery import Outcome, Postponed, delivery, frees_quota, give_up, settle
from outrider.sender.quota import day_id, quota_day, release

LONGEST_WAIT_SECONDS = 5.0
OUTCOMES: Final = (EmailSent, EmailBounced, DeliveryDeferred, DeliveryFailed, DeliveryUnknown)
KEEP_WORDS = "select log.keep_words($1, $2, $3, $4, $5)"
"""Only while the owner is there, which it answers: what a server said may name people, and must not outlive them."""
_log = logger(__name__)


class Records:
    """Records what became of claims."""

    def __init__(self, log: Log, vault: Pool, clock: Clock) -> None:
        """`vault` is on the log's database."""
        self._log = log
        self._vault = vault
        self._clock = clock
        for outcome in OUTCOMES:
            SENDS.labels(outcome.name)  # shown as 0: an alert cannot see a series begin

    async def settle(
        self, account: UUID, delivery_id: UUID, claim: UUID, outcome: Outcome, refusal: CredentialRefused | None = None
    ) -> Event | None:
        """Record what this outcome of that claim leads to, with the place that it frees on the credential's day.

        None where that claim has an outcome already, or is not the newest: another claim is somebody else's business.
        """
        stream = delivery.stream(delivery_id)
        jitter = _jitter()
        while True:
            history = await self._log.read_stream(account, stream)
            state = delivery.fold(item.event for item in history)
            started = state.started
            if started is None or started.claim != claim:
                return None
            events = settle(outcome, self._clock.now(), jitter, state)
            if not events:
                return None
            cause = uuid5(claim, f"outcome-{len(history)}")
            on_the_day: list[Event] = []
            if frees_quota(events[0]):
                on_the_day.append(release(started.credential_id, started.day, delivery_id, counted=started.counted))
            if refusal is not None:
                on_the_day.append(refusal)
            writes = [Write(stream, len(history), events, cause)]
            if on_the_day:
                day = quota_day.stream(day_id(started.credential_id, started.day))
                writes.append(Write(day, None, on_the_day, cause))
            try:
                await self._log.append(account, *writes)
            except Conflict:
                continue
            SENDS.labels(events[0].name).inc()
            _log.info("settled", delivery=str(delivery_id), attempt=started.attempt, outcome=events[0].name)
            return events[0]

    async def give_up(self, account: UUID, claim: DeliveryStarted, cause: UUID) -> None:
        """An append broke off that may have recorded this claim, or may still record it: it ends without a mail.

        Where the claim stands, that nothing was begun is its outcome. Where it does not, the end of the attempt is
        recorded under the claim's own `cause`, so that the broken append finds it and records nothing.
        """
        stream = delivery.stream(claim.delivery_id)
        jitter = _jitter()
        while True:
            history = await self._log.read_stream(account, stream)
            events = give_up(claim, self._clock.now(), jitter, delivery.fold(item.event for item in history))
            if not events:
                break
            try:
                verdict = await self._log.append(account, Write(stream, len(history), events, cause))
            except Conflict:
                continue
            if isinstance(verdict, Appended):
                return
        await self.settle(account, claim.delivery_id, claim.claim, Postponed("not_begun"))

    async def keep_words(self, job: SendStep, words: str, *, of_credential: bool) -> None:
        """What the server said lies with the person, and with the credential where it is about that one.

        Only as far as the database is there, and nowhere once the person is forgotten: the outcome stands without.
        """
        reply: Json = {"reply": words}
        name = f"smtp-reply-{job.delivery_id}-{job.attempt}"
        try:
            async with self._vault.acquire() as db, db.transaction():  # forgetting the person waits for both
                known = await db.fetchval(KEEP_WORDS, job.contact_id, "person", name, reply, job.account_id)
                if known and of_credential:
                    await db.execute(KEEP_WORDS, job.credential_id, "server", "smtp_error", reply, job.account_id)
        except Exception as error:
            if not passing(error):
                raise
            _log.warning("words.lost", delivery=str(job.delivery_id), attempt=job.attempt)


async def insist(record: Callable[[], Awaitable[object]]) -> None:
    """It is recorded, however long that takes: what SMTP did is known only here. Ends otherwise only by cancelling."""
    wait = 0.1
    while True:
        try:
            await record()
        except Exception as error:  # noqa: BLE001  # an outcome that is not recorded is a mail that nobody knows of
            if passing(error):
                _log.warning("record.waits", error=repr(error)[:300])
            else:
                _log.exception("record.failed")
            await asyncio.sleep(wait)
            wait = min(LONGEST_WAIT_SECONDS, wait * 2)
        else:
            return


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311  # spreads retries
