"""What is recorded of an open or a click: pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from outrider.events.aggregate import Aggregate
from outrider.events.delivery import DeliveryResolved, DeliveryStarted, DeliveryUnknown, EmailSent
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.message import Event

MOST_OPENS: Final = 20
"""A stream without end would be anybody's to grow: whoever has the picture's address."""
MOST_CLICKS: Final = 20
TOO_SOON: Final = timedelta(seconds=2)
"""Nobody reads so fast: a scanner in the recipient's server does."""
_MACHINES: Final = re.compile(
    r"googleimageproxy|yahoomailproxy|ggpht\.com|barracuda|proofpoint|mimecast|trendmicro|symantec|messagelabs"
    r"|forcepoint|cisco|ironport|fireeye|safelinks|bot\b|crawler|spider|preview|scanner|curl/|wget/|python-|go-http"
    r"|^mozilla/5\.0$",  # so Apple's mail privacy protection calls itself: it fetches everything on arrival
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Engagement:
    """What is recorded of one message."""

    opens: int = 0
    clicks: int = 0
    opened: bool = False
    """Whether one of the opens counts."""
    clicked: bool = False
    """Whether one of the clicks counts."""


def _evolve(state: Engagement, event: Event) -> Engagement:
    match event:
        case EmailOpened(counts=counted):
            return replace(state, opens=state.opens + 1, opened=state.opened or counted)
        case LinkClicked(counts=counted):
            return replace(state, clicks=state.clicks + 1, clicked=state.clicked or counted)
        case _:
            return state


engagement: Final = Aggregate("engagement", Engagement(), _evolve)


def record_open(opened: EmailOpened, state: Engagement) -> Sequence[Event]:
    """The open, unless as many stand already; the first that counts always."""
    first = opened.counts and not state.opened
    return (opened,) if first or state.opens < MOST_OPENS else ()


def record_click(clicked: LinkClicked, state: Engagement) -> Sequence[Event]:
    """The click, unless as many stand already; the first that counts always, and as an open if there was none."""
    first = clicked.counts and not state.clicked
    if not first and state.clicks >= MOST_CLICKS:
        return ()
    if not clicked.counts or state.opened:
        return (clicked,)
    opened = EmailOpened(
        delivery_id=clicked.delivery_id,
        enrollment_id=clicked.enrollment_id,
        campaign_id=clicked.campaign_id,
        contact_id=clicked.contact_id,
        position=clicked.position,
        opened_at=clicked.clicked_at,
        counts=True,
        by="click",
    )
    return opened, clicked


def counts(user_agent: str, sent_at: datetime | None, at: datetime) -> bool:
    """Whether a person may have done it: not a known scanner or proxy, nor before 2 s after the message's acceptance.

    What is not known to be accepted, so that `sent_at` is None, can only have been looked at in the server.
    """
    soon = sent_at is None or at - sent_at < TOO_SOON
    return not soon and not _MACHINES.search(user_agent.strip())


def accepted_at(delivery: Sequence[Event]) -> datetime | None:
    """When a server accepted the message, or may have; None where none is known to have."""
    at: datetime | None = None
    for event in delivery:
        match event:
            case EmailSent():
                at = event.sent_at
            case DeliveryUnknown():
                at = event.at
            case DeliveryStarted() | DeliveryResolved(outcome="not_sent"):
                at = None
            case _:
                pass
    return at
