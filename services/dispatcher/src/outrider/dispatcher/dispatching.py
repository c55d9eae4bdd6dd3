"""To-do `plan_batch`: everything pending at the dispatch gets its credential and its times, or is skipped."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice, repeat
from sys import intern
from typing import Final
from uuid import UUID, uuid5

from outrider.dispatcher import facts
from outrider.dispatcher.campaign import Campaign, batch_planned, campaign
from outrider.dispatcher.desk import CHUNK, INLINE, Desk, chunks
from outrider.dispatcher.enrollment import Enrollment, Schedule, Who, enrollment, schedule, skip_at_dispatch
from outrider.dispatcher.facts import CredentialUse, Pending
from outrider.dispatcher.mx import MxResolver
from outrider.dispatcher.planning import Candidate, Planned, PlanTooLong, plan
from outrider.events import vault
from outrider.events.campaign import BatchDispatched, BatchPlanned
from outrider.events.enrollment import SkipKind
from outrider.events.errors import Conflict
from outrider.events.ids import BadAddress, domain_of, parse_address, shard
from outrider.events.log import Write
from outrider.events.message import Event, Json
from outrider.events.telemetry import logger
from outrider.events.todo import Todo
from outrider.events.windows import CONTACT, window_of

PEOPLE: Final = 1000
"""Read from the vault at once."""
MX_SECONDS: Final = 3.0
"""Of a handler; what is not answered by then goes out."""
OUTCOME = """
select count(*) filter (where type = 'StepsScheduled') as scheduled,
    count(*) filter (where type = 'EnrollmentSkipped') as skipped,
    min((data -> 'steps' -> 0 ->> 'at')::timestamptz) as first,
    max((data -> 'steps' -> 0 ->> 'at')::timestamptz) as last
from log.events
where shard = $1 and cause = $2
"""
Decide = Callable[[Enrollment], Sequence[Event]]
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """What a plan needs to know of somebody."""

    zone: str | None
    domain: str
    """Empty where the address is none."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What is to be planned."""

    account_id: UUID
    dispatch_id: UUID
    event: BatchDispatched
    position: int

    @property
    def campaign_id(self) -> UUID:
        """Of the batch."""
        return self.event.campaign_id


def plan_key(campaign_id: UUID, dispatch_id: UUID) -> str:
    """The key of the to-do that plans this dispatch."""
    return f"{campaign_id}:{dispatch_id}"


def plan_for(  # noqa: PLR0913, PLR0917  # the planner's own arguments
    state: Campaign,
    pending: Sequence[Pending],
    people: Mapping[UUID, Person],
    uses: Sequence[CredentialUse],
    event: BatchDispatched,
    last_start_of: Mapping[UUID, datetime],
) -> Iterator[Planned]:
    """The plan of the batch with the campaign's settings. Raises PlanTooLong where it comes to that."""
    settings = state.settings
    return plan(
        [
            Candidate(
                item.enrollment_id,
                item.priority,
                place,
                people[item.contact_id].zone if item.contact_id in people else None,
            )
            for place, item in enumerate(pending)
        ],
        [use.capacity(event.at.astimezone(UTC).date()) for use in uses],
        delays=[step.delay_minutes for step in state.steps],
        min_wait=settings.min_wait_seconds,
        max_wait=settings.max_wait_seconds,
        spacing=settings.spacing,
        window=window_of(settings.send_window),
        seed=event.seed,
        start=event.at,
        last_start=max(last_start_of.values(), default=None),
        last_start_of=last_start_of,
    )


async def plan_batch(desk: Desk, resolver: MxResolver, item: Todo) -> None:
    """Gather, skip, plan, write, and say that it is done. Begun again, it goes on where it stood."""
    await desk.fresh()
    dispatch = Dispatch(
        item.account_id,
        UUID(item.data["dispatch_id"]),
        BatchDispatched.model_validate(item.data["event"]),
        item.data["position"],
    )
    state = await campaign_state(desk, dispatch.account_id, dispatch.campaign_id)
    if not state.exists or dispatch.event.batch_number not in state.planning:
        return
    pending = await facts.pending_in(desk.tables, dispatch.campaign_id, dispatch.event.batch_number, dispatch.position)
    people = await people_of(desk, dispatch.account_id, state, pending)
    skips = await _skips(resolver, state, pending, people)
    await _skip(desk, dispatch, pending, skips)
    await _plan(desk, dispatch, state, [found for found in pending if found.enrollment_id not in skips], people)
    await _say_planned(desk, dispatch)


async def campaign_state(desk: Desk, account_id: UUID, campaign_id: UUID) -> Campaign:
    """The campaign from its stream."""
    history = await desk.log.read_stream(account_id, campaign.stream(campaign_id))
    return campaign.fold(found.event for found in history)


async def people_of(desk: Desk, account_id: UUID, state: Campaign, pending: Sequence[Pending]) -> Mapping[UUID, Person]:
    """The persons by contact, where the plan needs their zone or their domain; nothing otherwise."""
    window = state.settings.send_window
    found: dict[UUID, Person] = {}
    if state.settings.verify_email_mx or (window is not None and window.timezone == CONTACT):
        for part in chunks(pending, PEOPLE):
            people = await vault.get_many(desk.log_pool, account_id, [item.contact_id for item in part], "person")
            found.update((contact, _person(shown)) for contact, shown in people.items())
    return found


def _person(shown: Json) -> Person:
    zone = shown.get("timezone")
    return Person(intern(zone) if zone else None, intern(_domain(shown)))


