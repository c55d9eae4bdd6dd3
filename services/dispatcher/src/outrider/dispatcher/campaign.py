"""Campaign: what it remembers, and one decision per command. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from outrider.dispatcher.contact import ImportStatus
from outrider.events.aggregate import Aggregate
from outrider.events.campaign import (
    LAST_BATCH_NUMBER,
    AddStep,
    BatchDispatched,
    BatchNumbersUsedUp,
    BatchPlanned,
    CampaignActivated,
    CampaignAlreadyDispatched,
    CampaignChanged,
    CampaignCompleted,
    CampaignCreated,
    CampaignDeleted,
    CampaignIsPaused,
    CampaignNotActive,
    CampaignNotFound,
    CampaignNotPaused,
    CampaignPaused,
    CampaignReopened,
    CampaignResumed,
    CampaignSettings,
    ChangeCampaign,
    ChangeStep,
    CreateCampaign,
    DailyLimitReached,
    DeleteCampaign,
    DeleteStep,
    DispatchBatch,
    EnrollImport,
    ImportEnrolled,
    NoPendingEnrollments,
    NoSequenceSteps,
    NoSmtpCredentials,
    PauseCampaign,
    PlanLimitReached,
    PlanTooLong,
    ResumeCampaign,
    SequenceStepNotFound,
    StepPlan,
    StepsChanged,
)
from outrider.events.contact import ContactImportFailed, ContactImportNotFound
from outrider.events.errors import ValidationFailed
from outrider.events.gates import plan_closed
from outrider.events.message import Event

MOST_BATCHES: Final = 10_000
"""Of one enroll: every answer about the campaign lists them all."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is remembered of a campaign."""

    status: Literal["absent", "pending", "active", "paused", "deleted"] = "absent"
    settings: CampaignSettings = field(default_factory=CampaignSettings)
    steps: tuple[StepPlan, ...] = ()
    highest_batch: int = 0
    planning: frozenset[int] = frozenset()
    """Batches that were dispatched and are not planned to the end."""
    dispatched: bool = False
    completed: bool = False

    @property
    def exists(self) -> bool:
        """Whether a command may be about it."""
        return self.status not in {"absent", "deleted"}


@dataclass(frozen=True, slots=True)
class EnrollFacts:
    """What the decision needs to know of the import."""

    import_status: ImportStatus
    people: int
    """How many it has."""
    contacts: int
    """How many of these may be enrolled."""
    highest_batch: int
    """Of the campaign's enrollments."""


@dataclass(frozen=True, slots=True)
class DispatchFacts:
    """What the decision needs from outside its stream, read just before it."""

    usable_credentials: int
    monthly_limit: int | None
    period_sends: int
    """Messages accepted in this UTC calendar month."""
    pending: Mapping[int, int]
    """Batch number -> how many are pending."""
    left_today: int
    """What the usable credentials may still send on this UTC day, first steps planned for it taken off."""
    too_long: bool
    """The plan would last over a year."""
    seed: int
    at: datetime


def evolve(state: Campaign, event: Event) -> Campaign:  # noqa: C901, PLR0911  # one line an event
    """The state after the event."""
    match event:
        case CampaignCreated(settings=settings, steps=steps):
            return replace(state, status="pending", settings=settings, steps=steps)
        case CampaignChanged(settings=settings):
            return replace(state, settings=settings)
        case StepsChanged(steps=steps):
            return replace(state, steps=steps)
        case CampaignActivated() | CampaignResumed():
            return replace(state, status="active")
        case CampaignPaused():
            return replace(state, status="paused")
        case CampaignDeleted():
            return replace(state, status="deleted")
        case CampaignCompleted():
            return replace(state, completed=True)
        case CampaignReopened():
            return replace(state, completed=False)
        case ImportEnrolled(first_batch_number=first, batches=batches) if first is not None:
            return replace(state, highest_batch=max(state.highest_batch, first + batches - 1))
        case BatchDispatched(batch_number=batch):
            return replace(state, planning=state.planning | {batch}, dispatched=True, completed=False)
        case BatchPlanned(batch_number=batch):
            return replace(state, planning=state.planning - {batch})
        case _:
            return state


