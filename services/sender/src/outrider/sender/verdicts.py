"""What an answer of the SMTP adapter means for the delivery. Pure."""

import re
from typing import assert_never

from outrider.sender import smtp
from outrider.sender.delivery import Lost, Outcome, Postponed, Refused, Sent
from outrider.sender.smtp_conversation import SHUTDOWN

ENHANCED = re.compile(r"#?([245]\.\d{1,3}\.\d{1,3})(?![.\d])")
"""At the start of a reply alone (RFC 2034): elsewhere 5.1.2 may be somebody's version."""
REASONS = (
    ("5.1.2", "host_unknown"),
    ("5.4.4", "host_unknown"),
    ("5.1.", "user_unknown"),
    ("5.2.1", "suspended"),
    ("5.2.2", "mailbox_full"),
    ("5.2.3", "content"),
    ("5.3.4", "content"),
    ("5.6.", "content"),
    ("5.7.", "policy"),
)
"""By the enhanced status code: the first rule that fits (RFC 3463)."""


def outcome_of(answer: smtp.Outcome) -> Outcome:
    """The outcome that the delivery records."""
    match answer:
        case smtp.Accepted():
            return Sent(status_code(250, answer.reply))
        case smtp.Rejected():
            code = status_code(answer.status_code, answer.reply)
            return Refused(answer.kind, code, reason_of(code, answer.kind))
        case smtp.Deferred():
            return Postponed("recipient_server", status_code(answer.status_code, answer.reply))
        case smtp.NotSent():
            return Postponed("not_begun" if answer.reason == SHUTDOWN else "host")
        case smtp.CredentialFailed():
            return Postponed("credential", status_code(answer.status_code, answer.reply))
        case smtp.Unknown():
            return Lost("shutdown" if answer.reason == SHUTDOWN else "lost_after_data")
        case _:
            assert_never(answer)


def words_of(answer: smtp.Outcome) -> str:
    """What the server said, or why it could not be asked."""
    return answer.reason if isinstance(answer, smtp.NotSent | smtp.Unknown) else answer.reply


def status_code(code: int, reply: str) -> str:
    """The enhanced status code of the reply where it has one, else the three digits."""
    found = ENHANCED.match(reply)
    return found[1] if found else str(code)


def reason_of(code: str, kind: str) -> str:
    """One word of a small closed set for why a message was refused."""
    for prefix, reason in REASONS:
        if code.startswith(prefix):
            return reason
    return {"hard": "user_unknown", "block": "policy"}.get(kind, "other")
