"""Is it a bounce, of whom and why: reports (RFC 3464) first, then what mail systems write in words. Pure."""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, cast

from flufl.bounce import all_failures  # pyright: ignore[reportUnknownVariableType]  # its argument has no type

from outrider.reply_watcher import classifying_patterns as patterns
from outrider.reply_watcher.classifying_reasons import Stage, cause, status_in
from outrider.reply_watcher.classifying_verdicts import Bounce, DeliveryNotice
from outrider.reply_watcher.mail import Mail, addresses_in, content, parts, tidy

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it logs what it cannot read, with a traceback

_REPORTS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED: Final = frozenset(
    {"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "text/rfc822"}
)
_STANDARD: Final = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})

_LINES_MAX: Final = 5_000
_SAID_MAX: Final = 20_000  # characters: a report says it at the beginning

Fields = Mapping[str, str]


def bounce(mail: Mail, mailed: Collection[str] = ()) -> Bounce | DeliveryNotice | None:
    """Answer what a mail system tells of our message, None where none speaks.

    `mailed` are addresses that we wrote to, folded: of several that a report names, one of them is meant.
    """
    leaves = list(parts(mail.message))
    groups = [group for part in leaves if part.get_content_type() in _REPORTS for group in _groups(content(part))]
    named = [group for group in groups if _recipients(group) or "action" in group]
    said = _report_text(mail)
    if not named and _speaks(mail, said):
        named = [group for group in _groups(said) if _recipients(group)]
    if named:
        return _by_report(mail, named, said, mailed)
    return _by_words(mail, said, mailed) if groups or _speaks(mail, said) else None


def from_daemon(mail: Mail) -> bool:
    """Whether the sender is named as mail systems are."""
    return _is_daemon(mail.sender) or bool(patterns.DAEMON_NAME.search(mail.header("From")))


def _speaks(mail: Mail, said: str) -> bool:
    """Whether a mail system wrote this and says that something failed."""
    if mail.header("X-Failed-Recipients"):
        return True
    if str(mail.message.get_param("report-type", "")).lower() == "delivery-status":
        return True
    daemon = from_daemon(mail)
    nobody = mail.header("Return-Path").replace(" ", "") == "<>"
    answering = bool(patterns.ANSWERING.match(mail.subject))
    subject = bool(patterns.SUBJECT.search(mail.subject)) and not (answering and not (daemon or nobody))
    failed = bool(patterns.FAILED.search(said) or patterns.DELAYED.search(said))
    enclosed = any(part.get_content_type() in _RETURNED for part in parts(mail.message))
    copied = enclosed or len(said) < len(mail.text)
    names_whom = bool(patterns.SUBJECT.search(mail.subject) and patterns.NOT_DELIVERED_TO.match(said))
    return (
        (daemon and (subject or failed))
        or (daemon and enclosed and not answering and not mail.in_reply_to)  # in a language that we do not read
        or (names_whom and not mail.in_reply_to)
        or (nobody and subject)
        or (nobody and failed and copied)
        or (subject and failed and copied and not mail.in_reply_to)
    )


