"""What the classifier makes of a labelled set, counted."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from outrider.reply_watcher.classifying import (
    AutomaticReply,
    Bounce,
    DeliveryNotice,
    FeedbackReport,
    HumanReply,
    OptOut,
    Verdict,
    classify,
)
from outrider.reply_watcher.classifying_verdicts import BounceKind, Reason
from outrider.reply_watcher.mail import parse
from tests.inbound_scores.labelled import Labelled
from tests.inbound_scores.synthetic_classifying import Made, automatic_replies, dated_texts, human_replies, opt_outs

NAMES: Final[dict[type[Verdict], str]] = {
    Bounce: "bounce",
    DeliveryNotice: "delivery notice",
    FeedbackReport: "complaint",
    AutomaticReply: "automatic reply",
    OptOut: "opt-out",
    HumanReply: "human reply",
}
RIGHT: Final = {
    "bounce": {"bounce", "delivery notice"},  # a delay is labelled as a bounce
    "arf": {"complaint"},
    "autoreply": {"automatic reply"},
    "delivered-dsn": {"delivery notice"},
    "human_reply": {"human reply"},
    "human_reply_body": {"human reply"},
}
"""Which verdicts a label allows; other labels are shown and not scored."""
HARM: Final = {"bounce", "complaint", "opt-out"}
"""What a human reply must never be taken for."""


@dataclass(frozen=True)
class Read:
    """One message as it is labelled and as it is understood."""

    label: Labelled
    verdict: str
    """A name of `NAMES`, or `raised`."""
    known: bool | None
    """Whether the right recipient is named, the mailed addresses given; None where there is none to name."""
    unknown: bool | None
    """The same, no address given."""
    kind: BounceKind | None
    reason: Reason | None
    delayed: bool
    """The first recipient's message is only late, whatever became of the others'."""
    millis: float
    """What reading and classifying it once took."""

    @property
    def faults(self) -> tuple[int, str] | None:
        """How bad (0 is worst) and what is wrong, None if nothing is."""
        allowed = RIGHT.get(self.label.kind)
        if self.verdict == "raised":
            return 0, "it raised"
        if allowed and self.verdict not in allowed:
            return int(self.verdict not in HARM), f"{self.label.kind} taken for {self.verdict}"
        if self.known is False:
            return 2, "another recipient"
        wanted = self.label.kinds
        if self.kind and wanted and self.kind not in wanted:
            said = f"{'/'.join(sorted(wanted))} ({', '.join(self.label.reasons)})"
            return 3 + ("hard" not in (self.kind, *wanted)), f"{said} taken for {self.kind}"
        return None


def read(label: Labelled) -> Read:
    """Classify one message three times: all its recipients known, the first known, none known."""
    began = time.perf_counter()
    try:
        mail = parse(label.raw)
        verdict = classify(mail, label.recipients)
        millis = (time.perf_counter() - began) * 1000
        first = classify(mail, label.recipients[:1])
        blind = classify(mail)
    except Exception:  # noqa: BLE001  # that it promises not to raise is what is measured
        return Read(label, "raised", known=None, unknown=None, kind=None, reason=None, delayed=False, millis=0)
    scored = label.kind == "bounce" and bool(label.recipients) and not isinstance(verdict, DeliveryNotice)
    bounce = first if isinstance(first, Bounce) and label.kind == "bounce" else None
    return Read(
        label,
        NAMES[type(verdict)],
        _names(verdict, label) if scored else None,
        _names(blind, label) if scored else None,
        bounce.kind if bounce else None,
        bounce.reason if bounce else None,
        isinstance(first, DeliveryNotice),
        millis,
    )


def _names(verdict: Verdict, label: Labelled) -> bool:
    return isinstance(verdict, Bounce) and bool({one.casefold() for one in verdict.recipients} & set(label.recipients))


def figures(reads: Sequence[Read]) -> dict[str, float | int | None]:
    """The figures of issue 5, in percent; None where the set has nothing to measure."""
    human = [one for one in reads if one.label.kind.startswith("human")]
    bounces = [one for one in reads if one.label.kind == "bounce" and one.verdict != "delivery notice"]
    told = [one for one in bounces if one.label.kinds and not one.delayed]
    automatic = [one for one in reads if one.label.kind == "autoreply"]
    complaints = [one for one in reads if one.label.kind == "arf"]
    return {
        "messages": len(reads),
        "raised": sum(one.verdict == "raised" for one in reads),
        "human_replies": len(human),
        "human_taken_for_harm": sum(one.verdict in HARM for one in human),
        "human_misread": sum(one.verdict != "human reply" for one in human),
        "bounces": len(bounces),
        "delays": sum(one.label.kind == "bounce" and one.verdict == "delivery notice" for one in reads),
        "bounces_known_as_such": _percent(one.verdict == "bounce" for one in bounces),
        "recipient_known": _percent(bool(one.known) for one in bounces if one.known is not None),
        "recipient_unknown": _percent(bool(one.unknown) for one in bounces if one.unknown is not None),
        "kind_scored": len(told),
        "kind": _percent(one.kind in one.label.kinds for one in told),
        "hard_or_not": _percent((one.kind == "hard") in one.label.hard for one in told if one.kind),
        "reason": _percent(one.reason in one.label.folded for one in told),
        "complaints": _percent(one.verdict == "complaint" for one in complaints),
        "automatic_replies": _percent(one.verdict == "automatic reply" for one in automatic),
        "slowest_ms": round(max((one.millis for one in reads), default=0), 1),
    }


def synthetic() -> dict[str, tuple[int, int]]:
    """Of the synthetic messages, how many are read rightly, and how many there are."""
    read_as = {
        "automatic replies known": [isinstance(_said(one), AutomaticReply) for one in automatic_replies()],
        "days of return right": [_said(one) == AutomaticReply(one.day) for one in dated_texts()],
        "opt-outs known": [isinstance(_said(one), OptOut) for one in opt_outs()],
        "human replies left alone": [isinstance(_said(one), HumanReply) for one in human_replies()],
    }
    return {name: (sum(right), len(right)) for name, right in read_as.items()}


def _said(one: Made) -> Verdict:
    return classify(parse(one.raw))


def _percent(right: Iterable[bool]) -> float | None:
    counted = list(right)
    return round(100 * sum(counted) / len(counted), 1) if counted else None


def confusion(reads: Sequence[Read]) -> Counter[tuple[str, str]]:
    """Count what each label was taken for."""
    return Counter((one.label.kind, one.verdict) for one in reads)


def hardness(reads: Sequence[Read]) -> Counter[tuple[str, str]]:
    """Count what hard, soft and block were taken for."""
    return Counter(("/".join(sorted(one.label.kinds)), one.kind) for one in reads if one.label.kinds and one.kind)


def worst(reads: Sequence[Read]) -> list[tuple[Read, str]]:
    """Answer the misreadings, the worst first."""
    found = [(fault, one) for one in reads if (fault := one.faults)]
    return [(one, fault[1]) for fault, one in sorted(found, key=lambda pair: (pair[0][0], pair[1].label.file))]
