"""Synthetic mail in ten languages: automatic replies as vendors form them, opt-outs, and people who come near to both.

None of it was ever sent: headers and subjects follow the vendors' documented patterns, the words are our own.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Final, NamedTuple

from tests.inbound_scores import synthetic_classifying_more as more
from tests.inbound_scores.synthetic_classifying_words import LANGUAGES, Language

BACK: Final = date(2026, 12, 4)
"""The day of return that every dated text names; all are sent on 22 November 2026."""


_VENDORS: Final[tuple[tuple[str, str, Mapping[str, str]], ...]] = (
    (
        "Exchange Online",
        "{automatic}: {subject}",
        {
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "X-MS-Exchange-Inbox-Rules-Loop": "b@c",
        },
    ),
    ("Exchange behind a gateway", "{automatic}: {subject}", {"X-Auto-Response-Suppress": "DR, OOF, AutoReply"}),
    ("Outlook.com", "{automatic}: {subject}", {"Auto-Submitted": "auto-replied"}),
    ("Gmail", "Re: {subject}", {"Auto-Submitted": "auto-replied", "Precedence": "bulk", "X-Autoreply": "yes"}),
    ("Zimbra", "Re: {subject}", {"Auto-Submitted": "auto-replied (zimbra; vacation)", "Precedence": "bulk"}),
    ("Notes", "AUTO: Bob Smith is out of the office (returning 12/04/2026)", {"Auto-Submitted": "auto-generated"}),
    ("Notes behind a gateway", "AUTO: Bob Smith is out of the office", {"Return-Path": "<>"}),
    ("Sieve", "Auto: {subject}", {"Auto-Submitted": "auto-replied (vacation)", "Precedence": "bulk"}),
    ("Exim", "Re: {subject}", {"Auto-Submitted": "auto-replied", "Return-Path": "<>"}),
    ("cPanel", "Re: {subject}", {"X-Autorespond": "{subject}", "Precedence": "auto_reply"}),
    ("FirstClass", "{automatic}: {subject}", {"X-FC-MachineGenerated": "true"}),
    ("Apple Mail Server", "Re: {subject}", {"X-Apple-Action": "VACATION"}),
    ("A gateway that keeps no header", "{automatic}: {subject}", {"Return-Path": "<>"}),
    ("A client that sets no header", "{automatic}: {subject}", {}),
)
"""Who answers, the form of the subject, and the headers; `{...}` are the language's words."""

_QUOTED: Final = "\r\n\r\n> {automatic}: {subject}\r\n> {away}\r\n> STOP\r\n> Unsubscribe: https://sales.example/u\r\n"


class Made(NamedTuple):
    """One message of the set."""

    name: str
    raw: bytes
    day: date | None = None


def automatic_replies() -> Iterator[Made]:
    """Every vendor in every language: each text in turn, with each way to write the day, and one undated."""
    for code, language in LANGUAGES.items():
        texts = [
            *((text.format(day=day), BACK) for text in language.away for day in language.days),
            (language.undated, None),
        ]
        for at, (vendor, subject, headers) in enumerate(_VENDORS):
            for text, day in (texts[at % len(texts)], texts[-1], texts[(at * 7 + 3) % len(texts)]):
                yield Made(
                    f"{vendor}, {code}: {text}", _mail(_filled(subject, language), text, _all(headers, language)), day
                )


def dated_texts() -> Iterator[Made]:
    """Every text with every way to write the day, as one vendor sends it."""
    for code, language in LANGUAGES.items():
        for text in language.away:
            for day in language.days:
                said = text.format(day=day)
                raw = _mail(f"{language.automatic}: {language.subject}", said, {"Auto-Submitted": "auto-replied"})
                yield Made(f"{code}: {said}", raw, BACK)
    for said in more.DATED:
        yield Made(said, _mail("Re: Hello", said, {"Auto-Submitted": "auto-replied"}), BACK)


def opt_outs() -> Iterator[Made]:
    """Every wish to be left alone, above a quoted mail."""
    for code, language in LANGUAGES.items():
        for text in language.opt_outs:
            yield Made(f"{code}: {text}", _mail(f"Re: {language.subject}", text + _quoted(language), {}))
    yield from (Made(text, _mail("Re: Hello", text, {})) for text in more.OPT_OUTS)


def human_replies() -> Iterator[Made]:
    """People, each plain, above a quote that says all the dangerous words, and under subjects that mislead."""
    for code, language in LANGUAGES.items():
        for text in language.people:
            for subject in (
                f"Re: {language.subject}",
                f"RE: {language.automatic}: {language.subject}",
                f"Re: Undelivered Mail Returned to Sender: {language.subject}",
            ):
                for below in ("", _quoted(language)):
                    yield Made(f"{code}: {text} ({subject})", _mail(subject, text + below, {}))
    yield from (Made(text, _mail("Re: Hello", text, {})) for text in more.PEOPLE)


def _quoted(language: Language) -> str:
    return _QUOTED.format(automatic=language.automatic, subject=language.subject, away=language.undated)


def _all(headers: Mapping[str, str], language: Language) -> dict[str, str]:
    return {name: _filled(value, language) for name, value in headers.items()}


def _filled(pattern: str, language: Language) -> str:
    return pattern.format(automatic=language.automatic, subject=language.subject)


def _mail(subject: str, body: str, headers: Mapping[str, str]) -> bytes:
    usual = {
        "From": "Bob <bob@example.com>",
        "To": "Ann <ann@sales.example>",
        "Date": "Sun, 22 Nov 2026 10:00:00 +0000",
        "Message-ID": "<1@example.com>",
        "In-Reply-To": "<2@sales.example>",
        "Content-Type": "text/plain; charset=utf-8",
        "Subject": subject,
    }
    lines = [f"{name}: {value}" for name, value in (usual | dict(headers)).items()]
    return "\r\n".join([*lines, "", body]).encode()