def _groups(text: str) -> Iterator[dict[str, str]]:
    """Give the field groups of a delivery report: names in lower case, folded lines joined."""
    for block in re.split(r"\r?\n[ \t]*\r?\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            field = re.match(r"([A-Za-z][A-Za-z0-9-]{2,40})\s*:\s?(.*)", line)
            if field:
                name = field[1].lower()
                fields.setdefault(name, field[2].strip())
            elif name and line[:1] in " \t":
                fields[name] += " " + line.strip()
        if fields:
            yield fields


def _recipients(group: Fields) -> list[str]:
    """The addresses of a group: as we wrote it first, then what forwarding made of it."""
    values = (group.get(name, "") for name in ("original-recipient", "final-recipient", "x-actual-recipient"))
    found = [_address(value) for value in values]
    return [address for address in dict.fromkeys(found) if address]


def _address(value: str) -> str:
    bare = value.partition(";")[2] if ";" in value.partition("@")[0] else value
    found = addresses_in(re.sub(r"(^|[<\s])@[^<>:\s]*:", r"\1", bare))  # a source route names hosts before the address
    return found[0] if found else ""


def _by_report(mail: Mail, groups: Sequence[Fields], said: str, mailed: Collection[str]) -> Bounce | DeliveryNotice:
    ours = [group for group in groups if any(one.casefold() in mailed for one in _recipients(group))]
    groups = ours or groups
    actions = [_action(group) for group in groups]
    failed = [group for group, action in zip(groups, actions, strict=True) if action == "failed"]
    if not failed:
        if "delayed" in actions:
            return DeliveryNotice("delayed")
        return DeliveryNotice("delivered" if "delivered" in actions else "relayed")
    recipients = [_ours(_recipients(group), mailed) for group in failed]
    first = failed[0]
    diagnostic = first.get("diagnostic-code", "") or _spoken(said)
    stated, spoken = status_in(first.get("status", "")), status_in(diagnostic)
    status = spoken if spoken and (not stated or stated.endswith(".0.0") or spoken[0] == stated[0]) else stated
    named = tuple(dict.fromkeys(one for one in recipients if one)) or _guessed(mail, said, mailed)
    why = cause(status, diagnostic, f"{mail.subject}\n{said}", stage=_stage(said))
    return Bounce(named, why.kind, status, why.reason)


def _action(group: Fields) -> str:
    action = group.get("action", "").strip().lower().partition(" ")[0].strip(";()")
    if action in _STANDARD:
        return action
    return {"2": "delivered", "4": "delayed"}.get(group.get("status", "5")[:1], "failed")


def _ours(candidates: Sequence[str], mailed: Collection[str]) -> str:
    known = [address for address in candidates if address.casefold() in mailed]
    return (known or [*candidates, ""])[0]


def _by_words(mail: Mail, said: str, mailed: Collection[str]) -> Bounce | DeliveryNotice:
    if (patterns.DELAYED.search(said) or patterns.DELAYED.search(mail.subject)) and not patterns.FINAL.search(said):
        return DeliveryNotice("delayed")
    spoken = _spoken(said)
    status = status_in(spoken)
    why = cause(status, spoken, f"{mail.subject}\n{said}", stage=_stage(said))
    return Bounce(_guessed(mail, said, mailed), why.kind, status, why.reason)


def _spoken(said: str) -> str:
    """The lines of a report that quote a server: those with a reply code or a status code, and what they fold to."""
    lines = said.splitlines()
    quoting = [at for at, line in enumerate(lines) if patterns.CODE.search(line)]
    wanted = sorted({at + more for at in quoting for more in (0, 1) if at + more < len(lines)})
    return "\n".join(lines[at] for at in wanted)


def _stage(said: str) -> Stage:
    """Where it failed, as far as the report tells; a client that pipelines tells RCPT's answer later."""
    if patterns.AT_MAIL.search(said):
        return "mail"
    if patterns.AT_CONNECT.search(said):
        return "connect"
    if patterns.PIPED.search(said):
        return "program"
    return (
        "data"
        if patterns.AFTER_DATA.search(said) and not re.search(r"<<< (503|554).{0,40}(rcpt|recip)", said, re.IGNORECASE)
        else ""
    )


def _guessed(mail: Mail, said: str, mailed: Collection[str]) -> tuple[str, ...]:
    """Whom a report in words means: every source in turn, an address that we wrote to before any other."""
    own = {*(address.casefold() for address in mail.recipients), mail.sender.casefold()}
    sources = (
        addresses_in(mail.header("X-Failed-Recipients")),
        _flufl(mail),
        [tidy(found[1]) for line in said.splitlines() if (found := patterns.FAILED_ON_LINE.match(line))],
        addresses_in(said),
        _returned_to(mail),
    )
    known = [one for source in sources for one in source if one.casefold() in mailed]
    others = [[one for one in source if one.casefold() not in own] for source in sources]
    people = [[one for one in source if not _is_daemon(one)] for source in others]
    told = (known, sources[0], *people, *others, *sources)
    return next((tuple(dict.fromkeys(source)) for source in told if source), ())


def _is_daemon(address: str) -> bool:
    return bool(patterns.DAEMON.fullmatch(address.partition("@")[0]))


def _flufl(mail: Mail) -> list[str]:
    """What flufl.bounce finds: its detectors take the whole message line by line, so none that is all lines."""
    payloads = (part.get_payload() for part in islice(mail.message.walk(), _LINES_MAX))
    if sum(payload.count("\n") + 1 if isinstance(payload, str) else 1 for payload in payloads) >= _LINES_MAX:
        return []
    try:
        temporary, permanent = cast("tuple[set[bytes], set[bytes]]", all_failures(mail.message))
    except Exception:  # noqa: BLE001  # it raises of many kinds on mail that its detectors did not foresee
        return []
    found = sorted(one.decode("utf-8", "replace") for one in (permanent or temporary))
    return [tidy(one) for one in found if one.find("@") > 0]


def _returned_to(mail: Mail) -> list[str]:
    for part in parts(mail.message):
        if part.get_content_type() in _RETURNED:
            to = re.search(r"^(?:X-)?(?:Original-)?To\s*:\s*(.+)", content(part), re.IGNORECASE | re.MULTILINE)
            if to:
                return addresses_in(to[1])
    to = re.search(r"\n[ >\t]*To\s*:\s*(.+)", mail.text, re.IGNORECASE)
    return addresses_in(to[1]) if to else []


def _report_text(mail: Mail) -> str:
    """What the mail system itself wrote: the text without the returned message below it."""
    texts = [
        content(part)
        for part in parts(mail.message)
        if part.get_content_maintype() in ("text", "multipart") and part.get_content_type() not in _RETURNED
    ]
    said = next((text for text in texts if text.strip()), mail.text)
    if mail.text and "<html" in said[:200].lower():
        said = mail.text
    copy = next((match for match in patterns.COPY.finditer(said) if match.start() > 0), None)
    return said[: copy.start() if copy else _SAID_MAX][:_SAID_MAX]
