"""Campaign: the unit of multi-step outreach, and what its owner asks of it. Written only by the dispatcher."""

from typing import ClassVar, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from outrider.events.credential import NewCredential
from outrider.events.errors import Refused
from outrider.events.message import Command, Event, Message

LAST_BATCH_NUMBER: Final = 10**9
"""The highest one that a batch may have."""
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class SendWindow(Message):
    """When messages may leave, in a zone of its own or in the contact's."""

    days: tuple[Day, ...]
    start: str
    """HH:MM, included."""
    end: str
    """HH:MM, excluded; later than `start`."""
    timezone: str
    """An IANA name, or ``contact``: the contact's zone, UTC where it has none."""


class CampaignSettings(Message):
    """Everything that a PATCH may change but the name, which lies in the vault."""

    outreach_id: UUID | None = None
    min_wait_seconds: int = 120
    max_wait_seconds: int = 420
    verify_email_mx: bool = False
    bounce_rate_threshold: float = 8.0
    """Percent of a credential's sends in the campaign, not of its contacts (SMTP2GO counts so)."""
    bounce_min_sends: int = 20
    send_window: SendWindow | None = None
    spacing: Literal["batch", "credential"] = "batch"
    track_opens: bool = True
    track_clicks: bool = False
    unsubscribe_header: bool = True
    unsubscribe_footer: bool = False
    on_auto_reply: Literal["ignore", "resume_on_return"] = "ignore"
    stop_on_suspected_reply: bool = True


TEXTS: Final = ("subject", "body_html", "body_text")
"""Of a step, what lies in the vault."""


class StepPlan(Message):
    """One step of the sequence; its texts lie in the vault."""

    position: int
    """1 .. n without a gap."""
    delay_minutes: int
    """After the step before; of position 1 after the dispatch."""
    thread: bool
    """Whether it answers the first step (In-Reply-To, References)."""
    template_version: int = 1

    @property
    def texts(self) -> str:
        """The name under which the vault has its texts, of the campaign."""
        return f"template-{self.position}-{self.template_version}"


class CampaignCommand(Command, category="campaign"):
    """A command about one campaign."""

    campaign_id: UUID

    @property
    def target(self) -> str:
        """The campaign: its commands keep their order."""
        return f"campaign-{self.campaign_id}"


class CreateCampaign(CampaignCommand):
    """Create it with its steps and credentials, whose texts, hosts and secrets lie in the vault already."""

    settings: CampaignSettings
    steps: tuple[StepPlan, ...]
    credentials: tuple[NewCredential, ...]


class ChangeCampaign(CampaignCommand):
    """These of its settings are to hold; the others stay as they are when it is carried out."""

    settings: CampaignSettings
    fields: tuple[str, ...] | None = None
    """Which of them; None: all."""


class ChangeStep(CampaignCommand):
    """Of the step at its position this is to be as it is here; what is not named stays.

    Texts lie in the vault already, under its template version: all three, whichever of them is named.
    """

    step: StepPlan
    fields: tuple[str, ...] | None = None
    """What is named of delay_minutes, thread and TEXTS; None: all."""


class AddStep(CampaignCommand):
    """Add a step at the end."""

    step: StepPlan


class DeleteStep(CampaignCommand):
    """Take a step out."""

    position: int
    moved: tuple[StepPlan, ...] = ()
    """Those behind it, each at the position before its own, their texts in the vault already."""


class DeleteCampaign(CampaignCommand):
    """Delete it with its steps, credentials, enrollments and secrets."""


class EnrollImport(CampaignCommand):
    """Enroll every contact of an import, in batches of `batch_size`, or in one."""

    import_id: UUID
    batch_size: int | None = None


class EnrollContact(CampaignCommand):
    """Enroll one contact."""

    contact_id: UUID
    batch_number: int = 0
    priority: bool = False


class DeleteEnrollment(CampaignCommand):
    """Send nothing more to one enrollment."""

    enrollment_id: UUID
    contact_id: UUID


class DispatchBatch(CampaignCommand):
    """Plan and send what is pending in the batch."""

    batch_number: int | None = None
    """None: the lowest batch with a pending enrollment that is not being planned already."""


class PauseCampaign(
    CampaignCommand,
    expires=False,
    overtakes={
        "AddCredential", "AddStep", "ChangeCampaign", "ChangeCredential", "ChangeStep", "DeleteEnrollment",
        "DeleteStep", "EnrollContact", "EnrollImport", "ReenableCredential", "RemoveCredential",
    },
):  # fmt: skip
    """Claim nothing more until it is resumed; a large import that is being enrolled meanwhile goes on.

    It overtakes whatever leads to the same before and after it. A dispatch does not: before it, it makes the campaign
    active, after it, it is refused. Nor do another pause, a resume, or what creates or deletes the campaign.
    """


class ResumeCampaign(CampaignCommand, overtakes={"EnrollImport"}):
    """Go on; what became overdue is spaced anew."""