campaign = Aggregate("campaign", Campaign(), evolve)


def create(command: CreateCampaign, state: Campaign) -> Sequence[Event]:
    """The campaign exists, pending."""
    if state.status != "absent":
        return []
    return [CampaignCreated(campaign_id=command.campaign_id, settings=command.settings, steps=command.steps)]


def change(command: ChangeCampaign, state: Campaign) -> Sequence[Event]:
    """The settings that the command names hold, beside those that do. Raises ValidationFailed where they do not fit."""
    if not state.exists:
        raise CampaignNotFound
    named = CampaignSettings.model_fields if command.fields is None else command.fields
    settings = state.settings.model_copy(update={name: getattr(command.settings, name) for name in named})
    if settings.max_wait_seconds < settings.min_wait_seconds:  # another command has changed the other one meanwhile
        message = "must not be less than min_wait_seconds"
        raise ValidationFailed([{"field": "campaign.max_wait_seconds", "message": message}])
    return [] if settings == state.settings else [CampaignChanged(campaign_id=command.campaign_id, settings=settings)]


def change_step(command: ChangeStep, state: Campaign) -> Sequence[Event]:
    """What the command names of the step is as it has it; its texts are those of the command's template version."""
    former = step_at(command.step.position, state)
    named = [name for name in ("delay_minutes", "thread") if command.fields is None or name in command.fields]
    changes = {name: getattr(command.step, name) for name in ("template_version", *named)}
    changed = former.model_copy(update=changes)
    if former == changed:
        return []
    steps = tuple(changed if step is former else step for step in state.steps)
    delayed = former.position if former.delay_minutes != changed.delay_minutes else None
    return [StepsChanged(campaign_id=command.campaign_id, steps=steps, delay_of=delayed)]


def step_at(position: int, state: Campaign) -> StepPlan:
    """The step at that position. Raises CampaignNotFound, SequenceStepNotFound."""
    if not state.exists:
        raise CampaignNotFound
    for step in state.steps:
        if step.position == position:
            return step
    raise SequenceStepNotFound


def add_step(command: AddStep, state: Campaign) -> Sequence[Event]:
    """It is the last one."""
    if not state.exists:
        raise CampaignNotFound
    if command.step in state.steps:
        return []
    if state.dispatched:
        raise CampaignAlreadyDispatched
    if command.step.position != len(state.steps) + 1:  # another one was added, or one deleted, meanwhile
        raise SequenceStepNotFound
    return [StepsChanged(campaign_id=command.campaign_id, steps=(*state.steps, command.step))]


def delete_step(command: DeleteStep, state: Campaign) -> Sequence[Event]:
    """It is gone, and those behind it have moved up."""
    if not state.exists:
        raise CampaignNotFound
    if state.dispatched:
        raise CampaignAlreadyDispatched
    if command.position + len(command.moved) != len(state.steps):  # there is none, or their number has changed
        raise SequenceStepNotFound
    steps = (*state.steps[: command.position - 1], *command.moved)
    return [StepsChanged(campaign_id=command.campaign_id, steps=steps)]


def delete(command: DeleteCampaign, state: Campaign) -> Sequence[Event]:
    """It is gone."""
    if not state.exists:
        raise CampaignNotFound
    return [CampaignDeleted(campaign_id=command.campaign_id)]


