"""What is recorded of an open: pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from outrider.events.aggregate import Aggregate
from outrider.events.engagement import EmailOpened
from outrider.events.message import Event

MOST_OPENS: Final = 20
"""A stream without end would be anybody's to grow: whoever has the picture's address."""
TOO_SOON: Final = timedelta(seconds=2)
"""Nobody reads so fast: a scanner in the recipient's server does."""
_MACHINES: Final = re.compile(
    r"googleimageproxy|yahoomailproxy|ggpht\.com|barracuda|proofpoint|mimecast|trendmicro|symantec|messagelabs"
    r"|forcepoint|cisco|ironport|fireeye|safelinks|bot\b|crawler|spider|preview|scanner|curl/|wget/|python-|go-http",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Opens:
    """How often one message was opened, as far as it is recorded."""

    recorded: int = 0


def _evolve(state: Opens, event: Event) -> Opens:
    match event:
        case EmailOpened():
            return Opens(state.recorded + 1)
        case _:
            return state


engagement: Final = Aggregate("engagement", Opens(), _evolve)


def record_open(opened: EmailOpened, state: Opens) -> Sequence[Event]:
    """The open, unless as many as are recorded of one message stand already."""
    return () if state.recorded >= MOST_OPENS else (opened,)


def counts(user_agent: str, sent_at: datetime | None, at: datetime) -> bool:
    """Whether a person may have opened it: not a known scanner or proxy, nor within 2 s of its acceptance."""
    soon = sent_at is not None and at - sent_at < TOO_SOON
    return not soon and not _MACHINES.search(user_agent)
