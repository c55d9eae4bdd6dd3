"""What decisions about campaigns and their credentials make of the to-dos: sends to hold, time anew and hand over."""

from collections.abc import Sequence
from uuid import UUID

from outrider.dispatcher.holds import hold, hold_for_retiming, release, replace_credentials
from outrider.dispatcher.todos_caused import caused
from outrider.dispatcher.todos_sending import NAME
from outrider.events import todo
from outrider.events.campaign import (
    BatchDispatched,
    CampaignChanged,
    CampaignDeleted,
    CampaignPaused,
    CampaignResumed,
    ImportEnrolled,
    StepsChanged,
)
from outrider.events.credential import (
    CredentialAdded,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
    CredentialReplaced,
)
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.projector import Projection
from outrider.events.todo import Todo

campaigns = Projection(NAME)


@campaigns.on(ImportEnrolled)
async def import_enrolled(db: Db, events: Sequence[Recorded[ImportEnrolled]]) -> None:
    """Its first chunk is to be enrolled; each chunk leads to the next."""
    await todo.add(
        db,
        [
            caused(
                item,
                "enroll_chunk",
                f"{item.cause}:0",
                owner=item.cause,
                scope=item.event.campaign_id,
                data={
                    "event": item.event.as_json(),
                    "cause": str(item.cause),
                    "position": item.position,
                    "chunk": 0,
                    "after": 0,
                    "place": 0,
                },
            )
            for item in events
        ],
    )


@campaigns.on(BatchDispatched)
async def batch_dispatched(db: Db, events: Sequence[Recorded[BatchDispatched]]) -> None:
    """It is to be planned."""
    await todo.add(
        db,
        [
            caused(
                item,
                "plan_batch",
                f"{item.event.campaign_id}:{item.cause}",
                owner=item.event.campaign_id,
                scope=item.event.campaign_id,
                data={"event": item.event.as_json(), "dispatch_id": str(item.cause), "position": item.position},
            )
            for item in events
        ],
    )


@campaigns.on(CampaignPaused)
async def campaign_paused(db: Db, events: Sequence[Recorded[CampaignPaused]]) -> None:
    """Nothing of it is told."""
    await hold(db, {item.event.campaign_id: "paused" for item in events})


@campaigns.on(CampaignResumed)
async def campaign_resumed(db: Db, events: Sequence[Recorded[CampaignResumed]]) -> None:
    """It is told again once what became overdue is spaced anew."""
    for item in events:
        await _retime(db, item, "resumed", held=item.event.campaign_id)
    await release(db, "paused", [item.event.campaign_id for item in events])
    await replace_credentials(db, events)


@campaigns.on(CampaignChanged)
async def campaign_changed(db: Db, events: Sequence[Recorded[CampaignChanged]]) -> None:
    """What is not due yet follows the new window."""
    for item in events:
        await _retime(db, item, "settings_changed")


@campaigns.on(StepsChanged)
async def steps_changed(db: Db, events: Sequence[Recorded[StepsChanged]]) -> None:
    """Follow-ups behind a step whose delay is another one move with it."""
    for item in events:
        if item.event.delay_of is not None:
            await _retime(db, item, "settings_changed", delay_of=item.event.delay_of)


@campaigns.on(CampaignDeleted)
async def campaign_deleted(db: Db, events: Sequence[Recorded[CampaignDeleted]]) -> None:
    """Nothing of it fires; its enrollments end, its credentials go."""
    gone = [item.event.campaign_id for item in events]
    await hold(db, dict.fromkeys(gone, "deleted"))
    await db.execute(
        "update todos set done_at = clock_timestamp(), error = 'cancelled' where scope = any($1) and done_at is null",
        gone,
    )
    await todo.add(
        db,
        [
            caused(
                item,
                "delete_campaign",
                str(item.event.campaign_id),
                owner=item.event.campaign_id,
                data={"event": item.event.as_json(), "cause": str(item.cause)},
            )
            for item in events
        ],
    )


@campaigns.on(CredentialDisabled)
async def credential_disabled(db: Db, events: Sequence[Recorded[CredentialDisabled]]) -> None:
    """Nothing is told through it; its campaign may have none left."""
    await hold(db, {item.event.credential_id: "disabled" for item in events})
    await todo.add(db, [_pause(item) for item in events])
    await replace_credentials(db, events)


@campaigns.on(CredentialRemoved)
async def credential_removed(db: Db, events: Sequence[Recorded[CredentialRemoved]]) -> None:
    """Nothing is told through it; its campaign may have none left."""
    await hold(db, {item.event.credential_id: "removed" for item in events})
    await todo.add(db, [_pause(item) for item in events])
    await replace_credentials(db, events)


@campaigns.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """Others may be waiting for one that takes over."""
    await replace_credentials(db, events)


@campaigns.on(CredentialReplaced)
async def credential_replaced(db: Db, events: Sequence[Recorded[CredentialReplaced]]) -> None:
    """Its open steps are to get another credential, and times that fit it."""
    for item in events:
        await _retime(db, item, "hand_over", of=item.event.credential_id)


def _pause(item: Recorded[CredentialDisabled | CredentialRemoved]) -> Todo:
    campaign_id, key = item.event.campaign_id, f"{item.event.campaign_id}:{item.position}"
    data = {"credential_id": str(item.event.credential_id)}
    return caused(item, "pause_campaign", key, owner=campaign_id, scope=campaign_id, data=data)


@campaigns.on(CredentialReenabled)
async def credential_reenabled(db: Db, events: Sequence[Recorded[CredentialReenabled]]) -> None:
    """It is used again once what became overdue is spaced anew."""
    for item in events:
        await _retime(db, item, "resumed", held=item.event.credential_id)
    await release(db, "disabled", [item.event.credential_id for item in events])
    await replace_credentials(db, events)


async def _retime(  # noqa: PLR0913  # what moves, and why
    db: Db,
    item: Recorded[CampaignResumed | CampaignChanged | StepsChanged | CredentialReenabled | CredentialReplaced],
    reason: str,
    *,
    held: UUID | None = None,
    delay_of: int | None = None,
    of: UUID | None = None,
) -> None:
    """The campaign's open steps are to be timed anew, or those `of` a credential; `held` waits for it."""
    campaign_id, key = item.event.campaign_id, f"{item.event.campaign_id}:{item.position}"
    data = {"reason": reason, "delay_of": delay_of, "of": None if of is None else str(of)}
    found = caused(item, "retime", key, owner=campaign_id, scope=campaign_id, data=data)
    if held is None:
        await todo.add(db, [found])
    else:
        await hold_for_retiming(db, found, held)
