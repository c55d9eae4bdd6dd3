"""The checker agrees with an honest campaign, and finds each single thing that is wrong."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid5

import pytest

from outrider.events.mime import Mail, build
from outrider.events.rendering import Merge, add_pixel, compile_step
from outrider.local import demo_campaign, people
from outrider.local.checker import STEPS, Said, Told, Verdict, check
from outrider.local.demo_campaign import Person, stored
from outrider.local.sandbox_record import Accepted, Answered, Refused

NAMESPACE = UUID(int=7)
LIST = demo_campaign.read()
TEMPLATES = [
    compile_step(str(step["subject"]), str(step["body_html"]), cast("str | None", step.get("body_text")))
    for step in demo_campaign.STEPS
]


@dataclass
class Honest:
    """What sandbox and API have after a campaign in which everything went well."""

    accepted: list[Accepted] = field(default_factory=list[Accepted])
    refused: list[Refused] = field(default_factory=list[Refused])
    answered: list[Answered] = field(default_factory=list[Answered])
    enrollments: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    campaign: dict[str, Any] = field(default_factory=dict[str, Any])
    imported: dict[str, Any] = field(default_factory=dict[str, Any])
    unknown: int = 0
    now: datetime = datetime(2026, 11, 23, 8, tzinfo=UTC)

    def verdict(self) -> Verdict:
        """Hold one against the other."""
        told = Told(accepted=self.accepted, refused=self.refused, answered=self.answered, waiting=0)
        addresses = {f"contact of {name}": person.row["email"] for name, person in LIST.known.items()}
        return check(LIST, told, Said(self.imported, self.campaign, self.enrollments, addresses, self.unknown))

    def of(self, tag: str) -> list[Accepted]:
        """Answer the letters of the first person with this tag alone."""
        first = next(one["recipient"] for one in self.accepted if f"+{tag}@" in one["recipient"])
        return [one for one in self.accepted if one["recipient"] == first]

    def enrollment(self, recipient: str) -> dict[str, Any]:
        """Answer the enrollment of an address."""
        return next(
            one for one in self.enrollments if one["contact_id"] == f"contact of {demo_campaign.key(recipient)}"
        )


def letter(person: Person, step: int, user: str, at: str) -> Accepted:
    """Answer the letter as the engine's own rules render it and as the sandbox reads it."""
    row, address = person.row, stored(person.row["email"])
    custom = {name: row[name] for name in ("role", "city", "note") if row[name]}
    merge = Merge(row["first_name"] or None, row["last_name"] or None, address, row["company"] or None, None, custom)
    rendered = TEMPLATES[step - 1].render(merge)
    ids = [f"<{uuid5(NAMESPACE, f'{address}{k}').hex}@outreach.example>" for k in range(STEPS + 1)]
    content = build(
        Mail(
            delivery=uuid5(NAMESPACE, address),
            message_id=ids[step],
            date=datetime(2026, 11, 23, tzinfo=UTC),
            from_email=user,
            to_email=address,
            subject=rendered.subject,
            html=add_pixel(rendered.html, "http://127.0.0.1:1/t/o/token.gif"),
            text=rendered.text,
            in_reply_to=ids[1] if step > 1 else None,
            references=ids[1:2] if step > 1 else (),
        )
    )
    read = people.read(content, address)
    return Accepted(
        number=0,
        at=at,
        connection=1,
        user=user,
        sender=user,
        recipient=address,
        message_id=read.message_id,
        in_reply_to=read.in_reply_to,
        references=list(read.references),
        subject=read.subject,
        thread=read.thread,
        step=step,
        text=read.text,
        html=read.html,
        headers=read.headers,
    )


@pytest.fixture
def honest(played: Honest) -> Honest:
    """Answer one to spoil."""
    return deepcopy(played)


