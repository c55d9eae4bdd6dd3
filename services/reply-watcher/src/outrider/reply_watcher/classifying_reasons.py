"""Why a message came back: pure, and one table of words and one of status codes (RFC 3463)."""

import re
from typing import Final, Literal, NamedTuple

from outrider.reply_watcher.classifying_verdicts import BounceKind, Cause, Reason

Stage = Literal["connect", "mail", "data", "program", ""]
"""Where it failed, as far as it is known: at the greeting, at MAIL FROM, after DATA, in a program behind the server."""


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


KINDS: Final[dict[Reason, BounceKind]] = {
    "user_unknown": "hard",
    "host_unknown": "hard",
    "mailbox_full": "soft",
    "policy": "block",
    "content": "block",
    "rate_limited": "soft",
    "expired": "soft",
    "suspended": "soft",
    "other": "soft",
}

FULL: Final = _words(
    r"(mail ?box|inbox|account|user|recipient|folder|mail ?drop)('s)?( \S+){0,4} (is |are |"
    r"was )?(over ?(quota|loaded)|full\b)",
    r"over (the )?(\w+ )?(quota|(storage|disk|mailbox|space) (limit|allocation))",
    r"(quota|storage|disk space|mailbox size|space)( \S+){0,3} (exceed|full|exhausted)",
    r"exceed\w*( \S+){0,4} (quota|storage|mailbox size|disk)|mail ?box exceeds",
    r"\bover_?quota\b|quota violation|mailbox_?full|\bfull mailbox",
    r"(insufficient|not enough|out of) (disk |system |mailbox |storage )*(storage|space|quota)",
    r"disc?k quota|boite du destinataire pleine|superado la cuota|postfach ist voll",
    r"would exceed( \S+){0,3} (quota|mailbox|limit)",
)

SUSPENDED: Final = _words(
    r"(mail ?box|account|user|recipient|e-?mail|address|domain)('s)?( \S+){0,5} (is |has been |was |"
    r"been )?(currently |temporarily )?"
    r"(suspended|inactive|disabled|deactivated|locked|not active|expired|frozen|on hold)",
    r"(disabled|inactive|suspended|deactivated|locked) (due to|mail ?box|account|user|recipient)",
    r"boite du destinataire archivee|not active on this",
)

RATE_LIMITED: Final = _words(
    r"too many (\w+ )?(connections|messages|mails?|e-?mails|sessions|recipients|concurrent|requests|errors)",
    r"rate[- ]?limit|throttl|too fast|too frequent|frequency( \S+){0,2} limit|sending (rate|limit)",
    r"(connection|concurrency|receiving|message) (rate|limit|frequency)( \S+){0,3} exceed",
    r"exceed\w*( \S+){0,5} (rate|connections|messages per|sending|daily|hourly)",
    r"too much mail|unusual rate|receiving mail at a rate|max(imum)? (number of )?(defers|connections|"
    r"sessions)",
)

CONTENT: Final = _words(
    r"\b(spam|junk|bulk ?mail|ube|virus|malware|phish|infected|trojan|worm)\w*\b( \S+){0,6} "
    r"(detected|found|message|content|reject|refus|score|mail|contain|identif|filter|blocked|suspect|likely)",
    r"(identified|detected|classified|looks like|considered|suspected|flagged|appears to be|rejected|"
    r"refused|marked|blocked)( \S+){0,4} "
    r"(as |to be |an? |being |for |by )*\W?(spam|junk|virus|unsolicited|bulk|malware|phish|ube|"
    r"forbidden content)",
    r"(message|content|attachment|mail|subject|header|body|url)s?( \S+){0,3} "
    r"(reject|refus|blocked|not (allowed|accepted)|forbidden|banned|prohibit)\w*( \S+){0,4} (content|"
    r"attachment|spam|virus|filter)",
    r"(contains?|contained|because of|due to)( \S+){0,3} (virus|banned|forbidden|prohibited|blocked|"
    r"suspicious|spam|unacceptable|restricted)",
    r"(unsolicited|spam(my)?|high) (bulk |e-?mail )*(content|mail|score|probability)|spam[ -]?score|"
    r"reject\w* .{0,20}spam",
    r"contains an invalid bare|message (contents? )?rejected due to content|improper use of 8-bit",
)

