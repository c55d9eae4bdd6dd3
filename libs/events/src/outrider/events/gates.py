"""Gates: what must be open for a message to be claimed. One pure table, for the claim and for whoever explains it.

Each gate is a stream. A claim asserts the version of every gate's stream in the very append that permits it, so
nothing is claimed after a pause, stop, reply, bounce, opt-out or suppression is recorded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from outrider.events.campaign import CampaignDeleted, CampaignPaused, CampaignResumed
from outrider.events.contact import (
    AddressSuppressed,
    AddressUnsuppressed,
    ContactCorrected,
    ContactDeleted,
    ContactForgotten,
    ContactUnsubscribed,
)
from outrider.events.credential import CredentialDisabled, CredentialReenabled, CredentialRemoved
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepReopened,
)
from outrider.events.inbound import (
    BounceReceived,
    ComplaintReceived,
    InboundReclassified,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.message import Event, Recorded

GateName = Literal["campaign", "stop", "suppression", "plan", "quota", "window", "credential"]
OPEN = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """One stream that a claim asserts."""

    name: GateName
    stream: str
    must_exist: bool
    """False: a stream without events is an open gate."""


def gates(  # noqa: PLR0913, PLR0917  # one argument for each thing that can stop a message
    campaign: UUID,
    enrollment: UUID,
    contact: UUID,
    credential: UUID,
    address_key: str,
    domain_key: str,
    previous_delivery: UUID | None,
) -> list[Gate]:
    """Every stream that can stop this message."""
    found = [
        Gate("campaign", f"campaign-{campaign}", must_exist=True),
        Gate("stop", f"enrollment-{enrollment}", must_exist=True),
        Gate("stop", f"contact-{contact}", must_exist=True),
        Gate("stop", f"inbound-{enrollment}", must_exist=False),
        Gate("credential", f"credential-{credential}", must_exist=True),
        Gate("suppression", f"address-{address_key}", must_exist=False),
        Gate("suppression", f"address-{domain_key}", must_exist=False),
    ]
    if previous_delivery is not None:
        found.append(Gate("stop", f"delivery-{previous_delivery}", must_exist=True))
    return found


def effect(event: Event) -> str | None:  # noqa: C901, PLR0911, PLR0912  # one line a rule
    """What the event does to the gate of its stream: a reason closes it, OPEN opens it, None leaves it."""
    match event:
        case CampaignPaused():
            return "campaign_paused"
        case CampaignResumed() | CredentialReenabled() | AddressUnsuppressed() | StepReopened():
            return OPEN
        case EnrollmentCorrected(goes_on=True) | ContactCorrected(resubscribed=True):
            return OPEN
        case InboundReclassified():
            return event.closes
        case CampaignDeleted():
            return "campaign_deleted"
        case EnrollmentReplied() | ReplyReceived(stops=True):
            return "replied"
        case EnrollmentBounced() | BounceReceived() | EmailBounced():
            return "bounced"
        case EnrollmentUnsubscribed() | ContactUnsubscribed() | OptOutReceived():
            return "unsubscribed"
        case EnrollmentStopped():
            return "stopped"
        case EnrollmentFinished():
            return "finished"
        case EnrollmentSkipped(at_dispatch=True):
            return "skipped"
        case ContactDeleted() | ContactForgotten():
            return "contact_deleted"
        case ComplaintReceived():
            return "complaint"
        case CredentialDisabled():
            return "credential_disabled"
        case CredentialRemoved():
            return "credential_removed"
        case AddressSuppressed():
            return "suppressed"
        case DeliveryStarted() | DeliveryDeferred():
            return "previous_step_not_settled"
        case DeliveryResolved(outcome="not_sent"):
            return "previous_step_not_settled"
        case EmailSent() | DeliveryUnknown() | DeliveryResolved():
            return OPEN
        case DeliveryFailed():
            return "previous_step_failed"
        case _:
            return None


def plan_closed(monthly_limit: int | None, sends: int) -> str:
    """Why an account's plan lets nothing more out; OPEN if it does. Checked when a step is told, not asserted.

    `sends` are the messages accepted in this UTC calendar month; None is no limit.
    """
    return OPEN if monthly_limit is None or sends < monthly_limit else "plan_limit_reached"


def closed_by(events: Iterable[Event]) -> str:
    """Why the gate of a stream with these events is closed; OPEN if it is not."""
    reason = OPEN
    for event in events:
        found = effect(event)
        if found is not None:
            reason = found
    return reason


def last_word(history: Iterable[Recorded[Event]]) -> Recorded[Event] | None:
    """The event that closed the gate of a stream with this history, or opened it again; None: it always stood open."""
    return next((item for item in reversed(list(history)) if effect(item.event) is not None), None)
