"""Engagement: what a recipient's program did with a message. Written only by the api (tracking)."""

from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.message import Event


class EmailOpened(Event):
    """The open pixel was fetched; at most 20 are recorded of one delivery."""

    delivery_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    position: int
    opened_at: AwareDatetime
    counts: bool
    """False: a known scanner or proxy, or within 2 s of acceptance."""
