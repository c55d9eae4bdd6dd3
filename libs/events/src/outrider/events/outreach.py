"""Outreach: campaigns that share their contacts. Written only by the dispatcher."""

from outrider.events.errors import Refused


class OutreachNotFound(Refused, status=404, code="outreach_not_found"):
    """There is no such outreach."""
