"""Outreach: campaigns that share their contacts. Written only by the dispatcher.

Two categories: `outreach-<id>` and the reservation `outreachContact-<outreach>+<contact>`, which lets one campaign of
the outreach have a contact.
"""

from uuid import UUID

from outrider.events.errors import Refused
from outrider.events.message import Command, Event


class OutreachCommand(Command, category="outreach"):
    """A command about one outreach, whose name lies in the vault."""

    outreach_id: UUID

    @property
    def target(self) -> str:
        """The outreach: its commands keep their order."""
        return f"outreach-{self.outreach_id}"


class CreateOutreach(OutreachCommand):
    """Create it."""

    unique_contacts: bool


class ChangeOutreach(OutreachCommand):
    """Replace what it asks of its campaigns."""

    unique_contacts: bool


class DeleteOutreach(OutreachCommand):
    """Delete it, if no campaign refers to it."""


class OutreachCreated(Event):
    """Campaigns may refer to it."""

    outreach_id: UUID
    unique_contacts: bool
    """Whether a contact is enrolled in one of its campaigns at most."""


class OutreachChanged(Event):
    """This holds for whoever is enrolled from now on."""

    outreach_id: UUID
    unique_contacts: bool


class OutreachDeleted(Event):
    """It is gone."""

    outreach_id: UUID


class OutreachJoined(Event):
    """The campaign refers to it; recorded together with what made it so."""

    outreach_id: UUID
    campaign_id: UUID


class OutreachLeft(Event):
    """The campaign refers to it no more, or is gone."""

    outreach_id: UUID
    campaign_id: UUID


class OutreachContactReserved(Event):
    """The contact is this enrollment's within the outreach."""

    outreach_id: UUID
    contact_id: UUID
    enrollment_id: UUID


class OutreachContactReleased(Event):
    """Another campaign of the outreach may have the contact."""

    outreach_id: UUID
    contact_id: UUID
    enrollment_id: UUID


class OutreachNotFound(Refused, status=404, code="outreach_not_found"):
    """There is no such outreach."""


class OutreachNotEmpty(Refused, status=422, code="outreach_not_empty"):
    """Campaigns refer to the outreach: delete them, or move them, before you delete it."""
