"""The footer of a commercial mail: who sends it, from where, and how to get no more of it (CAN-SPAM). Pure."""

import html
from dataclasses import replace
from typing import Final

from outrider.events.rendering import Rendered, before_end_of_body

_STYLE: Final = "margin-top:2em;font-size:12px;line-height:1.4;color:#666666"


def add_footer(shown: Rendered, postal_address: str | None, unsubscribe_url: str) -> Rendered:
    """The mail with the sender's postal address, where one is known, and a link to unsubscribe, in both parts."""
    address = [line.strip() for line in (postal_address or "").splitlines() if line.strip()]
    link = f'<a href="{html.escape(unsubscribe_url)}" style="color:#666666">Unsubscribe</a>'
    body = "<br>".join([*(html.escape(line) for line in address), link])
    text = "\n".join([*address, f"Unsubscribe: {unsubscribe_url}"])
    return replace(
        shown,
        html=before_end_of_body(shown.html, f'<p style="{_STYLE}">{body}</p>'),
        text=f"{shown.text.rstrip()}\n\n-- \n{text}",
    )