def _domain(shown: Json) -> str:
    try:
        return domain_of(parse_address(shown["email"]))
    except BadAddress:
        return ""


async def _skips(
    resolver: MxResolver, state: Campaign, pending: Sequence[Pending], people: Mapping[UUID, Person]
) -> Mapping[UUID, SkipKind]:
    """Why, by enrollment, some must not be planned: what the contact says, then what its domain says."""
    skips: dict[UUID, SkipKind] = {item.enrollment_id: item.skip for item in pending if item.skip is not None}
    if state.settings.verify_email_mx:
        domains = {
            item.enrollment_id: people[item.contact_id].domain
            for item in pending
            if item.enrollment_id not in skips and item.contact_id in people and people[item.contact_id].domain
        }
        none = await _take_none(resolver, sorted(set(domains.values())), len(pending))
        skips |= {found: "mx_invalid" for found, domain in domains.items() if domain in none}
    return skips


async def _take_none(resolver: MxResolver, domains: Sequence[str], pending: int) -> set[str]:
    """Those that take no mail. A handler waits for 3 s in all; a large batch has as long for every 250 domains.

    When nothing at all is answered the name servers are down: nobody is skipped, and nobody waits for the rest.
    """
    none: set[str] = set()
    for part in chunks(domains, max(1, len(domains)) if pending <= INLINE else CHUNK):
        verdicts = await resolver.verdicts(part, MX_SECONDS)
        none |= {domain for domain, verdict in verdicts.items() if verdict == "takes_none"}
        if set(verdicts.values()) == {"unknown"}:
            _log.warning("mx.no_answer", domains=len(domains))
            break
    return none


async def _skip(desk: Desk, dispatch: Dispatch, pending: Sequence[Pending], skips: Mapping[UUID, SkipKind]) -> None:
    for part in chunks([item for item in pending if item.enrollment_id in skips]):
        decisions = [
            partial(
                skip_at_dispatch,
                Who(item.enrollment_id, dispatch.campaign_id, item.contact_id),
                dispatch.event.batch_number,
                skips[item.enrollment_id],
            )
            for item in part
        ]
        await asyncio.gather(*map(_record, repeat(desk), repeat(dispatch), part, decisions))


async def _plan(
    desk: Desk, dispatch: Dispatch, state: Campaign, pending: Sequence[Pending], people: Mapping[UUID, Person]
) -> None:
    now = desk.clock.now()
    uses = await facts.credentials_in_use(desk.tables, dispatch.campaign_id, now)
    last = await facts.last_starts(desk.tables, dispatch.campaign_id, dispatch.event.batch_number, dispatch.dispatch_id)
    if not pending or not uses:
        return
    start = dispatch.event if dispatch.event.at.date() == now.date() else replace_start(dispatch.event, now)
    by_id = {item.enrollment_id: item for item in pending}
    try:
        plan = await asyncio.to_thread(plan_for, state, pending, people, uses, start, last)
        while part := await asyncio.to_thread(_next, plan):
            await _schedule(desk, dispatch, part, by_id)
            await desk.kept_pace()
    except PlanTooLong:  # it was not when it was dispatched: what was written since made it so
        _log.warning("plan.too_long", campaign_id=str(dispatch.campaign_id), batch_number=dispatch.event.batch_number)


def _next(plan: Iterator[Planned]) -> list[Planned]:
    return list(islice(plan, CHUNK))


async def _schedule(desk: Desk, dispatch: Dispatch, part: Sequence[Planned], by_id: Mapping[UUID, Pending]) -> None:
    items = [by_id[found.enrollment_id] for found in part]
    decisions = [
        partial(
            schedule,
            Who(item.enrollment_id, dispatch.campaign_id, item.contact_id),
            Schedule(dispatch.dispatch_id, dispatch.event.batch_number, found.credential_id, found.times, found.reason),
        )
        for item, found in zip(items, part, strict=True)
    ]
    await asyncio.gather(*map(_record, repeat(desk), repeat(dispatch), items, decisions))


def replace_start(event: BatchDispatched, now: datetime) -> BatchDispatched:
    """The dispatch as if it was made now: its own day is over, and has no room any more."""
    return event.model_copy(update={"at": now})


async def _record(desk: Desk, dispatch: Dispatch, item: Pending, decide: Decide) -> None:
    """As the facts have it: pending at that version. Where the stream has moved on, as it stands."""
    stream, events = enrollment.stream(item.enrollment_id), decide(Enrollment("pending"))
    try:
        await desk.log.append(dispatch.account_id, Write(stream, item.version, events, dispatch.dispatch_id))
    except Conflict:
        await desk.log.transact(dispatch.account_id, enrollment, item.enrollment_id, decide, cause=dispatch.dispatch_id)


async def _say_planned(desk: Desk, dispatch: Dispatch) -> None:
    row = await desk.log_pool.fetchrow(OUTCOME, shard(dispatch.account_id), dispatch.dispatch_id)
    if row is None:
        return
    planned = BatchPlanned(
        campaign_id=dispatch.campaign_id,
        batch_number=dispatch.event.batch_number,
        dispatch_id=dispatch.dispatch_id,
        scheduled=row["scheduled"],
        skipped=row["skipped"],
        first_send_at=row["first"],
        last_send_at=row["last"],
    )
    await desk.log.transact(
        dispatch.account_id,
        campaign,
        dispatch.campaign_id,
        partial(batch_planned, planned),
        cause=uuid5(dispatch.dispatch_id, "planned"),
    )