@pytest.fixture(scope="module")
def played() -> Honest:
    """Answer what is there after everything went well."""
    world = Honest()
    for number, person in enumerate(LIST.known.values()):
        live(world, person, demo_campaign.SENDERS[number % 2]["from_email"])
    sent = sum(one["status"] != "pending" for one in world.enrollments)
    counted = {name: [one for one in world.answered if one["deed"] == name] for name in ("open", "reply", "bounce")}
    refused = [one for one in world.refused if one["line"].startswith("550")]
    opened, replied, bounced = len(counted["open"]), len(counted["reply"]), len(counted["bounce"]) + len(refused)
    sends = len(world.accepted) + len(refused)
    world.campaign = {
        "emails_sent": len(world.accepted),
        "totals": {"pending": 0, "sent": sent, "opened": opened, "replied": replied, "bounced": bounced},
        "rates": {
            "open_rate": round(100 * opened / sent, 1),
            "reply_rate": round(100 * replied / sent, 1),
            "bounce_rate": round(100 * bounced / sends, 1),
        },
        "credentials": [
            {
                "from_email": sender["from_email"],
                "sends": sum(one["user"] == sender["from_email"] for one in [*world.accepted, *refused]),
            }
            for sender in demo_campaign.SENDERS
        ],
    }
    world.imported = {
        "record_count": len(LIST.known),
        "skipped": LIST.duplicates,
        "rejected": LIST.rejected,
    }
    return world


def live(world: Honest, person: Person, user: str) -> None:
    """Add what one person saw and did, and what the API says of it."""
    known, address, deeds = person.habits, stored(person.row["email"]), set[str]()
    at = world.now.isoformat()
    if known.refused or known.greylisted:
        line = "550 5.1.1 no" if known.refused else "451 4.7.1 later"
        world.refused.append(Refused(at=at, stage="rcpt", user=user, recipient=address, line=line))
    steps = 0
    while not known.refused and steps < STEPS and not deeds & {"reply", "bounce"}:
        steps += 1
        at = (world.now + timedelta(seconds=25 * steps)).isoformat()
        world.accepted.append(letter(person, steps, user, at))
        for deed, _ in people.deeds(address, steps):
            deeds.add(deed)
            world.answered.append(Answered(at=at, number=0, recipient=address, deed=deed, status=200))
    ended = "bounced" if known.refused or "bounce" in deeds else "replied" if "reply" in deeds else ""
    world.enrollments.append(
        {
            "contact_id": f"contact of {person.key}",
            "status": ended or ("opened" if "open" in deeds else "sent"),
            "steps_sent": steps,
            "replied_at": at if "reply" in deeds else None,
            "opened_at": at if "open" in deeds else None,
        }
    )


def test_the_list_is_what_the_demo_promises() -> None:
    assert len(LIST.known) >= 200
    assert LIST.duplicates >= 5
    assert LIST.rejected
    kinds = [person.habits for person in LIST.known.values()]
    for habit in ("opens", "away", "refused", "greylisted", "bounces", "replies_after"):
        assert any(getattr(one, habit) for one in kinds), habit
    assert sum(one == people.Habits() for one in kinds) > len(kinds) / 2
    reserved = ("example.com", "example.org", "example.net", ".example", ".test")
    assert all(name.endswith(reserved) for name in LIST.known)
    assert any("xn--" in name for name in LIST.known)


def test_an_honest_campaign_agrees(honest: Honest) -> None:
    verdict = honest.verdict()
    assert verdict.problems == []
    assert verdict.disagreements == []
    assert verdict.agrees


def swap(honest: Honest, old: Accepted, **change: object) -> None:
    """Put a changed letter in the place of another."""
    honest.accepted[honest.accepted.index(old)] = cast("Accepted", {**old, **change})


def twice(honest: Honest) -> None:
    honest.accepted.append(honest.of("away")[1])


def twice_under_another_id(honest: Honest) -> None:
    honest.accepted.append({**honest.of("away")[1], "message_id": "<other@outreach.example>"})


def lost(honest: Honest) -> None:
    honest.accepted.remove(honest.of("grey")[2])


def after_the_reply(honest: Honest) -> None:
    [first] = honest.of("reply1")
    person = LIST.known[demo_campaign.key(first["recipient"])]
    at = (datetime.fromisoformat(first["at"]) + timedelta(seconds=25)).isoformat()
    honest.accepted.append(letter(person, 2, first["user"], at))


