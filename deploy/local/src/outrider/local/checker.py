"""Holds what the API says of a campaign against what the sandbox wrote down, message by message.

Knows neither Liquid nor the engine: what each person must have got is worked out here once more, from the list.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict, cast

from outrider.local.checker_letters import content, flat, threading
from outrider.local.demo_campaign import People, Person, key
from outrider.local.people import deeds
from outrider.local.sandbox_record import Accepted, Answered, Refused

STEPS = 3
GRACE_SECONDS = 15.0
"""Real seconds after an answer lay in the mailbox in which a letter may still come: it was claimed before anybody had
seen the answer. Between two steps of the demo lie more."""
TOLERANCE = 0.051  # of a rate: one decimal


class Told(TypedDict):
    """GET /record of the sandbox."""

    accepted: list[Accepted]
    refused: list[Refused]
    answered: list[Answered]
    waiting: int


@dataclass(frozen=True)
class Said:
    """What the API says."""

    imported: Mapping[str, object]
    campaign: Mapping[str, object]
    enrollments: Sequence[Mapping[str, object]]
    addresses: Mapping[str, str]
    """The e-mail by contact id."""
    unknown: int = 0
    """Messages of which the engine does not know whether they arrived."""


@dataclass
class Verdict:
    """What was found."""

    figures: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """By name: what the sandbox has, what the API says."""
    problems: list[str] = field(default_factory=list[str])
    doubled: int = 0
    lost: int = 0
    unknown: int = 0
    late: int = 0
    """Letters that came after an answer, within the grace."""

    @property
    def agrees(self) -> bool:
        """Whether everything is as it should be."""
        return not self.problems and not self.disagreements and not (self.doubled or self.lost or self.unknown)

    @property
    def disagreements(self) -> list[str]:
        """The figures in which the two differ."""
        return [name for name, (ours, theirs) in self.figures.items() if not abs(ours - theirs) <= TOLERANCE]


@dataclass
class Life:
    """What the sandbox saw of one person."""

    person: Person
    letters: list[Accepted] = field(default_factory=list[Accepted])
    refusals: list[Refused] = field(default_factory=list[Refused])
    done: dict[str, Answered] = field(default_factory=dict[str, Answered])

    @property
    def stop(self) -> Answered | None:
        """The reply or bounce after which nothing more may come."""
        return self.done.get("reply") or self.done.get("bounce")

    @property
    def bounced(self) -> bool:
        """Whether the address was refused for good, or a report came back."""
        return "bounce" in self.done or any(one["line"].startswith("5") for one in self.refusals)

    @property
    def opened(self) -> bool:
        """Whether the image was loaded."""
        return "open" in self.done

    @property
    def expected(self) -> int:
        """How many letters this person is to get."""
        known = self.person.habits
        if known.refused:
            return 0
        return 1 if known.bounces else known.replies_after or STEPS


def check(people: People, told: Told, said: Said) -> Verdict:
    """Answer everything in which the two disagree, or in which the sandbox saw what must not be."""
    verdict = Verdict(unknown=said.unknown)
    lives = {name: Life(person) for name, person in people.known.items()}
    for letter in told["accepted"]:
        if (life := lives.get(key(letter["recipient"]))) is None:
            verdict.problems.append(f"a letter went to {letter['recipient']}, who is not on the list")
        else:
            life.letters.append(letter)
    for refusal in told["refused"]:
        if (life := lives.get(key(refusal["recipient"]))) is None:
            verdict.problems.append(f"refused at {refusal['stage']}: {refusal['line']}")
        else:
            life.refusals.append(refusal)
    for answer in told["answered"]:
        if (life := lives.get(key(answer["recipient"]))) is not None:
            life.done[answer["deed"]] = answer
    for life in lives.values():
        _doublets(life, verdict)
        verdict.problems += (f"{life.person.key}: {problem}" for problem in _wrongs(life, verdict))
    _figures(people, list(lives.values()), said, verdict)
    verdict.problems += _statuses(lives, said)
    return verdict


def _doublets(life: Life, verdict: Verdict) -> None:
    """Count what came twice, by Message-ID and by content, and go on with one of each."""
    seen: dict[str, Accepted] = {}
    for letter in life.letters:
        words = f"{letter['subject']}\n{flat(letter['text'])}"
        if words in seen or letter["message_id"] in {one["message_id"] for one in seen.values()}:
            verdict.doubled += 1
            verdict.problems.append(f"{life.person.key}: {letter['subject']!r} came twice")
        else:
            seen[words] = letter
    life.letters = list(seen.values())


def _wrongs(life: Life, verdict: Verdict) -> Iterator[str]:
    """Answer what is wrong with the letters that one person got."""
    yield from _refusals(life)
    for number, letter in enumerate(life.letters, 1):
        yield from content(life.person, number, letter)
        yield from threading(life.letters[0], number, letter)
        if letter["user"] != life.letters[0]["user"]:
            yield f"letter {number} came from {letter['user']}, the first from {life.letters[0]['user']}"
    missing, more = life.expected - len(life.letters), life.letters[life.expected :]
    if missing > 0:
        verdict.lost += missing
        yield f"got {len(life.letters)} letters instead of {life.expected}"
    for letter in more:
        if life.stop and _seconds(life.stop["at"], letter["at"]) < GRACE_SECONDS:
            verdict.late += 1
        else:
            yield f"{letter['subject']!r} came after the end"
    for letter in life.letters:
        for deed, _ in deeds(life.person.key, letter["step"]):
            if deed not in life.done:
                yield f"did not {deed} yet"
    if life.opened and life.done["open"]["status"] not in range(200, 300):
        yield f"the image was answered with {life.done['open']['status']}"


def _refusals(life: Life) -> Iterator[str]:
    """Answer refusals that should not be, and those that are missing: none is tried again but the greylisted."""
    known, codes = life.person.habits, [one["line"][:3] for one in life.refusals]
    wanted = ["550"] if known.refused else ["451"] if known.greylisted else []
    if codes != wanted:
        yield f"refused with {codes} instead of {wanted}"


def _seconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def _figures(people: People, lives: Sequence[Life], said: Said, verdict: Verdict) -> None:
    """Put the sums side by side."""
    accepted = sum(len(life.letters) for life in lives) + verdict.doubled
    refused = sum(one["line"].startswith("5") for life in lives for one in life.refusals)
    sent = sum(bool(life.letters) or life.bounced for life in lives)
    opened, replied = sum(life.opened for life in lives), sum("reply" in life.done for life in lives)
    bounced = sum(life.bounced for life in lives)
    ours: dict[str, tuple[float, object]] = {
        "people": (len(people.known), said.imported.get("record_count")),
        "duplicates skipped": (people.duplicates, said.imported.get("skipped")),
        "addresses rejected": (people.rejected, said.imported.get("rejected")),
        "messages sent": (accepted, said.campaign.get("emails_sent")),
        "people written to": (sent, _of(said.campaign, "totals", "sent")),
        "people waiting": (len(lives) - sent, _of(said.campaign, "totals", "pending")),
        "opened": (opened, _of(said.campaign, "totals", "opened")),
        "replied": (replied, _of(said.campaign, "totals", "replied")),
        "bounced": (bounced, _of(said.campaign, "totals", "bounced")),
        "open rate": (_percent(opened, sent), _of(said.campaign, "rates", "open_rate")),
        "reply rate": (_percent(replied, sent), _of(said.campaign, "rates", "reply_rate")),
        "bounce rate": (_percent(bounced, accepted + refused), _of(said.campaign, "rates", "bounce_rate")),
    }
    for step in range(1, STEPS + 1):
        got = sum(len(life.letters) >= step for life in lives)
        ours[f"step {step}"] = got, sum(_number(one.get("steps_sent")) >= step for one in said.enrollments)
    users = Counter(letter["user"] for life in lives for letter in life.letters)
    users.update(one["user"] for life in lives for one in life.refusals if one["line"].startswith("5"))
    for credential in cast("list[Mapping[str, object]]", said.campaign.get("credentials") or []):
        name = str(credential.get("from_email"))
        ours[f"sends of {name}"] = users[name], credential.get("sends")
    verdict.figures = {name: (here, _number(there)) for name, (here, there) in ours.items()}


def _statuses(lives: Mapping[str, Life], said: Said) -> Iterator[str]:
    """Answer whose enrollment shows something else than happened."""
    found: set[str] = set()
    for enrollment in said.enrollments:
        name = key(said.addresses.get(str(enrollment.get("contact_id")), ""))
        if name not in lives:
            yield f"enrollment {enrollment.get('id')} belongs to nobody on the list"
            continue
        life = lives[name]
        found.add(name)
        replied = "reply" in life.done
        status = "bounced" if life.bounced else "replied" if replied else "opened" if life.opened else "sent"
        if enrollment.get("status") != status:
            yield f"{name}: is {enrollment.get('status')!r}, was {status}"
        if not life.person.habits.refused and enrollment.get("steps_sent") != len(life.letters):
            yield f"{name}: {enrollment.get('steps_sent')} steps sent, {len(life.letters)} came"
        for column, happened in (("replied_at", replied), ("opened_at", life.opened)):
            if bool(enrollment.get(column)) != happened:
                yield f"{name}: {column} is {enrollment.get(column)!r}"
    yield from (f"{name}: is not enrolled" for name in lives if name not in found)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _of(campaign: Mapping[str, object], group: str, name: str) -> object:
    return cast("Mapping[str, object]", campaign.get(group) or {}).get(name)
