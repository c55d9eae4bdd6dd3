"""What may have been mailed after a backup: steps that were due and of which the restored log has no outcome."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

from outrider.dispatcher.campaign import campaign
from outrider.events.clock import Clock
from outrider.events.credential import QuotaClaimed
from outrider.events.database import Pool, Row
from outrider.events.delivery import DeliveryStarted
from outrider.events.ids import delivery_id
from outrider.events.log import Log, Write
from outrider.events.tokens import Keyring, find_own_ids
from outrider.sender.delivery import Delivery, delivery, restore
from outrider.sender.quota import day_id, quota_day

PAGE: Final = 2000
AT_ONCE: Final = 100
OPEN: Final = """
select key, account_id, owner, scope, lane, ordinal, due_at, data, claimed
from dispatcher_work.todos
where kind = 'send_step' and done_at is null and lane is not null and key > $1
order by key
limit $2
"""


@dataclass
class Marked:
    """What was recorded about them."""

    sent: int = 0
    unknown: int = 0
    open: int = 0
    """Were due and are not among what was mailed: they go out once their campaign is resumed."""
    met: set[UUID] = field(default_factory=set[UUID])
    """Deliveries of the file that were open."""


def mailed_ids(keys: Keyring, lines: Iterable[str]) -> set[UUID]:
    """The deliveries whose genuine Message-IDs stand in a mail server's log."""
    return {found for line in lines for found in find_own_ids(keys, line)}


class Sends:
    """Marks them."""

    def __init__(self, log: Log, clock: Clock, epoch: int) -> None:
        """`log` appends as the sender: it is the one who says what became of a delivery."""
        self._log = log
        self._clock = clock
        self._epoch = epoch
        self._steps: dict[UUID, Mapping[int, int]] = {}

    async def mark(self, owner: Pool, active: Collection[UUID], mailed: Collection[UUID] | None) -> Marked:
        """Each step of the active campaigns that was due has an outcome, or goes out when they are resumed.

        What was `mailed` is sent, whichever campaign it is of, and the rest of them is not. Where nobody knows (None),
        each is unknown: never repeated by itself, listed, and to be resolved.
        """
        marked, key, now = Marked(), "", self._clock.now()
        while rows := await owner.fetch(OPEN, key, PAGE):
            key = rows[-1]["key"]
            chosen: list[tuple[Row, bool]] = []
            for row in rows:
                named = mailed is not None and delivery_id(row["owner"], row["ordinal"]) in mailed
                due = row["scope"] in active and row["due_at"] <= now
                if named or (due and mailed is None):
                    chosen.append((row, named))
                elif due and not row["claimed"]:  # a claim without an outcome is unknown after a while
                    marked.open += 1
            for first in range(0, len(chosen), AT_ONCE):
                await asyncio.gather(*(self._one(row, named, marked) for row, named in chosen[first : first + AT_ONCE]))
        return marked

    async def _one(self, row: Row, mailed: bool, marked: Marked) -> None:  # noqa: FBT001  # as in the pair
        account, one = row["account_id"], delivery_id(row["owner"], row["ordinal"])
        stream = delivery.stream(one)
        history = await self._log.read_stream(account, stream)
        state = delivery.fold(item.event for item in history)
        claim = await self._claim(row, one, state)
        events = restore(claim, self._clock.now(), state, mailed=mailed)
        if not events:
            return
        cause = uuid5(one, f"restored-{self._epoch}")
        writes = [Write(stream, len(history), events, cause)]
        if claim in events:  # as any claim; which day it was mailed nobody knows, so it counts for this one
            day = quota_day.stream(day_id(claim.credential_id, claim.day))
            counted = QuotaClaimed(credential_id=claim.credential_id, day=claim.day, deliveries=(one,), counted=1)
            writes.append(Write(day, None, [counted], cause))
        await self._log.append(account, *writes)
        if mailed:
            marked.sent += 1
            marked.met.add(one)
        else:
            marked.unknown += 1

    async def _claim(self, row: Row, one: UUID, state: Delivery) -> DeliveryStarted:
        return DeliveryStarted(
            delivery_id=one,
            enrollment_id=row["owner"],
            campaign_id=row["scope"],
            contact_id=row["data"]["contact_id"],
            credential_id=row["lane"],
            position=row["ordinal"],
            attempt=state.attempt + 1,
            claim=uuid5(one, f"claim-restored-{self._epoch}"),
            day=self._clock.now().date(),
            counted=True,
            template_version=(await self._versions(row["account_id"], row["scope"])).get(row["ordinal"], 1),
            planned_at=row["data"]["planned_at"],
        )

    async def _versions(self, account: UUID, of: UUID) -> Mapping[int, int]:
        """Of each step's text, as the campaign stands."""
        if of not in self._steps:
            history = await self._log.read_stream(account, campaign.stream(of))
            state = campaign.fold(item.event for item in history)
            self._steps[of] = {step.position: step.template_version for step in state.steps}
        return self._steps[of]
