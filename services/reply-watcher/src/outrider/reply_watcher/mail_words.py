"""What a sender wrote himself, without quotes, signature and disclaimer: the seam to mail-parser-reply."""

import re
from typing import Final

from mailparser_reply import EmailReplyParser

_LANGUAGES: Final = ["en", "de", "es", "fr", "it", "ja", "nl", "pl", "zh", "cs", "da", "ko", "sv"]
_LOOKED_AT: Final = 20_000  # characters: its patterns are many and some of them slow
_LINE_MAX: Final = 1_000
_PARSER: Final = EmailReplyParser(languages=_LANGUAGES)


def own_words(text: str) -> str:
    """Answer the newest words of the text; all of it where nothing else is left. Raises nothing."""
    lines = [line[:_LINE_MAX] for line in text[:_LOOKED_AT].replace("\r\n", "\n").split("\n")]
    whole = "\n".join(lines)
    try:
        replies = [reply.body for reply in _PARSER.read(whole).replies]
    except Exception:  # noqa: BLE001  # a parser of other people's habits must not cost a reply
        replies = [whole]
    for reply in replies:
        words = _unquoted(reply)
        if words:
            return words
    return _unquoted(whole) or whole.strip()


def _unquoted(text: str) -> str:
    lines = (line for line in text.split("\n") if not re.match(r"\s*(>|\|\s)", line))
    return "\n".join(lines).strip()
