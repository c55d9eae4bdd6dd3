"""Delivery: one step to one person, claimed, mailed and settled. Written only by the sender.

Its id is uuid5(enrollment, position), so that a step is one stream however often it is tried.
"""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.enrollment import BounceKind
from outrider.events.errors import Refused
from outrider.events.message import Command, Event, Job

DeferredBy = Literal["recipient_server", "host", "credential", "not_begun"]
"""A 4xx answer; DNS, connection or TLS; the credential was refused; the claim was given up before SMTP."""


class SendStep(Job):
    """Mail this step now, if every gate is open and the quota allows."""

    delivery_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    position: int
    attempt: int
    planned_at: AwareDatetime
    previous_delivery_id: UUID | None
    """The step before: it must be settled."""
    first_attempt_at: AwareDatetime | None = None
    """When attempt 1 was claimed: after 24 h of deferrals it has failed."""
    first_credential_id: UUID | None = None
    """Through which step 1 went out, where that was another one: its from address ends the Message-ID of the thread."""
    until: AwareDatetime | None = None
    """Business time: not to be claimed from then on. Its window is closed, or the dispatcher looks at it anew."""


class DeliveryEvent(Event):
    """What every event of a delivery says."""

    delivery_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    position: int
    """Of the step, from 1."""
    attempt: int
    """Counts claims from 1, and always rises."""


class DeliveryStarted(DeliveryEvent):
    """This attempt may be mailed by whoever made this claim, and by nobody else."""

    claim: UUID
    """Made anew for each call: only who made it may act on it."""
    day: date
    """The UTC day whose quota it uses."""
    counted: bool
    template_version: int
    planned_at: AwareDatetime


class EmailSent(DeliveryEvent):
    """A server accepted the message."""

    planned_at: AwareDatetime
    sent_at: AwareDatetime
    status_code: str
    late: bool = False
    """True: it settles an attempt that had been given up as unknown."""


class EmailBounced(DeliveryEvent):
    """A server refused the recipient or the content for good (5xx)."""

    kind: BounceKind
    status_code: str
    reason: str
    bounced_at: AwareDatetime


class DeliveryDeferred(DeliveryEvent):
    """Not sent; to be tried again."""

    by: DeferredBy
    status_code: str
    not_before: AwareDatetime
    """Business time."""
    first_attempt_at: AwareDatetime


class DeliveryFailed(DeliveryEvent):
    """Deferred for 24 hours: it is not tried again."""

    status_code: str


class DeliveryUnknown(DeliveryEvent):
    """Whether a server accepted it cannot be known: it is counted as sent, listed, and never repeated by itself."""

    reason: Literal["lost_after_data", "shutdown", "no_outcome", "restored"]
    at: AwareDatetime


class DeliveryResolved(DeliveryEvent):
    """Somebody settled an unknown delivery."""

    outcome: Literal["sent", "not_sent"]
    at: AwareDatetime


class ResolveSend(Command, category="delivery"):
    """Somebody has found out whether the server took a message of which that is not known."""

    delivery_id: UUID
    outcome: Literal["sent", "not_sent"]

    @property
    def target(self) -> str:
        """The message."""
        return f"delivery-{self.delivery_id}"


class SendNotFound(Refused, status=404, code="send_not_found"):
    """There is no such send."""


class SendInFlight(Refused, status=422, code="send_in_flight"):
    """The send was begun a short while ago: its outcome may still come, and sending it again could send it twice."""


class SendAlreadyResolved(Refused, status=422, code="send_already_resolved"):
    """The send has an outcome already."""
