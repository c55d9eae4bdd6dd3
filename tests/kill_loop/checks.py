"""The promises, each as one function of the two records; answers are sentences about what was broken."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from outrider.events.campaign import CampaignDeleted, CampaignPaused, CampaignResumed
from outrider.events.contact import ContactDeleted, ContactUnsubscribed
from outrider.events.credential import (
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
    QuotaClaimed,
    QuotaReleased,
)
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentReplied,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepsScheduled,
)
from outrider.events.ids import delivery_id
from outrider.events.inbound import BounceReceived, ComplaintReceived, InboundEvent, OptOutReceived, ReplyReceived
from outrider.events.message import Event, Recorded
from tests.kill_loop.fleet import Struck
from tests.kill_loop.record import Sink

Log = Sequence[Recorded[Event]]
OUTCOMES = (EmailSent, EmailBounced, DeliveryDeferred, DeliveryFailed, DeliveryUnknown)
STOPS = (EnrollmentReplied, EnrollmentBounced, EnrollmentUnsubscribed, EnrollmentStopped)
ENDS = (*STOPS, ReplyReceived, BounceReceived, OptOutReceived, ComplaintReceived, EmailBounced)
BACK: Mapping[str, type[InboundEvent]] = {"reply": ReplyReceived, "bounce": BounceReceived}
ON_THE_WAY = {"sender", "sender-2", "postgres", "sandbox"}
"""Whose loss or silence can leave it open whether a mail was taken."""


@dataclass
class Life:
    """Everything that the log says of one delivery."""

    events: list[Recorded[DeliveryEvent]] = field(default_factory=list[Recorded[DeliveryEvent]])

    @property
    def last(self) -> type[Event] | None:
        """What it came to."""
        return type(self.events[-1].event) if self.events else None


def lives(log: Log) -> dict[UUID, Life]:
    """Answer each delivery's life, those planned and never begun included."""
    found: dict[UUID, Life] = defaultdict(Life)
    for item in log:
        if isinstance(item.event, StepsScheduled):
            for step in item.event.steps:
                _ = found[delivery_id(item.event.enrollment_id, step.position)]
        elif isinstance(item.event, DeliveryEvent):
            found[item.event.delivery_id].events.append(item)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # by its event
    return found


def doubled(log: Log, sink: Sink) -> Iterator[str]:
    """No step is taken twice, nor claimed again once it may have been mailed."""
    for delivery, times in Counter(letter.delivery for letter in sink.letters).items():
        if times > 1:
            yield f"delivery {delivery} was accepted {times} times"
    for delivery, life in lives(log).items():
        open_claim, done = False, False
        for item in life.events:
            if isinstance(item.event, DeliveryStarted):
                if open_claim or done:
                    yield f"delivery {delivery} was claimed again at {item.position}"
                open_claim = True
            elif isinstance(item.event, OUTCOMES):
                open_claim, done = False, done or not isinstance(item.event, DeliveryDeferred)


def lost(log: Log, sink: Sink) -> Iterator[str]:
    """What was planned and not stopped has an outcome, and the two records tell the same."""
    taken = {letter.delivery for letter in sink.letters}
    stopped = {item.event.enrollment_id for item in log if isinstance(item.event, STOPS)}
    planned = {
        delivery_id(item.event.enrollment_id, step.position): item.event.enrollment_id
        for item in log
        if isinstance(item.event, StepsScheduled)
        for step in item.event.steps
    }
    for delivery, life in lives(log).items():
        settled = life.last in {EmailSent, EmailBounced, DeliveryUnknown, DeliveryResolved, DeliveryFailed}
        if not settled and (planned.get(delivery) not in stopped or life.last is DeliveryStarted):
            came_to = "planned" if life.last is None else life.last.__name__
            yield f"delivery {delivery} came to nothing: {came_to}"
        if life.last in {EmailSent, DeliveryResolved} and delivery not in taken:  # an answer proved it
            yield f"delivery {delivery} is said to be sent, and no server took it"
        if delivery in taken and life.last not in {EmailSent, DeliveryUnknown, DeliveryResolved}:
            yield f"delivery {delivery} was taken, and is not known to be sent"
    yield from (f"delivery {delivery} was taken, and never planned" for delivery in taken - planned.keys())
    yield from (f"a mail that nobody signed was taken: {message_id}" for message_id in sink.foreign)
    refused = sum(isinstance(item.event, EmailBounced) for item in log)
    in_doubt = sum(isinstance(item.event, (DeliveryUnknown, DeliveryDeferred)) for item in log)
    if not refused <= len(sink.refusals) <= refused + in_doubt:
        yield f"{len(sink.refusals)} refusals, {refused} recorded"
    yield from unheard(log, sink)


