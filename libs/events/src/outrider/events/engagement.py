"""Engagement: what a recipient's program did with a message. Written only by the api (tracking)."""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.message import Event


class EmailOpened(Event):
    """The open pixel was fetched, or a link was followed; at most 20 are recorded of one delivery."""

    delivery_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    position: int
    opened_at: AwareDatetime
    counts: bool
    """False: a known scanner or proxy, or within 2 s of acceptance."""
    by: Literal["pixel", "click"] = "pixel"


class LinkClicked(Event):
    """A link was followed; at most 20 are recorded of one delivery."""

    delivery_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    position: int
    link_number: int
    """Counted from 1 over the http(s) links of the HTML body. Where it leads is not told: that may name the person."""
    clicked_at: AwareDatetime
    counts: bool
    """False: a known scanner or proxy, or within 2 s of acceptance."""