def enroll_import(command: EnrollImport, facts: EnrollFacts, state: Campaign) -> Sequence[Event]:
    """The contacts that may be enrolled have their batch numbers; nothing when nobody is in the import.

    Raises ValidationFailed where there would be too many batches.
    """
    if not state.exists:
        raise CampaignNotFound
    if facts.import_status in {"absent", "deleted"}:
        raise ContactImportNotFound
    if facts.import_status == "failed":
        raise ContactImportFailed
    if not facts.people:
        return []
    size = command.batch_size or facts.contacts
    batches = -(-facts.contacts // size) if facts.contacts else 0
    if batches > MOST_BATCHES:
        least = -(-facts.contacts // MOST_BATCHES)
        message = f"must be at least {least}, for at most {MOST_BATCHES} batches"
        raise ValidationFailed([{"field": "batch_size", "message": message}])
    last = max(state.highest_batch, facts.highest_batch)
    if batches and last + batches > LAST_BATCH_NUMBER:
        raise BatchNumbersUsedUp
    return [
        ImportEnrolled(
            campaign_id=command.campaign_id,
            import_id=command.import_id,
            contacts=facts.contacts,
            first_batch_number=last + 1 if batches else None,
            batches=batches,
            batch_size=size,
            people=facts.people,
        )
    ]


def batch_of(command: DispatchBatch, pending: Collection[int], state: Campaign) -> int | None:
    """The batch named, or the lowest, of those with somebody pending that are not being planned; None without one."""
    batches = set(pending) - state.planning
    if command.batch_number is None:
        return min(batches, default=None)
    return command.batch_number if command.batch_number in batches else None


def dispatch(command: DispatchBatch, facts: DispatchFacts, state: Campaign) -> Sequence[Event]:
    """Everything pending in the batch is to be planned; the first dispatch activates the campaign."""
    if not state.exists:
        raise CampaignNotFound
    if state.status == "paused":
        raise CampaignIsPaused
    if not state.steps:
        raise NoSequenceSteps
    if not facts.usable_credentials:
        raise NoSmtpCredentials
    if plan_closed(facts.monthly_limit, facts.period_sends):
        raise PlanLimitReached(current_period_sends=facts.period_sends, monthly_limit=facts.monthly_limit)
    batch = batch_of(command, facts.pending, state)
    if batch is None:
        raise NoPendingEnrollments
    if facts.left_today <= 0:
        raise DailyLimitReached
    if facts.too_long:
        raise PlanTooLong
    dispatched = BatchDispatched(
        campaign_id=command.campaign_id,
        batch_number=batch,
        seed=facts.seed,
        at=facts.at,
        pending=facts.pending[batch],
    )
    return (
        [CampaignActivated(campaign_id=command.campaign_id), dispatched] if state.status == "pending" else [dispatched]
    )


def batch_planned(planned: BatchPlanned, state: Campaign) -> Sequence[Event]:
    """The dispatch is planned to its end."""
    return [planned] if planned.batch_number in state.planning else []


def pause(command: PauseCampaign, state: Campaign) -> Sequence[Event]:
    """Nothing is claimed any more."""
    if not state.exists:
        raise CampaignNotFound
    if state.status != "active":
        raise CampaignNotActive
    return [CampaignPaused(campaign_id=command.campaign_id)]


def pause_without_credential(campaign_id: UUID, usable_credentials: int, state: Campaign) -> Sequence[Event]:
    """A campaign that nothing can be mailed through waits for its owner."""
    if usable_credentials or state.status != "active":
        return []
    return [CampaignPaused(campaign_id=campaign_id, reason="no_usable_credential")]


def pause_restored(campaign_id: UUID, state: Campaign) -> Sequence[Event]:
    """One that was under way in a backup waits until somebody has looked what became of its mail since."""
    under_way = state.status == "active" and not state.completed
    return [CampaignPaused(campaign_id=campaign_id, reason="restored")] if under_way else []


def resume(command: ResumeCampaign, usable_credentials: int, state: Campaign) -> Sequence[Event]:
    """Claims are permitted again."""
    if not state.exists:
        raise CampaignNotFound
    if state.status != "paused":
        raise CampaignNotPaused
    if not usable_credentials:
        raise NoSmtpCredentials
    return [CampaignResumed(campaign_id=command.campaign_id)]


def complete(campaign_id: UUID, running: int, state: Campaign) -> Sequence[Event]:
    """No enrollment has a step left: `running` counts those that wait or go on."""
    if running or state.completed or state.planning or not state.dispatched or not state.exists:
        return []
    return [CampaignCompleted(campaign_id=campaign_id)]


def reopen(campaign_id: UUID, state: Campaign) -> Sequence[Event]:
    """A step of it is to be sent after all: it is complete no more."""
    return [CampaignReopened(campaign_id=campaign_id)] if state.completed and state.exists else []
