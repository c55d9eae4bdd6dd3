"""To-do `enroll_chunk`: the people of an import get their enrollments, 250 at a time; each chunk leads to the next."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from outrider.dispatcher.contact import contact
from outrider.dispatcher.desk import CHUNK, Desk
from outrider.dispatcher.enrolling import Sharing, enroll_as_it_stands, sharing
from outrider.dispatcher.enrollment import Enrollment, Place, Who, enroll, enrollment
from outrider.dispatcher.facts_enrolling import Group, ToEnroll, to_enroll
from outrider.events import todo
from outrider.events.campaign import EnrollImport, ImportEnrolled
from outrider.events.contact import ContactNotFound
from outrider.events.enrollment import SkipKind
from outrider.events.errors import Conflict
from outrider.events.ids import enrollment_id
from outrider.events.log import Expect, Write
from outrider.events.todo import Todo

IS_OVER: Final = """
select true from todos
where kind = 'enroll_chunk' and key = $1 and done_at is not null and not exists (
    select from todos o where o.owner = $2 and o.kind = 'enroll_chunk' and o.done_at is null
)
"""


@dataclass(frozen=True, slots=True)
class Enrolling:
    """What is carried out: the command, and the batch numbers that it was given."""

    command: EnrollImport
    given: ImportEnrolled
    position: int
    """At which they were given."""
    shared: Sharing

    def refuses(self, who: ToEnroll) -> SkipKind | None:
        """Why somebody is skipped. Who was enrolled since was enrolled by this: commands of a campaign keep order."""
        if who.enrolled is not None:
            return "already_enrolled" if who.enrolled < self.position else None
        return who.skip or ("cross_campaign_duplicate" if who.is_taken and self.shared.unique else None)

    def place(self, number: int) -> Place:
        """Of who comes in as that one, from 0; who may come in only since is in the last batch."""
        batch = min(number // (self.given.batch_size or 1), max(0, self.given.batches - 1))
        return Place((self.given.first_batch_number or 1) + batch, ordinal=number)


def enroll_key(command_id: UUID, chunk: int) -> str:
    """The key of the to-do that enrolls this chunk."""
    return f"{command_id}:{chunk}"


async def is_enrolled(desk: Desk, command_id: UUID) -> bool:
    """Whether the last chunk is done; each adds the next one before it is done itself."""
    return bool(await desk.work.fetchval(IS_OVER, enroll_key(command_id, 0), command_id))


async def enroll_chunk(desk: Desk, item: Todo) -> None:
    """Its people are enrolled or skipped; the next chunk waits behind what others have due by now."""
    work = await _enrolling(desk, item)
    after, number = item.data["after"], item.data["place"]
    group = Group(item.account_id, work.given.import_id, work.given.campaign_id, work.shared.outreach_id)
    people = await to_enroll(desk.tables, group, after, CHUNK)
    chosen = [who for who in people if work.refuses(who) is None]
    await asyncio.gather(
        *(_enroll(desk, work, work.place(place), who) for place, who in enumerate(chosen, number) if not who.enrolled)
    )
    await _skip(desk, work, [(who, kind) for who in people if (kind := work.refuses(who)) is not None])
    await desk.kept_pace()
    if len(people) < CHUNK:
        return
    following = Todo(
        item.kind,
        enroll_key(work.command.command_id, item.data["chunk"] + 1),
        item.account_id,
        desk.clock.now(),
        owner=item.owner,
        scope=item.scope,
        data={
            **item.data,
            "chunk": item.data["chunk"] + 1,
            "after": people[-1].added,
            "place": number + len(chosen),
        },
        trace=item.trace,
    )
    async with desk.work.acquire() as db:
        await todo.add(db, [following])


async def _enrolling(desk: Desk, item: Todo) -> Enrolling:
    given = ImportEnrolled.model_validate(item.data["event"])
    command = EnrollImport(
        command_id=UUID(item.data["cause"]),
        account_id=item.account_id,
        campaign_id=given.campaign_id,
        import_id=given.import_id,
    )
    return Enrolling(command, given, item.data["position"], await sharing(desk, item.account_id, given.campaign_id))


async def _enroll(desk: Desk, work: Enrolling, at: Place, who: ToEnroll) -> None:
    """As the facts have it: nobody enrolled, and the contact where they saw it. Otherwise as the streams stand."""
    command, shared = work.command, work.shared
    found = Who(enrollment_id(command.campaign_id, who.contact_id), command.campaign_id, who.contact_id)
    claim = [] if who.is_taken else shared.writes(found, 0, command.command_id)
    kept = replace(at, outreach_id=shared.outreach_id) if claim else at
    events = enroll(found, kept, None, Enrollment())
    try:
        await desk.log.append(
            command.account_id,
            Write(enrollment.stream(found.enrollment_id), 0, events, command.command_id),
            Expect(contact.stream(who.contact_id), who.version),
            *claim,
        )
    except Conflict:
        with suppress(ContactNotFound):  # deleted while we were at it
            await enroll_as_it_stands(desk, command, shared, found, at)


async def _skip(desk: Desk, work: Enrolling, refused: Sequence[tuple[ToEnroll, SkipKind]]) -> None:
    campaign_id, cause = work.command.campaign_id, work.command.command_id

    async def skip(contact_id: UUID, kind: SkipKind) -> None:
        who = Who(enrollment_id(campaign_id, contact_id), campaign_id, contact_id)
        state = Enrollment("pending") if kind == "already_enrolled" else Enrollment()
        events = enroll(who, Place(0), kind, state)
        await desk.log.append(work.command.account_id, Write(enrollment.stream(who.enrollment_id), None, events, cause))

    await asyncio.gather(*(skip(who.contact_id, kind) for who, kind in refused))
