"""What a server's 4xx or 5xx says about recipient, content and credential: pure, and one table."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, NamedTuple

from outrider.sender.smtp_outcomes import CredentialFailed, Deferred, Rejected

REPLY_MAX = 500
TEMPORARY, PERMANENT = range(400, 500), range(500, 600)

Asked = Literal["mail", "rcpt", "data", "dot"]
"""What the server answered: one of the three commands, or the final dot."""

Verdict = Literal["auth_failed", "held_today", "policy", "hard", "soft", "block"]


class Reply(NamedTuple):
    """One whole answer of a server: its code, and its lines joined by newlines."""

    code: int
    text: str

    @property
    def words(self) -> str:
        """The text fit for a log: one line, no control characters, at most 500 long."""
        visible = "".join(" " if unicodedata.category(sign).startswith(("C", "Z")) else sign for sign in self.text)
        return " ".join(visible.split())[:REPLY_MAX]

    @property
    def sentence(self) -> str:
        """Code and words, for people."""
        return f"{self.code} {self.words}"[:REPLY_MAX]

    @property
    def enhanced(self) -> str:
        """Subject and detail of the enhanced status code ("1.1" of 5.1.1), or empty. RFC 3463 §2.

        Only where RFC 2034 puts it, at the start, or marked as qmail does: elsewhere 5.1.2 may be somebody's version.
        """
        found = re.match(r"[245]\.(\d{1,3}\.\d{1,3})(?![.\d])", self.text) or re.search(
            r"#[245]\.(\d{1,3}\.\d{1,3})(?![.\d])", self.text
        )
        return found[1] if found else ""


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


DAILY_LIMIT = _words(
    r"\b(daily|hourly|sending|outgoing|outbound)\b.{0,30}\b(limit|quota)s?\b(?!.*(receive|receiving))",
    r"\b(limit|quota)\b.{0,40}\b(per day|a day|daily|today|24[- ]?h(ou)?rs?)\b(?!.*(receive|receiving))",
    r"SubmissionQuotaExceeded",
)
NOT_LOGGED_IN = _words(
    r"authentication (is )?required",
    r"not (logged in|authenticated)",
    r"(must|need to|please) (be |first )?(authenticate|log ?in)",
)
NOT_ALLOWED_TO_SEND = _words(
    r"relay(ing)?( access)? (is )?(denied|not (permitted|allowed)|prohibited)",
    r"(permitted|allowed|authori[sz]ed|unable|cannot) (to )?relay",
    r"sender (address |domain )?(verif\w+ |is )?(rejected|denied|refused|fail|not (allowed|owned|verified))",
    r"send ?as ?denied|not owned by user",
    r"not (allowed|permitted|authori[sz]ed) to send(?! (mail |e-?mail |messages )?to)",
    r"\b(your|sender|sending)( \w+)? account\b.{0,40}\b(suspended|blocked|banned|disabled|restricted|locked)",
    r"address is not verified",
)
NO_SUCH_USER = _words(
    r"\b(user|recipient|mailbox|address|account)( is)? unknown",
    r"unknown (local )?(user|recipient|mailbox|address|account)",
    r"no such (local )?(user|recipient|mailbox|address|account|person|addressee)",
    r"\b(user|recipient|mailbox|address|account|domain)\b.{0,60}\b(not found|not exist|doesn'?t exist|no longer)",
    r"invalid (user|recipient|mailbox)|not a (valid|known) (user|recipient|mailbox)",
    r"unrout(e)?able address|no (mailbox|user) (here|by that name)|(host|domain) (not found|unknown)",
    r"\b(user|mailbox|account)\b.{0,40}\b(disabled|inactive|deactivated|deleted|closed)",
)
FULL = _words(
    r"(mailbox|inbox|user|account)( is|'s)? (full|over ?quota)", r"over ?quota", r"quota (is )?(exceeded|full)"
)
TOO_BIG = _words(r"too (big|large|long)", r"size (limit )?exceed", r"exceed\w*\b.{0,40}\bsize")
BLOCKED = _words(
    r"\b(spam|block(ed|list(ed)?)?|black ?list(ed)?|banned|policy|reputation|denied|refused)\b",
    r"\b(virus|dnsbl|rbl|spf|dmarc)\b",
)


@dataclass(frozen=True)
class Rule:
    """Everything it names must hold; what it leaves out is not looked at."""

    verdict: Verdict
    asked: frozenset[Asked] = frozenset({"mail", "rcpt", "data", "dot"})
    codes: range | frozenset[int] = PERMANENT
    enhanced: str | None = None
    words: re.Pattern[str] | None = None

    def fits(self, asked: Asked, reply: Reply, words: str) -> bool:
        """Answer whether this rule speaks about the reply."""
        return (
            asked in self.asked
            and reply.code in self.codes
            and (self.enhanced is None or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (self.words is None or self.words.search(words) is not None)
        )


MAIL, RCPT = frozenset[Asked]({"mail"}), frozenset[Asked]({"rcpt"})
COMMANDS, AFTER_MAIL = frozenset[Asked]({"mail", "rcpt", "data"}), frozenset[Asked]({"rcpt", "data", "dot"})

RULES = (
    # Us. The daily limit first: providers wear every code for it (Gmail 550 5.4.5, Amazon 454, Exchange 554 5.2.0).
    Rule("held_today", enhanced=r"4\.5"),
    Rule("held_today", codes=range(400, 600), words=DAILY_LIMIT),
    Rule("auth_failed", COMMANDS, codes=frozenset({530, 534, 535, 538})),
    Rule("auth_failed", enhanced=r"7\.(8|30)"),
    Rule("auth_failed", COMMANDS, words=NOT_LOGGED_IN),
    Rule("policy", enhanced=r"1\.[78]|7\.[57]\d\d"),  # 1.7, 1.8: the sender's address; the rest is Exchange Online's
    Rule("policy", AFTER_MAIL, words=NOT_ALLOWED_TO_SEND),  # Postfix judges the sender only at RCPT
    # The message, already at MAIL because SIZE and SMTPUTF8 announce it there.
    Rule("soft", MAIL, enhanced=r"2\.3|3\.4|6\.7"),
    Rule("soft", MAIL, codes=frozenset({552})),
    Rule("soft", MAIL, words=TOO_BIG),
    Rule("policy", MAIL),
    # The recipient, or the content.
    Rule("hard", enhanced=r"1\.\d+"),
    Rule("soft", enhanced=r"2\.2"),
    Rule("hard", words=NO_SUCH_USER),
    Rule("block", enhanced=r"7\.\d+"),
    Rule("soft", enhanced=r"[2-6]\.\d+"),
    Rule("soft", words=FULL),
    Rule("soft", words=TOO_BIG),
    Rule("soft", codes=frozenset({552})),
    Rule("block", words=BLOCKED),
    Rule("hard", RCPT, codes=frozenset({550, 551, 553, 556})),
    Rule("soft", RCPT, codes=range(500, 554)),
    Rule("block"),
)


def classify(asked: Asked, reply: Reply) -> Rejected | Deferred | CredentialFailed:
    """Answer what the refusal means: the first rule that fits a 5xx, and Deferred for any other code."""
    # An echoed address is not the server's opinion: relay@, spam@ and unknown@ are real mailboxes.
    words = re.sub(r"<[^>]*>|\S+@\S+", " ", " ".join(reply.text.split()))
    for rule in RULES:
        if rule.fits(asked, reply, words):
            return _outcome(rule.verdict, asked, reply)
    return Deferred(reply.code, reply.words)


def _outcome(verdict: Verdict, asked: Asked, reply: Reply) -> Rejected | CredentialFailed:
    match verdict:
        case "auth_failed" | "held_today" | "policy":
            return CredentialFailed(verdict, reply.code, reply.words)
        case "hard" | "soft" | "block":
            return Rejected(verdict, reply.code, reply.words, asked)
