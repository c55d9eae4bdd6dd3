"""A campaign whose events leave in all three ways, while those who carry them are killed at random."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, cast
from uuid import UUID

import asyncpg

from outrider.events.streams import declare_subscriber
from tests.support.client import Json, until
from tests.support.servers import Server
from tests.support.story import Story
from tests.support.system import System
from tests.ways_out.ears import Ears

CARRIERS: Final = ("api", "webhooks", "relay", "nats")
HABITS: Final = ("", "", "", "+open", "+reply1", "+refused")
CREDENTIALS: Final = 4
STEPS: Final = 2
SECONDS: Final = 600.0
DURABLE: Final = "all-ears"
MINE: Final = "select position from log.events where account_id = $1 order by position"
QUIET: Final = """
select max(recorded_at) < clock_timestamp() - interval '5 seconds' from log.events where account_id = $1
"""
"""Opens and answers may still come when a campaign is completed; they are written some at a time."""


@dataclass(frozen=True)
class Ordeal:
    """What is to happen."""

    people: int
    """Each gets two letters."""
    kills: int
    seed: int


@dataclass(frozen=True)
class Heard:
    """What there was, and what arrived."""

    killed: Sequence[str]
    recorded: Sequence[int]
    """Positions of the account in the log."""
    public: Sequence[int]
    """Of these, what customers see."""
    subscribed: Sequence[int]
    streamed: Sequence[int]
    posted: Sequence[tuple[str, int]]
    returns: int
    seconds: float


async def heard(system: System, nats: Server, story: Story, ordeal: Ordeal) -> Heard:
    """Run it; every carrier is killed before one is killed again. What was heard in vain is waited for no longer."""
    began = time.monotonic()
    await declare_subscriber(nats.url, DURABLE, UUID(story.account_id))
    ears = Ears(system.url, story.client.key, nats.url, DURABLE)
    ears.begin()
    try:
        story.client.post("/webhooks", {"webhook": {"url": ears.webhook_url}})
        campaign_id = _dispatched(story, ordeal.people)
        killed = _kill(system, nats, ears, ordeal)
        story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None, SECONDS)
        recorded, public = await _quiet(system, story, ears)
    finally:
        ears.end()
    return Heard(
        killed, recorded, public, ears.subscribed, ears.streamed, ears.posted, ears.returns, time.monotonic() - began
    )


def _dispatched(story: Story, people: int) -> str:
    names = [f"p{number}{HABITS[number % len(HABITS)]}" for number in range(people)]
    credentials = [story.credential(f"ann{number}") for number in range(CREDENTIALS)]
    return story.dispatched([story.person(name) for name in names], *[0] * STEPS, credentials=credentials)


def _kill(system: System, nats: Server, ears: Ears, ordeal: Ordeal) -> Sequence[str]:
    """Spread over the campaign: each when so much more was heard by the endpoint, which hears the last."""
    chance = Random(ordeal.seed)  # noqa: S311  # it is to be repeatable
    killed: list[str] = []
    while len(killed) < ordeal.kills:
        left = [one for one in CARRIERS if killed.count(one) == min(map(killed.count, CARRIERS))]
        victim = chance.choice(left)
        _until_posted(ears, len(killed) * ordeal.people * STEPS // (2 * ordeal.kills))
        if victim == "nats":
            nats.kill()
            nats.revive()
        else:
            system.kill(victim)
            system.revive(victim)
        killed.append(victim)
    return killed


def _until_posted(ears: Ears, number: int) -> None:
    until(f"{number} requests", lambda: len(ears.posted) >= number or None, SECONDS)


async def _quiet(system: System, story: Story, ears: Ears) -> tuple[Sequence[int], Sequence[int]]:
    """What the log and the API say, once they say no more, and everybody has heard the last of it or had time to."""
    connection = await asyncpg.connect(system.site.database_url)
    deadline = time.monotonic() + SECONDS
    try:
        while True:
            quiet = not story.record()["waiting"] and await connection.fetchval(QUIET, UUID(story.account_id))
            recorded = [row["position"] for row in await connection.fetch(MINE, UUID(story.account_id))]
            public = _public(story)
            everything = (
                quiet
                and set(recorded) <= set(ears.subscribed)
                and set(public) <= set(ears.streamed)
                and set(public) <= {position for _, position in ears.posted}
            )
            if everything or time.monotonic() > deadline:
                return recorded, public
            await asyncio.sleep(1)
    finally:
        await connection.close()


def _public(story: Story) -> list[int]:
    """Every event that `GET /events` tells, from the first."""
    found: list[int] = []
    while True:
        path = f"/events?after={found[-1] if found else 0}&limit=1000"
        page = cast("list[Json]", json.loads(story.client.web.get(path, headers={"Accept": "application/json"}).text))
        if not page:
            return found
        found += [cast("int", cast("Json", one["data"])["position"]) for one in page]
