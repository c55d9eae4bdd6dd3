"""A labelled set of mail: a folder with `labels.jsonl`. What is wrong with it is told, and the rest is read."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, cast

from outrider.reply_watcher.classifying_verdicts import BounceKind, Reason

GIVEN: Final = Path(__file__).resolve().parents[3] / "shared" / "corpora"
"""Lies beside the repository and in no commit: it is other people's mail."""
_BARE: Final = (
    b"From: bob@example.com\r\nTo: ann@sales.example\r\nSubject: Re: Hello\r\nIn-Reply-To: <1@sales.example>\r\n\r\n"
)
_LARGEST: Final = 20_000_000

REASONS: Final[Mapping[str, Reason]] = {
    **dict.fromkeys(("userunknown", "hasmoved"), "user_unknown"),
    "hostunknown": "host_unknown",
    **dict.fromkeys(("mailboxfull", "systemfull"), "mailbox_full"),
    **dict.fromkeys(
        (
            *("authfailure", "badreputation", "blocked", "failedstarttls", "filtered", "norelaying", "notaccept"),
            *("notcompliantrfc", "policyviolation", "rejected", "requireptr", "securityerror", "suppressed"),
        ),
        "policy",
    ),
    **dict.fromkeys(
        ("contenterror", "emailtoolarge", "exceedlimit", "mesgtoobig", "spamdetected", "virusdetected"), "content"
    ),
    **dict.fromkeys(("ratelimited", "speeding", "toomanyconn"), "rate_limited"),
    **dict.fromkeys(("expired", "networkerror"), "expired"),
    "suspend": "suspended",
}
"""Sisimai's reasons as ours; what is not named is `other`."""

_NO_BLOCK: Final = {"filtered", "notaccept", "emailtoolarge", "exceedlimit", "mesgtoobig"}
"""A person's filter, a host that takes no mail now, and a size are no opinion of a server about the sender."""


class Labelled(NamedTuple):
    """One message and what it is said to be."""

    file: str
    kind: str
    recipients: tuple[str, ...]
    hard: frozenset[bool]
    """What the label says of any of the recipients: it does not say of which."""
    reasons: tuple[str, ...]
    """Sisimai's, in no order."""
    raw: bytes

    @property
    def kinds(self) -> frozenset[BounceKind]:
        """Hard as the label says it; of what is soft there, a block is what a server refuses for the sender's sake."""
        return frozenset(_kind(self.hard, reason) for reason in self.reasons) if self.hard else frozenset()

    @property
    def folded(self) -> frozenset[Reason]:
        """The label's reasons as ours."""
        return frozenset(REASONS.get(reason, "other") for reason in self.reasons)


def _kind(hard: frozenset[bool], reason: str) -> BounceKind:
    ours = REASONS.get(reason, "other")
    if hard == frozenset({True}) or (True in hard and ours in ("user_unknown", "host_unknown")):
        return "hard"
    return "block" if reason not in _NO_BLOCK and ours in ("policy", "content") else "soft"


def labelled(folder: Path, problems: list[str]) -> Iterator[Labelled]:
    """Give the messages of the set; `problems` grows by what cannot be read. Raises OSError without labels."""
    for at, line in enumerate((folder / "labels.jsonl").read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            label = cast("dict[str, object]", json.loads(line))
            file, kind = str(label["file"]), str(label["kind"])
        except (ValueError, KeyError, TypeError) as fault:
            problems.append(f"line {at}: no label ({type(fault).__name__})")
            continue
        try:
            with (folder / file).open("rb") as opened:
                raw = opened.read(_LARGEST)
        except (OSError, ValueError) as fault:
            problems.append(f"line {at}: {file} cannot be read ({type(fault).__name__})")
            continue
        yield Labelled(
            file,
            kind,
            tuple(str(one).casefold() for one in _list(label, "recipients")),
            frozenset(one for one in _list(label, "hard") if isinstance(one, bool)),
            tuple(str(one) for one in _list(label, "reasons")),
            _BARE + raw if kind == "human_reply_body" else raw,
        )


def _list(label: Mapping[str, object], name: str) -> list[object]:
    value = label.get(name)
    return cast("list[object]", value) if isinstance(value, list) else []