POLICY: Final = _words(
    r"black ?list|block ?list|\bblocked\b|\bd?nsbl\b|\brbl\b|spamhaus|spamcop|barracuda|sorbs|senderscore|"
    r"proofpoint",
    r"\breputation\b|\bpolicy\b|policies|\bbanned\b|not (allowed|permitted|authori[sz]ed) (to|sender|by)",
    r"\bspf\b|\bdkim\b|\bdmarc\b|sender id|unauthenticated|not authenticated|authentication (required|fail|"
    r"check)",
    r"\bptr\b|reverse (dns|lookup|host)|\brdns\b|helo|no dns|dns (record|entry) (of|for) ",
    r"relay(ing)?( \S+){0,3} (denied|not|prohibited|refused|access)|(un|not )able to relay|not relay|"
    r"relay (not|access)",
    r"sender( \S+){0,4} (reject|denied|refused|invalid|not (allowed|exist|accept|found)|verif|unknown|"
    r"blocked)",
    r"(access|permission|client|connection|session|service|host|ip)( \S+){0,3} (denied|refused by|rejected|"
    r"prohibited|not allowed|blocked|restricted)",
    r"(rejected|denied|refused)( \S+){0,4} (security|administrat|policy|local|access|sender)",
    r"(only|must)( \S+){0,4} (tls|encrypt|starttls|authenticated)|tls (is )?required|security (policy|"
    r"reasons?)",
    r"^\W*(\d{3} )?(\S+ )?(message |mail )?(rejected|refused|denied)\W*$|mismatch\w* client|"
    r"insecure mail relay|no relaying|mail (rejet|reject)",
    r"not accept(ing)? (mail|messages?|e-?mail)( \S+){0,2} from|transaction failed.{0,40}(security|listed)",
)

USER_UNKNOWN: Final = _words(
    r"\b(user|recipient|mail ?box|address|account|addressee|alias|login|person)s?( name| address|"
    r" \(?<?\S+>?\)?)? (is |was |are )?"
    r"(unknown|not (found|known|exist|listed|valid|recogni[sz]ed|a valid|available on)|invalid|"
    r"does ?n.?[o']?t exist|doesn't|no longer|"
    r"unavailable(?! (temp|at this))|nonexistent|non-existent|not here|has been (deleted|removed))",
    r"(unknown|no such|nonexistent|non-existent|invalid|undeliverable|bad|inexistent|incorrect|"
    r"not a valid)( \S+){0,2} "
    r"(user|recipient|mail ?box|address|account|addressee|person|name)",
    r"no (mail ?box|user|account|recipient|such|valid recipient)\b|does ?n[o']t have an? ( \S+){0,3}(account|"
    r"mailbox|e-?mail)",
    r"doesn.t have (a|an) \S+ (account|mailbox)|not (our|a local|a valid|a known|in our) (customer|user|mailbox|"
    r"recipient)",
    r"(does ?n.t|do not|does not|did not|didn.t|not) exist|unrout(e)?able address|user_?unknown|unknown_?user|"
    r"not found|recipnotfound",
    r"not listed in|destinataire inconnu|no longer (valid|available|with|works|employed)",
    r"user(name)? .{0,60}not known|possibly incorrect|has (moved|left)|user has moved|account has been (closed|"
    r"deleted|removed)|this address no longer",
    r"cannot find (your )?(recipient|user|mailbox)|could not be found|"
    r"recipient (address )?rejected\W*(access denied)?\W*(\[|see|$)",
    r"check (if |that |whether )?(the |this )?(e-?mail )?address|"
    r"(ディレクトリ|ユーザー?|アドレス|宛先).{0,20}(見つかりません|存在しません)|"
    r"unbekannt|utilisateur inconnu|usuario desconocido|inconnue? a cette adresse|is not a known user|(is not|"
    r"isn't) (listed|available) (here|at)",
)

