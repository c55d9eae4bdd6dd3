"""docs/inbound-scores.md: the figures of the given corpora, and what is still misread."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tests.inbound_scores.figures import Read, confusion, figures, hardness, synthetic, worst

_WORST: Final = 10
_WHY: Final = {
    "sisimai/lhost-fml-03.eml": "a mailing list's loop alert in words of its own; nothing says that mail failed",
    "sisimai/lhost-sendmail-14.eml": "a person forwards a bounce that he got: his mail, whatever the label says",
    "sisimai/lhost-apachejames-01.eml": "the label lost a digit of the address that the report names",
    "sisimai/lhost-postfix-49.eml": "the report was cut before the recipient; the provider's support address is left",
    "sisimai/lhost-v5sendmail-01.eml": "the label lost the end of the address",
    "sisimai/rfc3464-01.eml": "the report says 5.1.1 User Unknown; the label follows a sentence about disk space",
    "sisimai/rfc3464-35.eml": "one report of three recipients with two failures of different kinds and a delay",
    "sisimai/lhost-v5sendmail-05.eml": "six recipients in one transcript without a report: which line is whose is open",
    "sisimai/lhost-postfix-80.eml": "Spamhaus refuses the sender's domain; the label calls it an unknown user",
}
_FILTERED: Final = (
    "'user unknown' that came without a status x.1.1 and not surely at RCPT TO: Sisimai suspects a filter, we say hard"
)


def page(reads: Sequence[Read]) -> str:
    """Answer the page; no address, subject or text of anyone's mail is on it."""
    counted = figures(reads)
    shown = {name: "-" if value is None else value for name, value in counted.items() if name != "slowest_ms"}
    rows = "\n".join(f"| {name} | {value} |" for name, value in shown.items())
    made = "\n".join(f"| {name} | {right} | {count} |" for name, (right, count) in synthetic().items())
    faults = worst(reads)
    filtered = sum("filtered" in one.label.reasons for one, _ in faults[_WORST:])
    listed = "\n".join(f"| `{one.label.file}` | {fault} | {_why(one)} |" for one, fault in faults[:_WORST])
    return f"""# How well inbound mail is read

Written by `make score-inbound` from the corpora that lie beside the repository; `make score-inbound CORPUS=<folder>`
scores another set with a `labels.jsonl` of the same form and prints the same figures as one JSON object.

| figure (percent, or a count) | value |
|---|---|
{rows}

- `recipient_known`: the addresses that we mailed are given to the classifier, as in production; `recipient_unknown`:
  they are not. One of the labelled recipients must be named. A delay (`Action: delayed`) is labelled as a bounce by
  Sisimai and a delivery notice here: it is counted under `delays` and not scored.
- `kind`: hard, soft or block, the address that the label names first given as mailed; where the label tells different
  things of several recipients, one of them. Hard is the label's own word. Of what is soft there, a block is
  what a server refuses for the sender's or the content's sake (authentication, reputation, policy, relaying, spam,
  viruses); `filtered`, a temporary `notaccept` and sizes are soft.
- `reason`: Sisimai's thirty reasons folded into our nine.
- The rules were made with this set in view, so these figures are the best case. No part of it was kept apart from
  whoever wrote the rules; the set that is kept apart decides.

## Synthetic mail in ten languages

Made by `tests/inbound_scores/synthetic_classifying*.py` in our own words and in the form that 14 vendors' programs use;
none was ever sent, and rules and words have the same author. Words of another wording, read before any rule knew them:

| round | days of return | opt-outs known | people taken for opt-outs |
|---|---|---|---|
| first | 16 of 23 | 9 of 25 | 10 of 25 |
| second, written to mislead | 12 of 14 | 13 of 28 | 13 of 20 |

After the first the patterns were widened. After the second nothing may follow a wish but a closed set of courtesies,
which left all 20 people alone. Most of those words are in the set now. Of real opt-outs in other words about half will
be missed: they count as replies, which stop the campaign for that person all the same.

| | right | of |
|---|---|---|
{made}

## Classes

{_matrix(confusion(reads), "labelled")}

## Hard, soft, block

{_matrix(hardness(reads), "labelled")}

## The ten worst of {len(faults)} misreadings

| message | what is wrong | why |
|---|---|---|
{listed}

Of the other {max(0, len(faults) - _WORST)}, {filtered} are of one kind: {_FILTERED}.
"""


def _why(one: Read) -> str:
    if "filtered" in one.label.reasons:
        return _FILTERED
    return _WHY.get(one.label.file, "the words fit two reasons")


def _matrix(counts: Counter[tuple[str, str]], corner: str) -> str:
    columns = sorted({taken for _, taken in counts})
    lines = [f"| {corner} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    rows = sorted({label for label, _ in counts})
    cells = (f"| {row} | {' | '.join(str(counts[row, column] or '') for column in columns)} |" for row in rows)
    return "\n".join([*lines, *cells])