def after_the_refusal(honest: Honest) -> None:
    person = next(one for one in LIST.known.values() if one.habits.refused)
    honest.accepted.append(letter(person, 1, "ann@outreach.example", honest.now.isoformat()))


def refused_again(honest: Honest) -> None:
    honest.refused.append(next(one for one in honest.refused if one["line"].startswith("550")))


def out_of_the_thread(honest: Honest) -> None:
    swap(honest, honest.of("away")[2], references=[], in_reply_to="")


def from_another_account(honest: Honest) -> None:
    old = honest.of("away")[2]
    swap(honest, old, user="ben@outreach.example" if old["user"].startswith("ann") else "ann@outreach.example")


def escaped_in_the_text(honest: Honest) -> None:
    old = next(one for one in honest.accepted if "O'Brien" in one["text"])
    swap(honest, old, text=old["text"].replace("'", "&#39;"))


def not_escaped_in_the_html(honest: Honest) -> None:
    old = next(one for one in honest.accepted if "&lt;Shipping&gt;" in one["html"])
    swap(honest, old, html=old["html"].replace("&lt;", "<").replace("&gt;", ">"))


def broken_accents(honest: Honest) -> None:
    old = next(one for one in honest.accepted if "ö" in one["subject"])
    swap(honest, old, subject=old["subject"].replace("ö", "o"))


def to_a_stranger(honest: Honest) -> None:
    honest.accepted.append({**honest.accepted[0], "recipient": "stranger@example.com"})


def no_answer_written(honest: Honest) -> None:
    honest.answered.remove(next(one for one in honest.answered if one["deed"] == "auto_reply"))


def image_not_found(honest: Honest) -> None:
    next(one for one in honest.answered if one["deed"] == "open")["status"] = 404


def wrong_status(honest: Honest) -> None:
    honest.enrollment(honest.of("reply1")[0]["recipient"])["status"] = "sent"


def an_automatic_reply_taken_for_one(honest: Honest) -> None:
    honest.enrollment(honest.of("away")[0]["recipient"])["replied_at"] = "2026-11-23T08:00:00Z"


def wrong_count(honest: Honest) -> None:
    honest.campaign["emails_sent"] += 1


def no_count(honest: Honest) -> None:
    del honest.campaign["totals"]["replied"]


def wrong_rate(honest: Honest) -> None:
    honest.campaign["rates"]["bounce_rate"] += 0.1


def wrong_password(honest: Honest) -> None:
    honest.refused.append(Refused(at="", stage="auth", user="ann", recipient="", line="535 5.7.8 no"))


def unknown(honest: Honest) -> None:
    honest.unknown = 1


def forgotten(honest: Honest) -> None:
    honest.enrollments.pop()


WRONGS = (
    *(twice, twice_under_another_id, lost, after_the_reply, after_the_refusal, refused_again, out_of_the_thread),
    *(from_another_account, escaped_in_the_text, not_escaped_in_the_html, broken_accents, to_a_stranger),
    *(no_answer_written, image_not_found, wrong_status, an_automatic_reply_taken_for_one, wrong_count, no_count),
    *(wrong_rate, wrong_password, unknown, forgotten),
)


@pytest.mark.parametrize("spoil", WRONGS)
def test_a_single_wrong_is_found(spoil: Callable[[Honest], None], honest: Honest) -> None:
    spoil(honest)
    assert not honest.verdict().agrees


def test_what_came_twice_and_what_is_missing_is_counted(honest: Honest) -> None:
    twice(honest)
    twice_under_another_id(honest)
    lost(honest)
    verdict = honest.verdict()
    assert (verdict.doubled, verdict.lost) == (2, 1)


def test_a_letter_claimed_before_the_answer_was_seen_is_no_fault(honest: Honest) -> None:
    after_the_reply(honest)
    late, first = honest.accepted[-1], honest.of("reply1")[0]
    late["at"] = (datetime.fromisoformat(first["at"]) + timedelta(seconds=5)).isoformat()
    verdict = honest.verdict()
    assert verdict.late == 1
    problems = [one for one in verdict.problems if "steps sent" not in one]
    assert problems == []
