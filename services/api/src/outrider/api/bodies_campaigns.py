"""Bodies of campaigns: settings, steps."""

import re
from typing import Annotated, Final, Literal, cast

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic_core import InitErrorDetails

from outrider.api.bodies import Body, Int, Name, failures, wrong
from outrider.api.bodies_contacts import zones
from outrider.api.bodies_credentials import NewSmtpCredential
from outrider.events.campaign import CampaignSettings, Day, StepPlan
from outrider.events.message import Json
from outrider.events.rendering import Problem, check_part

LONGEST_SUBJECT: Final = 998
MOST_STEPS: Final = 100
MOST_CREDENTIALS: Final = 1000
CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
Wait = Annotated[Int, Field(ge=0, le=86_400)]


def _clock_time(value: str) -> str:
    if not CLOCK.fullmatch(value):
        raise wrong("must be a time of day as 09:00")
    return value


ClockTime = Annotated[str, AfterValidator(_clock_time)]


class Window(Body):
    """When messages may leave."""

    days: Annotated[list[Day], Field(min_length=1)]
    start: ClockTime
    end: ClockTime
    timezone: str

    @field_validator("end")
    @classmethod
    def _later_than_start(cls, value: str, info: ValidationInfo) -> str:
        if "start" in info.data and value <= info.data["start"]:
            raise wrong("must be later than start")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value != "contact" and value not in zones():
            raise wrong("must be a name of the IANA time zone database, or contact")
        return value

    @field_validator("days")
    @classmethod
    def _each_once(cls, value: list[Day]) -> list[Day]:
        return list(dict.fromkeys(value))


class Options(Body):
    """What both POST and PATCH take; what is left out keeps its default, or what it was."""

    shown = frozenset({
        "id", "status", "created_at", "completed_at", "totals", "rates", "per_batch", "recent_bounces", "credentials",
        "skipped", "emails_sent", "clicked", "unsubscribed", "finished", "suspected_replies",
    })  # fmt: skip

    outreach_id: str | None = None
    min_wait_seconds: Wait = 120
    max_wait_seconds: Wait = Field(default=420, validate_default=True)
    verify_email_mx: bool = False
    bounce_rate_threshold: Annotated[float, Field(ge=0, le=100)] = 8.0
    bounce_min_sends: Annotated[Int, Field(ge=1, le=1_000_000)] = 20
    send_window: Window | None = None
    spacing: Literal["batch", "credential"] = "batch"
    track_opens: bool = True
    track_clicks: bool = False
    unsubscribe_header: bool = True
    unsubscribe_footer: bool = False
    on_auto_reply: Literal["ignore", "resume_on_return"] = "ignore"
    stop_on_suspected_reply: bool = True

    @field_validator("max_wait_seconds")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        if "min_wait_seconds" in info.data and value < info.data["min_wait_seconds"]:
            raise wrong("must not be less than min_wait_seconds")
        return value

    def settings(self, former: CampaignSettings | None = None) -> CampaignSettings:
        """These settings; what was left out stands as in `former`, or at its default. The outreach is the caller's."""
        elsewhere = {"name", "outreach_id", "smtp_credentials", "sequence_steps"}
        given = self.model_dump(exclude=elsewhere, exclude_unset=True)
        before = (former or CampaignSettings()).model_dump()
        return CampaignSettings.model_validate({**before, **given})


class Step(Body):
    """One step of a sequence; its templates are checked as they will be rendered."""

    position: Annotated[Int, Field(ge=1, le=MOST_STEPS)]
    subject: Annotated[str, Field(min_length=1, max_length=LONGEST_SUBJECT)]
    body_html: Annotated[str, Field(min_length=1)]
    body_text: str | None = None
    delay_minutes: Annotated[Int, Field(ge=0, le=525_600)] = 0
    thread: bool | None = None

    @field_validator("subject")
    @classmethod
    def _subject_renders(cls, value: str) -> str:
        return _renders(value, check_part("subject", value))

    @field_validator("body_html")
    @classmethod
    def _html_renders(cls, value: str) -> str:
        return _renders(value, check_part("body_html", value))

    @field_validator("body_text")
    @classmethod
    def _text_renders(cls, value: str | None) -> str | None:
        return value if value is None else _renders(value, check_part("body_text", value))

    def plan(self, template_version: int = 1) -> StepPlan:
        """What the log has of it."""
        thread = self.position > 1 if self.thread is None else self.thread
        return StepPlan(
            position=self.position,
            delay_minutes=self.delay_minutes,
            thread=thread,
            template_version=template_version,
        )

    def texts(self) -> Json:
        """What the vault has of it."""
        return {"subject": self.subject, "body_html": self.body_html, "body_text": self.body_text}


class SequenceStepBody(Body):
    """POST and PATCH of /campaigns/:id/sequence_steps."""

    sequence_step: Step


def _renders(value: str, problems: list[Problem]) -> str:
    if problems:
        raise wrong("; ".join(dict.fromkeys(one.message for one in problems)))
    return value


def _without_gap(value: object, judged: ValidatorFunctionWrapHandler) -> list[Step]:
    """The steps in order. A gap is told beside whatever else is wrong with them."""
    wrongs, steps = list[InitErrorDetails](), list[Step]()
    try:
        steps = judged(value)
    except ValidationError as error:
        wrongs = failures(error)
    positions = [_position(step) for step in cast("list[object]", value)] if isinstance(value, list) else []
    known = sorted(position for position in positions if position is not None)
    if len(known) == len(positions) and known != list(range(1, len(known) + 1)):
        gap = wrong("positions must be 1, 2, 3 ... without a gap")
        wrongs.append(InitErrorDetails(type=gap, loc=(), input=None))
    if wrongs:
        raise ValidationError.from_exception_data("steps", wrongs)
    return sorted(steps, key=lambda step: step.position)


def _position(step: object) -> float | None:
    """Of a step as it was sent; None where there is none that it could have: that is a failure of its own."""
    position = cast("dict[str, object]", step).get("position") if isinstance(step, dict) else None
    is_one = (
        isinstance(position, int | float) and not isinstance(position, bool) and position in range(1, MOST_STEPS + 1)
    )
    return float(cast("float", position)) if is_one else None


class NewCampaign(Options):
    """A campaign to create."""

    name: Name
    smtp_credentials: Annotated[list[NewSmtpCredential], Field(min_length=1, max_length=MOST_CREDENTIALS)]
    sequence_steps: Annotated[list[Step], Field(min_length=1, max_length=MOST_STEPS), WrapValidator(_without_gap)]


class NewCampaignBody(Body):
    """POST /campaigns."""

    campaign: NewCampaign


class ChangedCampaign(Options):
    """What may be changed of a campaign."""

    name: Name = ""
    # What is left out stays, and has no default to tell of: 0 fits whichever of the two is named alone.
    min_wait_seconds: Wait = Field(default_factory=int)
    max_wait_seconds: Wait = Field(default_factory=int)


class ChangedCampaignBody(Body):
    """PATCH /campaigns/:id."""

    campaign: ChangedCampaign