ACCESS_DENIED: Final = _words(r"recipient address rejected: access denied")  # how Exchange Online says unknown

HOST_UNKNOWN: Final = _words(
    r"(host|domain|system|server|site)( name)?( \S+){0,3} (is |was )?(unknown|not found|not exist|does ?n.t exist|"
    r"invalid|does not exist|can.t be found|cannot be found|could not be found)",
    r"(unknown|no such|invalid|nonexistent|bad)( \S+){0,2} (host|domain|system)|name (service|server) error|"
    r"nxdomain|domain not found|null ?mx",
    r"(?<![\w@.-])([\w-]{1,63}\.){1,9}[a-z]{2,18} does not exist|"
    r"(illegal|invalid) host|host (or domain )?name( \S+){0,3} not found|name or service not known|"
    r"couldn.t find any host|cannot find (your )?(host|domain)",
    r"(does ?n.t|does not|doesn.t) (accept|receive|have|resolve|list)( \S+){0,4} (mail|a mail|an mx|mx|e-?mail|"
    r"address|to an ip)",
    r"find an?y? (mail exchanger|mx)|indicated no smtp|no mx|mx (record|host|list|lookup)|all relevant mx|"
    r"unrouteable mail domain|domain is not reachable|smtp protocol.{0,20}not accept|not accept (any )?mail\b",
)

EXPIRED: Final = _words(
    r"timed? ?out|\bexpired\b|time ?limit|too long|(retry|queue)( \S+){0,3} (time|exceeded|expired)|gave up|"
    r"giving up|not yet been delivered|within \d+ (days|hours)",
    r"connection (refused|reset|lost|dropped)|no route to|unreachable|could ?n.?o?t (connect|be reached)|"
    r"lost connection|network (error|is)|not responding|"
    r"(cannot|can't|unable to|failed to) (connect|contact)|delivery delayed|temporar(il)?y (unavailable|fail)|loop|"
    r"too many hops|hop count",
)

STATUSES: Final[tuple[tuple[str, Reason], ...]] = (
    (r"[45]\.1\.(1|3|6|10)", "user_unknown"),
    (r"5\.1\.0", "user_unknown"),
    (r"5\.1\.2", "host_unknown"),
    (r"[45]\.1\.(7|8|9)", "policy"),
    (r"[45]\.2\.1", "suspended"),
    (r"[45]\.2\.2", "mailbox_full"),
    (r"[45]\.4\.(1|2|4|6|7)", "expired"),
    (r"[45]\.4\.5", "rate_limited"),
    (r"[45]\.6\.\d+", "content"),
    (r"[45]\.7\.\d+", "policy"),
)
"""What a status code says where the words say nothing: it is coarser, and servers wear the wrong one."""

LISTS: Final = _words(r"spamhaus|spamcop|barracudacentral|sorbs\.net|senderscore|dnsbl")
"""Block lists that some servers name by an address alone."""

TOO_BIG: Final = _words(
    r"too (big|"
    r"large)",
    r"(message|mail) size|size (limit|exceed)|exceed\w*( \S+){0,4} size|max\w* (message )?size",
)


TRY_AGAIN: Final = _words(r"\btry (again )?later|, try again")

PREFERENCES: Final = _words(
    r"recipient('s)? preferences|restricted by the recipient|blocked by the recipient|user reject"
)
"""The person's own filter, of which the domain knows nothing."""

GROUP_CLOSED: Final = _words(
    r"permission to post|not (allowed|permitted|authori[sz]ed) to post|"
    r"post(ing)? (to|is) .{0,60}(closed|restricted|members)",
    r"groups\.google\.com/support",
)


class _Rule(NamedTuple):
    """All that it names must hold: the words, the status code, and none of the other words."""

    reason: Reason
    words: re.Pattern[str]
    status: str = ".*"
    unless: tuple[re.Pattern[str], ...] = ()

    def fits(self, words: str, status: str) -> bool:
        return (
            re.fullmatch(self.status, status) is not None
            and self.words.search(words) is not None
            and not any(other.search(words) for other in self.unless)
        )


