"""What an inbound message is: pure, for any bytes, in the order in which a mistake costs least.

mail = parse(raw)
match classify(mail, mailed={"bob@example.com"}):
    case Bounce(recipients, kind): ...
"""

import re
from collections.abc import Collection, Sequence
from email.message import Message

from outrider.reply_watcher import classifying_patterns as patterns
from outrider.reply_watcher.classifying_automatic import automatic_reply
from outrider.reply_watcher.classifying_bounces import bounce, from_daemon
from outrider.reply_watcher.classifying_optout import opts_out
from outrider.reply_watcher.classifying_verdicts import (
    AutomaticReply,
    Bounce,
    DeliveryNotice,
    FeedbackReport,
    HumanReply,
    OptOut,
    Verdict,
)
from outrider.reply_watcher.mail import Mail, addresses_in, content, parts

__all__ = [
    "AutomaticReply",
    "Bounce",
    "DeliveryNotice",
    "FeedbackReport",
    "HumanReply",
    "OptOut",
    "Verdict",
    "classify",
    "concerns",
]


def classify(mail: Mail, mailed: Collection[str] = ()) -> Verdict:
    """Answer what the message is; `mailed` are addresses that we wrote to. Raises nothing."""
    known = {address.casefold() for address in mailed}
    found = _complaint(mail, known) or bounce(mail, known) or _receipt(mail) or automatic_reply(mail)
    if found:
        return found
    return OptOut() if opts_out(mail.words) else HumanReply(mail.subject, mail.snippet)


def concerns(mail: Mail) -> bool:
    """Whether the header alone (no body was read yet) makes this a notice of some mail system or program.

    Such a message may be about one of ours without naming it in the header: its body is worth reading.
    """
    kind = mail.message.get_content_type()
    return (
        kind in ("multipart/report", "message/delivery-status", "message/feedback-report")
        or mail.header("Return-Path").replace(" ", "") == "<>"
        or bool(mail.header("X-Failed-Recipients"))
        or mail.sender == ""
        or from_daemon(mail)
        or bool(patterns.SUBJECT.search(mail.subject))
        or automatic_reply(mail) is not None
    )


def _complaint(mail: Mail, mailed: Collection[str]) -> FeedbackReport | AutomaticReply | None:
    """Answer the feedback report (RFC 5965) that this is."""
    leaves = list(parts(mail.message))
    report = next((part for part in leaves if part.get_content_type() == "message/feedback-report"), None)
    if report is None:
        return _bare_complaint(mail, leaves)
    fields = content(report)
    kind = _field(fields, "Feedback-Type").lower()
    if kind in ("auth-failure", "not-spam", "dmarc"):  # about our sending, not about what a person wants
        return AutomaticReply(None)
    named = [*addresses_in(_field(fields, "Original-Rcpt-To")), *addresses_in(_field(fields, "Removal-Recipient"))]
    returned = [
        _field(content(part), name) for part in leaves if _is_returned(part) for name in ("X-Original-To", "To")
    ]
    candidates = [*named, *(one for text in returned for one in addresses_in(text))]
    known = [one for one in candidates if one.casefold() in mailed]
    return FeedbackReport((known or [*candidates, ""])[0])


def _bare_complaint(mail: Mail, leaves: Sequence[Message]) -> FeedbackReport | None:
    """Answer the complaint that Outlook.com makes without a report: the message, with a header that says who."""
    told = [
        mail.header("X-HmXmrOriginalRecipient"),
        *(_field(content(part), "X-HmXmrOriginalRecipient") for part in leaves),
    ]
    named = [one for text in told for one in addresses_in(text)]
    if not named and not re.match(r"complaint about message from \d", mail.subject):
        return None
    return FeedbackReport(named[0] if named else "")


def _is_returned(part: Message) -> bool:
    return part.get_content_type() in ("message/rfc822", "text/rfc822-headers", "message/global")


def _field(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*(?:\n[ \t].*)*)", text, re.IGNORECASE | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _receipt(mail: Mail) -> DeliveryNotice | None:
    """Answer the receipt (RFC 8098) that this is: the message arrived, whatever became of it then."""
    told = any(part.get_content_type() == "message/disposition-notification" for part in parts(mail.message))
    return DeliveryNotice("delivered") if told else None
