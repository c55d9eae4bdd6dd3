"""What is to happen, drawn from the seed: who is hit when, which campaign is paused when, who is written to."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

MEAN_SECONDS = 3.0
"""Between two blows."""
STEPS = 3
ACCOUNTS = 2
SETTLE_SECONDS = 8.0
VICTIMS = {
    "sender": 5,
    "sender-2": 5,
    "dispatcher": 3,
    "dispatcher-2": 3,
    "api": 2,
    "api-2": 2,
    "reply-watcher": 2,
    "reply-watcher-2": 2,
    "nats": 3,
    "postgres": 3,
    "sandbox": 2,
}
"""How often each is hit, among each other."""
HABITS = {"": 60, "+reply1": 8, "+reply2": 8, "+bounce": 4, "+refused": 4, "+grey": 8, "+away": 4, "+open": 4}
"""How often each kind of person occurs; see `outrider.local.people`."""
LETTERS = {"+reply1": 1, "+reply2": 2, "+bounce": 1, "+refused": 0}
"""How many letters somebody gets who does not get them all."""
SLOW = 0.5
"""Of them have a slow server, so that whoever is hit has mails under way."""
BATCHES = 4


@dataclass(frozen=True)
class Blow:
    """A process is killed, or stopped (SIGSTOP), and comes back."""

    at: float
    """Seconds after the start."""
    kind: Literal["kill", "stop"]
    victim: str
    seconds: float
    """Until it is started again, or goes on."""


@dataclass(frozen=True)
class Hold:
    """A campaign is paused, and resumed."""

    at: float
    campaign: int
    seconds: float


@dataclass(frozen=True)
class Script:
    """One run."""

    seed: int
    blows: tuple[Blow, ...]
    holds: tuple[Hold, ...]
    people: tuple[tuple[str, ...], ...]
    """By campaign: the local parts of addresses, with the tags that say how somebody behaves."""
    daily_limit: int
    day_seconds: float
    """Real seconds in a business day."""
    seconds: float
    """How long the blows take."""

    @classmethod
    def of(cls, seed: int, kills: int, sends: int) -> "Script":
        """Draw it; the same seed gives the same script."""
        chance = Random(seed)  # noqa: S311  # it is to be repeatable
        campaigns = ACCOUNTS * (1 if sends < 200 else 2)
        blows = tuple(_blows(chance, kills))
        seconds = kills * MEAN_SECONDS
        day_seconds = min(15.0, max(4.0, seconds / 6))
        people = tuple(tuple(_people(chance, sends / campaigns)) for _ in range(campaigns))
        days = max(2.0, 0.6 * seconds / day_seconds)  # whoever is hit loses time
        return cls(
            seed=seed,
            blows=blows,
            holds=tuple(_holds(chance, seconds, campaigns)),
            people=people,
            daily_limit=max(4, math.ceil(sends / (2 * campaigns) / days)),
            day_seconds=day_seconds,
            seconds=blows[-1].at if blows else 0.0,
        )

    @property
    def clock(self) -> str:
        """As OUTRIDER_CLOCK: a Monday."""
        return f"2026-01-05T06:00:00Z@{86400 / self.day_seconds:g}"


def _blows(chance: Random, kills: int) -> Iterator[Blow]:
    at, back = 2.0, dict.fromkeys(VICTIMS, 0.0)
    for _ in range(kills):
        at += chance.uniform(0.3, 2 * MEAN_SECONDS - 0.3)
        standing = [name for name in VICTIMS if back[name] < at]
        victim = chance.choices(standing, [VICTIMS[name] for name in standing])[0]
        kind: Literal["kill", "stop"] = "kill" if chance.random() < 0.7 else "stop"
        seconds = chance.uniform(0.2, 3.0)
        if kind == "stop" and chance.random() < 0.3:  # wakes when others have given it up
            seconds = chance.uniform(SETTLE_SECONDS, SETTLE_SECONDS + 4)
        back[victim] = at + seconds + 1
        yield Blow(round(at, 2), kind, victim, round(seconds, 2))


def _holds(chance: Random, seconds: float, campaigns: int) -> Iterator[Hold]:
    at = 3.0
    while at < seconds:
        yield Hold(round(at, 2), chance.randrange(campaigns), round(chance.uniform(1, 5), 2))
        at += chance.uniform(5, 12)


def _people(chance: Random, letters: float) -> Iterator[str]:
    expected, number = 0, 0
    while expected < letters:
        tags = chance.choices(list(HABITS), list(HABITS.values()))[0]
        expected += LETTERS.get(tags, STEPS)
        number += 1
        yield f"p{number}{tags}{'+slow' if chance.random() < SLOW else ''}"
