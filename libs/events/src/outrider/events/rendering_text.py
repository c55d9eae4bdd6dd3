"""HTML as plain text: the seam to inscriptis.

It works on rendered mails (about 0.1 ms each), not on templates: only then is it settled which branches stand, what a
value escapes to, and where blanks collapse.
"""

import re
from collections.abc import Callable
from typing import Final

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.css import CssParse
from inscriptis.model.html_document_state import HtmlDocumentState
from inscriptis.model.html_element import HtmlElement
from inscriptis.model.tag import CustomHtmlTagHandlerMapping

_BARE_LINK: Final = re.compile(r"\[((?:https?://|mailto:)?([^\s\[\]]{1,2000}))\]\((?:\1|https?://\2/?|mailto:\2)\)")
_TABLE_TAGS: Final = ("table", "tr", "td", "th")
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The text that a reader without HTML sees: links with their targets, lists with their signs, one line feed a line.

    Tables become lines of cells, without columns: mails use them for layout, and padding would multiply the text.
    """
    lines = (line.rstrip() for line in get_text(html, _CONFIG).splitlines())
    return _BLANK_LINES.sub("\n\n", _BARE_LINK.sub(r"\1", "\n".join(lines))).strip("\n")


def _only_hiding(style: str, element: HtmlElement) -> None:
    """Honour display alone: margins and paddings of any size would be written out."""
    for declaration in style.lower().split(";"):
        name, _, value = declaration.partition(":")
        if name.strip() == "display" and value.split()[:1] == ["none"]:
            CssParse.attr_display("none", element)


def _leave_alone(_state: HtmlDocumentState, _attributes: dict[str, str] | None = None) -> None:
    """Leave a tag to its style."""


def _config() -> ParserConfig:
    css = dict(CSS_PROFILES["strict"])
    css["table"] = css["tr"] = css["caption"] = HtmlElement(display=Display.block)
    css["td"] = css["th"] = HtmlElement(suffix=" ")
    starts: dict[str, Callable[[HtmlDocumentState, dict[str, str]], None]] = dict.fromkeys(_TABLE_TAGS, _leave_alone)
    ends: dict[str, Callable[[HtmlDocumentState], None]] = dict.fromkeys(_TABLE_TAGS, _leave_alone)
    handlers = CustomHtmlTagHandlerMapping(starts, ends)
    config = ParserConfig(css, display_links=True, custom_html_tag_handler_mapping=handlers)
    config.attribute_handler.attribute_mapping = {"style": _only_hiding}
    return config


_CONFIG: Final = _config()