def unheard(log: Log, sink: Sink) -> Iterator[str]:
    """Whatever came back was recorded."""
    for deed, kind in BACK.items():
        heard = {
            item.event.delivery_id for item in log if isinstance(item.event, InboundEvent) and type(item.event) is kind
        }
        yield from (f"the {deed} to {delivery} was never found" for delivery in sink.came_back[deed] - heard)


def unknown(log: Log) -> dict[UUID, Life]:
    """Answer the deliveries that are listed as unknown."""
    return {delivery: life for delivery, life in lives(log).items() if life.last is DeliveryUnknown}


def unexplained(log: Log, struck: Sequence[Struck]) -> Iterator[str]:
    """Each unknown one was under way when something on its way was hit."""
    blows = [one for one in struck if one.blow.victim in ON_THE_WAY]
    for delivery, life in unknown(log).items():
        started = next(item for item in reversed(life.events) if isinstance(item.event, DeliveryStarted))
        given_up = life.events[-1]
        if not any(one.within(started.recorded_at, given_up.recorded_at) for one in blows):
            yield f"delivery {delivery} is unknown, and nothing was hit while it was under way"


@dataclass
class Days:
    """What is claimed on each credential's days."""

    limits: dict[UUID, int] = field(default_factory=dict[UUID, int])
    claimed: Counter[tuple[UUID, date]] = field(default_factory=Counter[tuple[UUID, date]])
    of: dict[UUID, tuple[UUID, date]] = field(default_factory=dict[UUID, tuple[UUID, date]])
    """The credential and day of each delivery's last claim."""

    def take(self, event: Event) -> str:
        """Follow the event; answers what is wrong then, or an empty string."""
        match event:
            case CredentialAdded() | CredentialChanged():
                self.limits[event.credential_id] = event.daily_limit
            case DeliveryStarted():
                self.of[event.delivery_id] = event.credential_id, event.day
            case QuotaClaimed() | QuotaReleased():
                sign = 1 if isinstance(event, QuotaClaimed) else -1
                self.claimed[event.credential_id, event.day] += sign * event.counted
                stands = self.claimed[event.credential_id, event.day]
                if not 0 <= stands <= self.limits[event.credential_id]:
                    return f"credential {event.credential_id} has claimed {stands} on {event.day}"
            case _:
                pass
        return ""


def over_limit(log: Log, sink: Sink) -> Iterator[str]:
    """At no point of the log is more claimed on a day than the limit, and no more was taken."""
    days = Days()
    for item in log:
        if wrong := days.take(item.event):
            yield f"{wrong}, at {item.position}"
    taken = Counter(days.of[letter.delivery] for letter in sink.letters if letter.delivery in days.of)
    for (credential, day), number in taken.items():
        if number > min(days.limits[credential], days.claimed[credential, day]):
            yield f"{number} mails of credential {credential} were taken on {day}"


@dataclass
class Stops:
    """What is not to be mailed any more, and why."""

    closed: dict[UUID, str] = field(default_factory=dict[UUID, str])
    """By campaign, credential, contact or enrollment."""

    def take(self, event: Event) -> None:
        """Follow the event."""
        match event:
            case CampaignPaused() | CampaignDeleted():
                self.closed[event.campaign_id] = event.name
            case CampaignResumed():
                self.closed.pop(event.campaign_id, None)
            case CredentialDisabled() | CredentialRemoved():
                self.closed[event.credential_id] = event.name
            case CredentialReenabled():
                self.closed.pop(event.credential_id, None)
            case ContactUnsubscribed() | ContactDeleted():
                self.closed[event.contact_id] = event.name
            case _:
                if isinstance(event, ENDS):
                    self.closed[event.enrollment_id] = event.name

    def against(self, claim: DeliveryStarted) -> list[str]:
        """Answer why it was not to be claimed."""
        about = (claim.campaign_id, claim.credential_id, claim.contact_id, claim.enrollment_id)
        return [self.closed[one] for one in about if one in self.closed]


def after_pause(log: Log) -> Iterator[str]:
    """Nothing is claimed once the log says that it is not to be, nor before the step before it is settled."""
    stops, settled = Stops(), set[UUID]()
    for item in log:
        event = item.event
        stops.take(event)
        if isinstance(event, (EmailSent, DeliveryUnknown)):
            settled.add(event.delivery_id)
        elif isinstance(event, DeliveryStarted):
            before = delivery_id(event.enrollment_id, event.position - 1)
            early = [] if event.position == 1 or before in settled else ["before the step before it"]
            for why in [*stops.against(event), *early]:
                yield f"delivery {event.delivery_id} was claimed at {item.position}: {why}"