_RULES: Final[tuple[_Rule, ...]] = (
    _Rule("content", TOO_BIG, r"(?!5\.1|[45]\.2\.2).*", (FULL,)),
    _Rule("policy", _words(""), r"[45]\.1\.[78]"),  # about the sender's address, whatever is said of it
    _Rule("expired", EXPIRED, r"4\.4\.\d+"),
    _Rule("user_unknown", ACCESS_DENIED),
    _Rule("policy", PREFERENCES),
    _Rule("policy", GROUP_CLOSED),
    _Rule("mailbox_full", FULL),
    _Rule("suspended", SUSPENDED),
    _Rule("rate_limited", RATE_LIMITED),
    _Rule("user_unknown", USER_UNKNOWN, r"(?!5\.7).*", (HOST_UNKNOWN, CONTENT)),
    _Rule("user_unknown", USER_UNKNOWN, r"5\.7.*", (HOST_UNKNOWN, CONTENT, POLICY)),
    _Rule("host_unknown", HOST_UNKNOWN),
    _Rule("content", CONTENT),
    _Rule("policy", POLICY),
    _Rule("expired", EXPIRED),
)
"""The first that fits speaks: what is particular stands before what many say."""

_ECHOED: Final = re.compile(
    r"<[^<>\n]{0,500}>|\S{1,320}@\S{1,320}|https?://(?!groups\.google)\S+|^[\w-]+\s*;|"
    r"\bhost [^\s:]{1,255}( ?\[[\d.a-f:]{2,45}\]|(?=:))|\d\.\d\.0 - (unknown address error|other mail system problem)",
    re.IGNORECASE,
)
_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,2}\.\d{1,3})(?![.\d])")


def status_in(text: str) -> str:
    """Answer the first enhanced status code of the text that says more than "failed", else the first, else empty."""
    found: list[str] = [code for code in _STATUS.findall(text) if code[0] != "2"]
    telling = [code for code in found if not code.endswith(".0.0")]
    first = next(iter(telling or found), "")
    return next((code for code in telling if not code.endswith(".0")), first)


def cause(status: str, diagnostic: str, report: str = "", *, stage: Stage = "") -> Cause:
    """Answer why, by the server's words, then by its code, then by the words of the report around them."""
    said = diagnostic if diagnostic.strip() else report
    reason = _by_words(diagnostic, status) or _by_status(status) or _by_words(report, status) or "other"
    if stage == "program" and reason in ("user_unknown", "host_unknown"):
        return Cause("soft", "other")  # a file that it misses, not a person
    if stage == "connect" and reason == "other":
        return Cause("block", "policy")  # nothing was named yet: it is the client whom they mean
    if reason in ("user_unknown", "host_unknown", "other") and stage == "mail":
        return Cause("block", "policy")  # the recipient was not named yet: it is the sender whom they mean
    if reason == "user_unknown" and stage == "data" and not status.endswith(".1.1"):
        return Cause("soft", "policy")  # the address was taken at RCPT: a filter hides behind the words
    passing = (
        (reason == "host_unknown" and (status.startswith("4") or TRY_AGAIN.search(said)))
        or (reason == "content" and TOO_BIG.search(said) and not status[1:].startswith(".6."))
        or (reason == "policy" and PREFERENCES.search(said))
    )
    return Cause("soft" if passing else KINDS[reason], reason)


def _by_status(status: str) -> Reason | None:
    return next((reason for pattern, reason in STATUSES if re.fullmatch(pattern, status)), None)


def _by_words(text: str, status: str) -> Reason | None:
    # An echoed address is not the server's opinion: relay@, spam@ and unknown@ are real mailboxes.
    words = " ".join(_ECHOED.sub(" ", text).split())
    if not words:
        return None
    for rule in _RULES:
        if rule.fits(words, status):
            return rule.reason
    return "policy" if LISTS.search(text) else None
