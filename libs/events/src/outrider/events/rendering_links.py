"""The links of a rendered HTML body: found as a browser finds them, and led elsewhere. Pure.

One pass over the text, in linear time: a body may have a megabyte, and be anything.
"""

import html
import re
from collections.abc import Callable
from html.entities import html5
from typing import Final
from urllib.parse import quote

MOST_LINKS: Final = 1000
"""Of one body; those behind them are left as they are."""

_START: Final = re.compile(r"<!--|<(?:a|area)(?=[\s/])", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(
    r"""[\s/]*+([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?+"""
)
_TAG_END: Final = re.compile(r"[\s/]*+>")
_REFERENCE: Final = re.compile(r"&(#[0-9]+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*)[;=]?")
_WEB: Final = re.compile(r"https?://(?=[!-.0-~])[!-~]+", re.IGNORECASE)
_REMOVED: Final = str.maketrans("", "", "\t\r\n")
_KEPT: Final = "".join(chr(octet) for octet in range(0x21, 0x7F))


def lead_links(body_html: str, lead: Callable[[int, str], str | None]) -> str:
    """The HTML with the target of each http(s) link as `lead(number, target)` has it; None leaves it as it is.

    Numbers run from 1, over the http(s) links of the body. Anything else with an address is left alone: images, mailto,
    anchors, and what stands in comments, conditional ones for Outlook too.
    """
    pieces, written, number = list[str](), 0, 0
    for start, end in _addresses(body_html):
        value = body_html[start:end]
        target = _target(value[1:-1] if value[:1] in {'"', "'"} else value)
        if target is None:
            continue
        number += 1
        if number > MOST_LINKS:
            break
        led = lead(number, target)
        if led is not None:
            pieces += [body_html[written:start], f'"{html.escape(led)}"']
            written = end
    return "".join([*pieces, body_html[written:]])


def _addresses(body_html: str) -> list[tuple[int, int]]:
    """Where the href of every link stands, its quotes included."""
    found, position = list[tuple[int, int]](), 0
    while opening := _START.search(body_html, position):
        position = opening.end()
        if opening.group() == "<!--":
            position = body_html.find("-->", position)
            if position < 0:
                break
            continue
        href, end = _href(body_html, position)
        if end is None:
            break  # the tag is never closed: no browser shows it, nor anything behind it
        if href is not None:
            found.append(href)
        position = end
    return found


def _href(body_html: str, position: int) -> tuple[tuple[int, int] | None, int | None]:
    """Where the value of the tag's first href stands, if it has one; and where the tag ends, if it does."""
    href: tuple[int, int] | None = None
    seen = False
    while not (closing := _TAG_END.match(body_html, position)):
        attribute = _ATTRIBUTE.match(body_html, position)
        if attribute is None:
            return None, None
        if attribute[1].lower() == "href" and not seen:
            seen = True
            group = next((one for one in (2, 3, 4) if attribute[one] is not None), None)
            if group is not None:
                quotes = int(group in {2, 3})
                href = attribute.start(group) - quotes, attribute.end(group) + quotes
        position = attribute.end()
    return href, closing.end()


def _target(value: str) -> str | None:
    """The address as a browser asks for it, in ASCII; None if it is not one of the web."""
    text = _REFERENCE.sub(_replaced, value).strip().translate(_REMOVED)
    scheme, _, rest = text.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not host.isascii():
        return None  # its name would have to be encoded: left to the browser
    try:
        target = f"{scheme}://{quote(rest, safe=_KEPT)}"
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return target if _WEB.fullmatch(target) else None


def _replaced(found: re.Match[str]) -> str:
    """A character reference as it counts inside an attribute: `&copy=` is a part of a query, and no sign."""
    reference = found.group()
    if reference.startswith("&#"):
        return html.unescape(reference)
    return html.unescape(reference) if not reference.endswith("=") and reference[1:] in html5 else reference
