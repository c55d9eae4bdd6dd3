"""Codes in words, wherever they are shown."""

from collections.abc import Mapping
from typing import Any, Final

from outrider.events.campaign import StepsRetimed
from outrider.events.delivery import DeliveryDeferred, DeliveryStarted, DeliveryUnknown
from outrider.events.enrollment import EnrollmentSkipped, EnrollmentStopped
from outrider.events.message import Event

REASONS: Final = {
    "mx_invalid": "the domain takes no mail",
    "cross_campaign_duplicate": "the contact is enrolled in another campaign of this outreach",
    "unsubscribed": "the contact has unsubscribed",
    "bounced": "a message to the contact bounced for good",
    "suppressed": "the address is on the do-not-contact list",
    "already_enrolled": "the contact is enrolled in this campaign already",
}
"""Every kind of skip, in words."""
STOPS: Final[Mapping[str, str]] = {
    "failed": "a message could not be delivered within 24 hours",
    "deleted": "the enrollment was deleted",
    "contact_deleted": "the contact was deleted",
    "campaign_deleted": "the campaign was deleted",
    "complaint": "the person reported the message as spam",
}
MOVES: Final[Mapping[str, str]] = {
    "resumed": "the campaign was resumed: what became overdue is spaced anew",
    "sent_late": "a step before it left late: its delay counts from then",
    "settings_changed": "waits, windows or delays of the campaign were changed",
    "hand_over": "the credential is gone: another one takes its place",
}
DEFERRALS: Final[Mapping[str, str]] = {
    "recipient_server": "the recipient's server asked to try again later",
    "host": "the credential's server could not be reached",
    "credential": "the credential's server refused the credential, not the message",
    "not_begun": "the claim was given up before anything was sent",
}
DOUBTS: Final[Mapping[str, str]] = {
    "lost_after_data": "the connection was lost after the message, before the server's answer",
    "shutdown": "the sender was shut down while the server had not answered yet",
    "no_outcome": "the sender that had claimed it never said what became of it",
    "restored": "the log was restored from a backup of before its outcome",
}


def reason_of(event: Event) -> str | None:  # noqa: PLR0911  # one line an event
    """Why it was decided so, in words; None where the event says all."""
    match event:
        case EnrollmentSkipped():
            return REASONS.get(event.kind, event.kind)
        case EnrollmentStopped():
            return STOPS.get(event.reason, event.reason)
        case StepsRetimed():
            return MOVES.get(event.reason, event.reason)
        case DeliveryStarted():
            return f"attempt {event.attempt}, planned for {event.planned_at:%Y-%m-%dT%H:%M:%SZ}: every gate was open"
        case DeliveryDeferred():
            return DEFERRALS.get(event.by, event.by)
        case DeliveryUnknown():
            return DOUBTS.get(event.reason, event.reason)
        case _:
            said: Any = getattr(event, "reason", None)
            return said if isinstance(said, str) else None
