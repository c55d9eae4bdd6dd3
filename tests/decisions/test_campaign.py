"""Decisions about campaigns."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.dispatcher.campaign import (
    Campaign,
    DispatchFacts,
    EnrollFacts,
    add_step,
    batch_planned,
    campaign,
    change,
    change_step,
    complete,
    create,
    delete,
    delete_step,
    dispatch,
    enroll_import,
    pause,
    pause_restored,
    pause_without_credential,
    reopen,
    resume,
)
from outrider.dispatcher.contact import ImportStatus
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
from outrider.events.errors import Refused, ValidationFailed
from outrider.events.message import Command, Event
from outrider.events.testing import given

A, C, M, I, X = (UUID(int=n) for n in range(1, 6))  # noqa: E741  # an import
T = datetime(2026, 11, 23, 9, tzinfo=UTC)
SETTINGS = CampaignSettings()
OTHER = CampaignSettings(bounce_rate_threshold=10.0)
STEP = StepPlan(position=1, delay_minutes=0, thread=False)
CREATED = CampaignCreated(campaign_id=M, settings=SETTINGS, steps=(STEP,))
ACTIVATED = CampaignActivated(campaign_id=M)
PAUSED = CampaignPaused(campaign_id=M)
RESUMED = CampaignResumed(campaign_id=M)
DELETED = CampaignDeleted(campaign_id=M)
CHANGED = CampaignChanged(campaign_id=M, settings=OTHER)
COMPLETED = CampaignCompleted(campaign_id=M)
DISPATCHED = BatchDispatched(campaign_id=M, batch_number=1, seed=7, at=T, pending=40)
PLANNED = BatchPlanned(
    campaign_id=M, batch_number=1, dispatch_id=X, scheduled=40, skipped=0, first_send_at=T, last_send_at=T
)
ENROLLED = ImportEnrolled(
    campaign_id=M, import_id=I, contacts=5, first_batch_number=3, batches=3, batch_size=2, people=6
)
FACTS = DispatchFacts(
    usable_credentials=2,
    monthly_limit=None,
    period_sends=0,
    pending={1: 40, 2: 10},
    left_today=400,
    too_long=False,
    seed=7,
    at=T,
)
ALONE = replace(FACTS, pending={1: 40})
ENROLL = EnrollImport(command_id=C, account_id=A, campaign_id=M, import_id=I, batch_size=2)
FIVE = EnrollFacts(import_status="completed", people=6, contacts=5, highest_batch=2)
NOBODY = ENROLLED.model_copy(update={"contacts": 0, "first_batch_number": None, "batches": 0})
CREATE = partial(
    create, CreateCampaign(command_id=C, account_id=A, campaign_id=M, settings=SETTINGS, steps=(STEP,), credentials=())
)
CHANGE = partial(change, ChangeCampaign(command_id=C, account_id=A, campaign_id=M, settings=OTHER))
DELETE = partial(delete, DeleteCampaign(command_id=C, account_id=A, campaign_id=M))
PAUSE = partial(pause, PauseCampaign(command_id=C, account_id=A, campaign_id=M))
COMPLETE = partial(complete, M, 0)
PLAN = partial(batch_planned, PLANNED)
Decide = Callable[[Campaign], Sequence[Event]]
LATER, SECOND = STEP.model_copy(update={"delay_minutes": 9}), STEP.model_copy(update={"position": 2})
CHANGES_OF_STEPS: list[Decide] = [
    partial(change_step, ChangeStep(command_id=C, account_id=A, campaign_id=M, step=LATER)),
    partial(add_step, AddStep(command_id=C, account_id=A, campaign_id=M, step=SECOND)),
    partial(delete_step, DeleteStep(command_id=C, account_id=A, campaign_id=M, position=1)),
]


def one_after_the_other(before: Sequence[Event], *decisions: Decide) -> tuple[Campaign, set[type[Refused]]]:
    state, refused = campaign.fold(before), set[type[Refused]]()
    for decide in decisions:
        try:
            state = campaign.fold(decide(state), state)
        except Refused as refusal:
            refused.add(type(refusal))
    return state, refused


def dispatching(facts: DispatchFacts = FACTS, batch: int | None = None) -> Callable[[Campaign], Sequence[Event]]:
    return partial(dispatch, DispatchBatch(command_id=C, account_id=A, campaign_id=M, batch_number=batch), facts)


def resuming(usable: int = 1) -> Callable[[Campaign], Sequence[Event]]:
    command = ResumeCampaign(command_id=C, account_id=A, campaign_id=M)
    return lambda state: resume(command, usable, state)


def test_a_campaign_is_created_pending() -> None:
    found = given(campaign).when(CREATE).then(CREATED)
    assert found.state.status == "pending"
    found.when(CREATE).then()


def test_settings_are_replaced_once() -> None:
    given(campaign, CREATED).when(CHANGE).then(CHANGED).when(CHANGE).then()


def test_a_campaign_is_deleted_once() -> None:
    given(campaign, CREATED).when(DELETE).then(DELETED).when(DELETE).refused(CampaignNotFound)


@pytest.mark.parametrize("history", [(), (CREATED, DELETED)])
def test_nothing_is_decided_about_a_campaign_that_is_not_there(history: Sequence[Event]) -> None:
    for decide in (CHANGE, DELETE, PAUSE, resuming(), dispatching(), partial(enroll_import, ENROLL, FIVE)):
        given(campaign, *history).when(decide).refused(CampaignNotFound)


def test_an_import_gets_the_batches_after_the_highest() -> None:
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, FIVE)).then(ENROLLED)
    next_ones = ENROLLED.model_copy(update={"first_batch_number": 6})
    given(campaign, CREATED, ENROLLED).when(partial(enroll_import, ENROLL, FIVE)).then(next_ones)


def test_an_import_without_batch_size_gets_one_batch() -> None:
    command = ENROLL.model_copy(update={"batch_size": None})
    one = ENROLLED.model_copy(update={"batches": 1, "batch_size": 5})
    given(campaign, CREATED).when(partial(enroll_import, command, FIVE)).then(one)


def test_batches_are_not_numbered_past_the_highest_number() -> None:
    """A projection that cannot hold a number stops for every account."""
    three_left = replace(FIVE, highest_batch=LAST_BATCH_NUMBER - 3)
    last_ones = ENROLLED.model_copy(update={"first_batch_number": LAST_BATCH_NUMBER - 2})
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, three_left)).then(last_ones)
    two_left = replace(FIVE, highest_batch=LAST_BATCH_NUMBER - 2)
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, two_left)).refused(BatchNumbersUsedUp)
    given(campaign, CREATED, last_ones).when(partial(enroll_import, ENROLL, FIVE)).refused(BatchNumbersUsedUp)
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, replace(two_left, contacts=0))).then(NOBODY)


def test_an_import_does_not_get_more_than_10000_batches() -> None:
    many = replace(FIVE, people=20_001, contacts=20_001)
    with pytest.raises(ValidationFailed) as refused:
        enroll_import(ENROLL, many, campaign.fold([CREATED]))
    message = "must be at least 3, for at most 10000 batches"
    assert refused.value.details == {"errors": [{"field": "batch_size", "message": message}]}
    [event] = enroll_import(ENROLL, replace(many, contacts=20_000), campaign.fold([CREATED]))
    assert isinstance(event, ImportEnrolled)
    assert event.batches == 10_000


def test_an_import_of_which_all_are_skipped_gets_no_batch() -> None:
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, replace(FIVE, contacts=0))).then(NOBODY)


def test_an_empty_import_leaves_nothing_to_do() -> None:
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, replace(FIVE, people=0, contacts=0))).then()


@pytest.mark.parametrize(
    ("status", "refusal"),
    [("absent", ContactImportNotFound), ("deleted", ContactImportNotFound), ("failed", ContactImportFailed)],
)
def test_an_import_that_is_not_there_is_not_enrolled(status: ImportStatus, refusal: type[Refused]) -> None:
    facts = EnrollFacts(import_status=status, people=0, contacts=0, highest_batch=0)
    given(campaign, CREATED).when(partial(enroll_import, ENROLL, facts)).refused(refusal)


def test_the_first_dispatch_activates_the_campaign() -> None:
    given(campaign, CREATED).when(dispatching()).then(ACTIVATED, DISPATCHED)


def test_the_lowest_pending_batch_is_dispatched_unless_one_is_named() -> None:
    second = DISPATCHED.model_copy(update={"batch_number": 2, "pending": 10})
    given(campaign, CREATED, ACTIVATED).when(dispatching()).then(DISPATCHED)
    given(campaign, CREATED, ACTIVATED).when(dispatching(batch=2)).then(second)


def test_the_next_batch_is_the_lowest_that_is_not_being_planned() -> None:
    second = DISPATCHED.model_copy(update={"batch_number": 2, "pending": 10})
    given(campaign, CREATED, ACTIVATED, DISPATCHED).when(dispatching()).then(second)


REFUSALS: list[tuple[type[Refused], Sequence[Event], DispatchFacts]] = [
    (CampaignNotFound, (), FACTS),
    (CampaignIsPaused, (CREATED, ACTIVATED, PAUSED), FACTS),
    (NoSequenceSteps, (CREATED.model_copy(update={"steps": ()}),), FACTS),
    (NoSmtpCredentials, (CREATED,), replace(FACTS, usable_credentials=0)),
    (PlanLimitReached, (CREATED,), replace(FACTS, monthly_limit=100, period_sends=100)),
    (NoPendingEnrollments, (CREATED,), replace(FACTS, pending={})),
    (DailyLimitReached, (CREATED,), replace(FACTS, left_today=0)),
    (PlanTooLong, (CREATED,), replace(FACTS, too_long=True)),
]
NOTHING_IS_RIGHT = DispatchFacts(
    usable_credentials=0,
    monthly_limit=1,
    period_sends=1,
    pending={},
    left_today=0,
    too_long=True,
    seed=7,
    at=T,
)


@pytest.mark.parametrize(("refusal", "history", "facts"), REFUSALS, ids=lambda value: getattr(value, "code", ""))
def test_a_dispatch_is_refused(refusal: type[Refused], history: Sequence[Event], facts: DispatchFacts) -> None:
    given(campaign, *history).when(dispatching(facts)).refused(refusal)


def test_the_refusals_of_a_dispatch_come_in_their_order() -> None:
    facts = NOTHING_IS_RIGHT
    bare = CREATED.model_copy(update={"steps": ()})
    given(campaign, bare, ACTIVATED, PAUSED).when(dispatching(facts)).refused(CampaignIsPaused)
    given(campaign, bare).when(dispatching(facts)).refused(NoSequenceSteps)
    given(campaign, CREATED).when(dispatching(facts)).refused(NoSmtpCredentials)
    facts = replace(facts, usable_credentials=1)
    given(campaign, CREATED).when(dispatching(facts)).refused(PlanLimitReached)
    facts = replace(facts, monthly_limit=2)
    given(campaign, CREATED).when(dispatching(facts)).refused(NoPendingEnrollments)
    facts = replace(facts, pending={1: 1})
    given(campaign, CREATED).when(dispatching(facts)).refused(DailyLimitReached)
    facts = replace(facts, left_today=1)
    given(campaign, CREATED).when(dispatching(facts)).refused(PlanTooLong)


def test_a_refused_plan_says_what_was_sent_and_what_is_allowed() -> None:
    state = campaign.fold([CREATED])
    with pytest.raises(PlanLimitReached) as refusal:
        dispatching(replace(FACTS, monthly_limit=10, period_sends=12))(state)
    assert refusal.value.details == {"current_period_sends": 12, "monthly_limit": 10}


def test_a_batch_without_anybody_pending_is_refused() -> None:
    given(campaign, CREATED).when(dispatching(batch=9)).refused(NoPendingEnrollments)


def test_a_batch_is_not_dispatched_while_it_is_planned() -> None:
    given(campaign, CREATED, ACTIVATED, DISPATCHED).when(dispatching(batch=1)).refused(NoPendingEnrollments)
    given(campaign, CREATED, ACTIVATED, DISPATCHED).when(dispatching(ALONE)).refused(NoPendingEnrollments)
    given(campaign, CREATED, ACTIVATED, DISPATCHED).when(PLAN).then(PLANNED).when(PLAN).then()


def test_pause_and_resume_want_the_other_state() -> None:
    given(campaign, CREATED).when(PAUSE).refused(CampaignNotActive)
    given(campaign, CREATED, ACTIVATED).when(PAUSE).then(PAUSED).when(PAUSE).refused(CampaignNotActive)
    given(campaign, CREATED, ACTIVATED).when(resuming()).refused(CampaignNotPaused)
    given(campaign, CREATED, ACTIVATED, PAUSED).when(resuming()).then(RESUMED)


@pytest.mark.parametrize("decide", [CHANGE, partial(enroll_import, ENROLL, FIVE), *CHANGES_OF_STEPS])
def test_what_a_pause_overtakes_leads_to_the_same_before_and_after_it(decide: Decide) -> None:
    for before in ((CREATED,), (CREATED, ACTIVATED), (CREATED, ACTIVATED, DISPATCHED)):
        assert one_after_the_other(before, decide, PAUSE) == one_after_the_other(before, PAUSE, decide)


def test_a_pause_overtakes_commands_that_there_are() -> None:
    assert PauseCampaign.overtakes <= set(Command.kinds)
    left = {"CreateCampaign", "DeleteCampaign", "DispatchBatch", "PauseCampaign", "ResumeCampaign"}
    ours = {name for name, kind in Command.kinds.items() if kind.category == "campaign"}
    assert ours - PauseCampaign.overtakes - {"CampaignCommand", "CredentialCommand"} == left


def test_a_campaign_without_a_usable_credential_is_not_resumed() -> None:
    given(campaign, CREATED, ACTIVATED, PAUSED).when(resuming(0)).refused(NoSmtpCredentials)


def test_an_active_campaign_without_a_usable_credential_is_paused() -> None:
    paused = CampaignPaused(campaign_id=M, reason="no_usable_credential")
    decide: Callable[[Campaign], Sequence[Event]] = partial(pause_without_credential, M, 0)
    given(campaign, CREATED, ACTIVATED).when(decide).then(paused).when(decide).then()
    given(campaign, CREATED).when(decide).then()
    given(campaign, CREATED, ACTIVATED).when(partial(pause_without_credential, M, 1)).then()


def test_a_campaign_that_was_active_in_a_backup_is_paused_once() -> None:
    decide: Callable[[Campaign], Sequence[Event]] = partial(pause_restored, M)
    paused = CampaignPaused(campaign_id=M, reason="restored")
    given(campaign, CREATED, ACTIVATED).when(decide).then(paused).when(decide).then()
    given(campaign, CREATED).when(decide).then()
    given(campaign, CREATED, ACTIVATED, CampaignCompleted(campaign_id=M)).when(decide).then()


def test_a_campaign_completes_when_nobody_waits_or_goes_on_and_a_dispatch_opens_it_again() -> None:
    done = (CREATED, ACTIVATED, DISPATCHED, PLANNED)
    given(campaign, *done).when(partial(complete, M, 1)).then()
    given(campaign, *done).when(COMPLETE).then(COMPLETED).when(COMPLETE).then()
    given(campaign, *done, COMPLETED, DISPATCHED, PLANNED).when(COMPLETE).then(COMPLETED)


def test_a_campaign_is_complete_no_more_once_a_step_of_it_is_to_be_sent_after_all() -> None:
    done, again = (CREATED, ACTIVATED, DISPATCHED, PLANNED), partial(reopen, M)
    reopened = CampaignReopened(campaign_id=M)
    given(campaign, *done, COMPLETED).when(again).then(reopened).when(again).then().when(COMPLETE).then(COMPLETED)
    given(campaign, *done).when(again).then()
    given(campaign, *done, COMPLETED, DELETED).when(again).then()


def test_a_campaign_that_was_never_dispatched_or_is_being_planned_does_not_complete() -> None:
    given(campaign, CREATED).when(COMPLETE).then()
    given(campaign, CREATED, ACTIVATED, DISPATCHED).when(COMPLETE).then()


@examples(
    st.lists(
        st.sampled_from(
            [CREATED, ACTIVATED, PAUSED, RESUMED, CHANGED, ENROLLED, DISPATCHED, PLANNED, COMPLETED, DELETED]
        ),
        max_size=10,
    ),
    st.sampled_from(
        [CREATE, CHANGE, DELETE, PAUSE, PLAN, COMPLETE, resuming(), dispatching(ALONE), dispatching(batch=2)]
    ),
)
def test_the_same_command_twice_adds_nothing(history: Sequence[Event], decide: Decide) -> None:
    """Where another batch is pending, a dispatch without a number means that one: only its cause tells a repeat."""
    state = campaign.fold(history)
    try:
        state = campaign.fold(decide(state), state)
        assert list(decide(state)) == []
    except Refused:
        pass


@examples(st.lists(st.sampled_from([CREATED, ENROLLED, DISPATCHED, PLANNED]), max_size=6))
def test_an_import_enrolled_twice_changes_nothing_once_its_contacts_are_in(history: Sequence[Event]) -> None:
    state = campaign.fold([CREATED, *history])
    state = campaign.fold(enroll_import(ENROLL, FIVE, state), state)
    again = enroll_import(ENROLL, replace(FIVE, contacts=0), state)
    assert campaign.fold(again, state) == state


def following(position: int, delay_minutes: int = 60, version: int = 1) -> StepPlan:
    """A step behind the first."""
    return StepPlan(position=position, delay_minutes=delay_minutes, thread=True, template_version=version)


def changing(step: StepPlan) -> Callable[[Campaign], Sequence[Event]]:
    return partial(change_step, ChangeStep(command_id=C, account_id=A, campaign_id=M, step=step))


def naming(*fields: str, **settings: object) -> Callable[[Campaign], Sequence[Event]]:
    """A change that names these fields alone."""
    given = CampaignSettings.model_validate(settings)
    return partial(change, ChangeCampaign(command_id=C, account_id=A, campaign_id=M, settings=given, fields=fields))


def test_a_change_leaves_what_it_does_not_name_as_it_is_when_it_is_carried_out() -> None:
    longer = CHANGED.model_copy(update={"settings": OTHER.model_copy(update={"max_wait_seconds": 500})})
    found = given(campaign, CREATED, CHANGED).when(naming("max_wait_seconds", max_wait_seconds=500)).then(longer)
    found.when(naming("max_wait_seconds", max_wait_seconds=500)).then().when(naming()).then()


def test_of_two_changes_that_do_not_fit_the_second_is_refused() -> None:
    shorter = CHANGED.model_copy(update={"settings": SETTINGS.model_copy(update={"max_wait_seconds": 130})})
    found = given(campaign, CREATED, shorter)
    found.when(naming("min_wait_seconds", min_wait_seconds=131, max_wait_seconds=420)).refused(ValidationFailed)


def test_a_step_keeps_what_a_change_does_not_name() -> None:
    said = ChangeStep(command_id=C, account_id=A, campaign_id=M, step=following(2, 5, version=9), fields=("subject",))
    text = StepsChanged(campaign_id=M, steps=(STEP, following(2, 60, version=9), following(3)))
    given(campaign, CREATED, THREE).when(partial(change_step, said)).then(text)


def adding(step: StepPlan) -> Callable[[Campaign], Sequence[Event]]:
    return partial(add_step, AddStep(command_id=C, account_id=A, campaign_id=M, step=step))


def deleting(position: int, *moved: StepPlan) -> Callable[[Campaign], Sequence[Event]]:
    return partial(delete_step, DeleteStep(command_id=C, account_id=A, campaign_id=M, position=position, moved=moved))


THREE = StepsChanged(campaign_id=M, steps=(STEP, following(2), following(3)))


def test_another_text_is_another_version_and_another_delay_is_named() -> None:
    text, delay = following(2, version=9), following(2, 90, version=9)
    given(campaign, CREATED, THREE, ACTIVATED, DISPATCHED).when(changing(text)).then(
        StepsChanged(campaign_id=M, steps=(STEP, text, following(3)))
    ).when(changing(text)).then().when(changing(delay)).then(
        StepsChanged(campaign_id=M, steps=(STEP, delay, following(3)), delay_of=2)
    )


def test_a_step_is_added_at_the_end() -> None:
    added = StepsChanged(campaign_id=M, steps=(STEP, following(2)))
    given(campaign, CREATED).when(adding(following(2))).then(added).when(adding(following(2))).then()
    given(campaign, CREATED).when(adding(following(3))).refused(SequenceStepNotFound)


def test_those_behind_a_deleted_step_move_up() -> None:
    left = StepsChanged(campaign_id=M, steps=(STEP, following(2, version=7)))
    given(campaign, CREATED, THREE).when(deleting(2, following(2, version=7))).then(left)
    given(campaign, CREATED, THREE).when(deleting(3)).then(StepsChanged(campaign_id=M, steps=(STEP, following(2))))
    given(campaign, CREATED).when(deleting(1)).then(StepsChanged(campaign_id=M, steps=()))
    for decide in (deleting(4), deleting(2)):
        given(campaign, CREATED, THREE).when(decide).refused(SequenceStepNotFound)


def test_their_number_is_fixed_once_something_was_dispatched() -> None:
    for decide in (adding(following(4)), deleting(3)):
        given(campaign, CREATED, THREE, ACTIVATED, DISPATCHED).when(decide).refused(CampaignAlreadyDispatched)


def test_a_step_that_is_not_there_or_a_campaign_that_is_not_is_not_found() -> None:
    given(campaign, CREATED).when(changing(following(2))).refused(SequenceStepNotFound)
    for decide in (changing(STEP), adding(following(2)), deleting(1)):
        given(campaign, CREATED, DELETED).when(decide).refused(CampaignNotFound)