class CampaignCreated(Event):
    """It exists, pending."""

    campaign_id: UUID
    settings: CampaignSettings
    steps: tuple[StepPlan, ...]


class CampaignChanged(Event):
    """These settings hold from now on; what is not due yet follows them."""

    campaign_id: UUID
    settings: CampaignSettings


class StepsChanged(Event):
    """These steps hold from now on; what is not rendered yet follows them."""

    campaign_id: UUID
    steps: tuple[StepPlan, ...]
    delay_of: int | None = None
    """The position whose delay is another one: what is not sent from there on moves."""


class CampaignActivated(Event):
    """It was dispatched for the first time."""

    campaign_id: UUID


class CampaignPaused(Event, version=2):
    """Nothing is claimed any more."""

    campaign_id: UUID
    reason: Literal["requested", "no_usable_credential", "restored"] = "requested"
    """`restored`: a backup was put in the place of the log, and somebody is to look before it goes on."""

    upcasters: ClassVar = {1: lambda data: data}


class CampaignResumed(Event):
    """Claims are permitted again."""

    campaign_id: UUID


class CampaignCompleted(Event):
    """No enrollment has a step left."""

    campaign_id: UUID


class CampaignReopened(Event):
    """A step of it is to be sent after all: it is complete no more."""

    campaign_id: UUID


class CampaignDeleted(Event):
    """It is gone; nothing scheduled fires, its secrets are erased."""

    campaign_id: UUID


class ImportEnrolled(Event):
    """These batch numbers were given to an import; its enrollments follow one by one."""

    campaign_id: UUID
    import_id: UUID
    contacts: int
    """How many get an enrollment."""
    first_batch_number: int | None
    """None: nobody gets one, all are skipped."""
    batches: int
    batch_size: int
    people: int = 0
    """How many the import had when this was decided, those who are skipped included."""


class BatchDispatched(Event):
    """Everything pending in the batch is to be planned."""

    campaign_id: UUID
    batch_number: int
    seed: int
    """Seeds the gaps between sends, so that a plan can be told again."""
    at: AwareDatetime
    """Business time from which the plan starts."""
    pending: int = 0
    """How many were pending in it."""


class BatchPlanned(Event):
    """Every enrollment that was pending at the dispatch has its times, or was skipped."""

    campaign_id: UUID
    batch_number: int
    dispatch_id: UUID
    """The command that dispatched it."""
    scheduled: int
    skipped: int
    first_send_at: AwareDatetime | None
    """Of step 1, business time."""
    last_send_at: AwareDatetime | None


class RetimedStep(Message):
    """One open step and its new time."""

    enrollment_id: UUID
    position: int
    at: AwareDatetime


class StepsRetimed(Event):
    """Open steps of up to 250 enrollments move to these business times; stream `plan-<campaign>`."""

    campaign_id: UUID
    reason: Literal["resumed", "sent_late", "settings_changed", "hand_over", "plan_opened", "window_missed", "away"]
    steps: tuple[RetimedStep, ...]
    credentials: dict[UUID, UUID] = Field(default_factory=dict)
    """By enrollment, through which credential its steps here go out from now on; as before where it is not named."""


class CampaignNotFound(Refused, status=404, code="campaign_not_found"):
    """There is no such campaign."""


class CampaignNotActive(Refused, status=422, code="campaign_not_active"):
    """Only an active campaign can be paused."""


class CampaignNotPaused(Refused, status=422, code="campaign_not_paused"):
    """Only a paused campaign can be resumed."""


class CampaignIsPaused(Refused, status=422, code="campaign_paused"):
    """The campaign is paused: resume it before you dispatch."""


class BatchNumbersUsedUp(Refused, status=422, code="batch_numbers_used_up"):
    """The campaign has no batch number left for these: none is higher than 1000000000."""


class NoSequenceSteps(Refused, status=422, code="no_sequence_steps"):
    """The campaign has no step to send."""


class SequenceStepNotFound(Refused, status=404, code="sequence_step_not_found"):
    """The campaign has no step of this position."""


class CampaignAlreadyDispatched(Refused, status=422, code="campaign_already_dispatched"):
    """Steps cannot be added or deleted any more: something has been dispatched."""


class NoSmtpCredentials(Refused, status=422, code="no_smtp_credentials"):
    """The campaign has no credential that may send: add one, or re-enable one."""


class PlanLimitReached(Refused, status=402, code="plan_limit_reached"):
    """The account has sent what its plan allows in this month."""


class NoPendingEnrollments(Refused, status=422, code="no_pending_enrollments"):
    """There is nothing pending to dispatch."""


class DailyLimitReached(Refused, status=422, code="daily_limit_reached"):
    """Every credential has reached its daily limit: dispatch again tomorrow (UTC), or raise a limit."""


class PlanTooLong(Refused, status=422, code="plan_too_long"):
    """At these limits and waits the batch would last longer than a year: send smaller batches, or add credentials."""
