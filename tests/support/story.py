# pyright: reportUnknownVariableType=false
"""What a story is told with: a tenant of a running system, people with habits, and what the mail world has seen."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypedDict, cast
from uuid import UUID

import httpx

from outrider.local.account import open_account
from outrider.local.people import Letter, read
from outrider.local.sandbox_record import Accepted, Answered, Refused
from tests.support import story_log
from tests.support.client import Client, Json, until
from tests.support.system import System

DAY = 24 * 60
"""Minutes."""
_numbers = count(1)


class Record(TypedDict):
    """What the sandbox wrote down."""

    accepted: list[Accepted]
    refused: list[Refused]
    answered: list[Answered]
    waiting: int


@dataclass
class Story:
    """One account of its own on a system, with mail domains that no other story uses."""

    system: System
    client: Client
    web: httpx.Client
    account_id: str
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def from_domain(self) -> str:
        """Of its credentials."""
        return f"from{self.number}.example"

    @property
    def to_domain(self) -> str:
        """Of its people."""
        return f"to{self.number}.example"

    @property
    def database_url(self) -> str:
        """Of the owner."""
        return self.system.site.database_url

    def close(self) -> None:
        """Its connections are closed."""
        self.client.web.close()
        self.web.close()

    def address(self, name: str) -> str:
        """Answer somebody's address; the name may carry tags: `ada+open`."""
        return f"{name}@{self.to_domain}"

    def person(self, name: str, **fields: object) -> Json:
        """Answer a row for an import."""
        return {"email": self.address(name), "first_name": name.partition("+")[0].title(), **fields}

    def people(self, number: int, tags: str = "", called: str = "p") -> list[Json]:
        """Answer so many rows of people with the same habits."""
        return [self.person(f"{called}{index}{tags}") for index in range(number)]

    def credential(self, name: str = "ann", **changes: object) -> dict[str, object]:
        """Answer a mail account at the sandbox."""
        user = f"{name}@{self.from_domain}"
        sandbox = "sandbox"
        return {
            "smtp_host": "127.0.0.1",
            "smtp_port": self.system.smtp_port,
            "smtp_security": "none",
            "smtp_username": user,
            "smtp_password": sandbox,
            "daily_limit": 1000,
            "imap_host": "127.0.0.1",
            "imap_port": self.system.imap_port,
            "imap_security": "none",
            "imap_username": user,
            "imap_password": sandbox,
            **changes,
        }

    def campaign(
        self,
        *delays: int,
        wait_seconds: int = 0,
        credentials: list[dict[str, object]] | None = None,
        **settings: object,
    ) -> str:
        """Create one with a step for each delay, in minutes, and this gap between sends; answers its id."""
        steps = [step(position, delay) for position, delay in enumerate(delays or (0,), 1)]
        body = {
            "name": "A story",
            "min_wait_seconds": wait_seconds,
            "max_wait_seconds": wait_seconds,
            "bounce_rate_threshold": 100.0,
            "smtp_credentials": credentials or [self.credential()],
            "sequence_steps": steps,
            **settings,
        }
        return self.client.create(body)

    def enroll(self, campaign_id: str, people: list[Json]) -> None:
        """Everybody waits in one batch."""
        brought = self.client.bring_in(people)
        assert brought.record_count == len(people)
        assert self.client.enroll(campaign_id, brought.id).enrolled == len(people)

    def dispatched(
        self,
        people: list[Json],
        *delays: int,
        wait_seconds: int = 0,
        credentials: list[dict[str, object]] | None = None,
        **settings: object,
    ) -> str:
        """Create a campaign, enroll these people and dispatch it; answers its id."""
        campaign_id = self.campaign(*delays, wait_seconds=wait_seconds, credentials=credentials, **settings)
        self.enroll(campaign_id, people)
        assert self.client.dispatch(campaign_id).scheduled == len(people)
        return campaign_id

    def record(self) -> Record:
        """Answer what the sandbox has seen of this story."""
        told = cast("Record", self.web.get("/record").json())
        ours = f"@{self.to_domain}"
        return {
            "accepted": [one for one in told["accepted"] if one["recipient"].endswith(ours)],
            "refused": [one for one in told["refused"] if one["recipient"].endswith(ours)],
            "answered": [one for one in told["answered"] if one["recipient"].endswith(ours)],
            "waiting": told["waiting"],
        }

    def letters(self, name: str = "") -> list[Accepted]:
        """Answer the messages that were taken for this person, or for everybody, oldest first."""
        return [one for one in self.record()["accepted"] if not name or one["recipient"] == self.address(name)]

    def letter(self, accepted: Accepted) -> Letter:
        """Answer a message as its recipient got it."""
        return read(self.web.get(f"/letters/{accepted['number']}").content, accepted["recipient"])

    def until_letters(self, name: str, number: int = 1, seconds: float = 180) -> list[Accepted]:
        """Answer this person's letters once there are so many."""
        return until(
            f"{number} letters for {name}",
            lambda: found if len(found := self.letters(name)) >= number else None,
            seconds,
        )

    def mailed(self) -> Mapping[UUID, int]:
        """Answer how often each delivery of ours is in the sandbox's own record, by its Message-ID."""
        return Counter(map(delivery_of, self.letters()))

    def put(self, name: str, content: bytes) -> None:
        """Lay a message into the INBOX of one of our mail accounts."""
        self.web.post(f"/mailboxes/{name}@{self.from_domain}/INBOX", content=content).raise_for_status()

    @contextmanager
    def without(self, service: str) -> Generator[None]:
        """This process is killed, and runs again after the block."""
        self.system.kill(service)
        try:
            yield
        finally:
            self.system.revive(service)

    def rule(self, **rule: object) -> None:
        """Make the sandbox's SMTP server answer so; see `NewRule` there."""
        self.web.post("/rules", json=rule).raise_for_status()

    def forget_rules(self) -> None:
        """Make it behave as declared again."""
        self.web.delete("/rules").raise_for_status()

    async def outcomes(self, campaign_id: str) -> story_log.Outcomes:
        """Answer what the log says became of every step."""
        return await story_log.outcomes(self.database_url, campaign_id)

    async def assert_nothing_doubled_or_lost(self, campaign_id: str) -> story_log.Outcomes:
        """Each step is sent, and in the sink's own record once; or it is listed as unknown, and there once at most."""
        found = await self.outcomes(campaign_id)
        mailed = {delivery: times for delivery, times in self.mailed().items() if delivery in found.planned}
        assert {delivery: times for delivery, times in mailed.items() if times > 1} == {}, "mailed twice"
        assert found.sent - mailed.keys() == set(), "said to be sent, and never mailed"
        assert mailed.keys() - found.sent - found.unknown == set(), "mailed, and not known"
        assert found.planned - found.settled - found.ended == set(), "lost"
        return found


Begin = Callable[[System], Story]
"""The fixture `begin`: open an account on a system."""


def opened(system: System) -> Story:
    """Open an account; close() it."""
    account_id, key = open_account(int(system.url.rpartition(":")[2]), system.operator_token)
    web = httpx.Client(base_url=system.sandbox_url, timeout=30, trust_env=False)
    return Story(system, Client(system.url, key), web, account_id)


def delivery_of(letter: Accepted) -> UUID:
    """Answer the delivery whose id stands at the head of the Message-ID (see tokens)."""
    return UUID(hex=letter["message_id"][1:33])


def step(position: int, delay_minutes: int = 0, **changes: object) -> dict[str, object]:
    """Answer a step of a sequence."""
    return {
        "position": position,
        "subject": "Hi {{first_name}}",
        "body_html": f"<p>Hello {{{{first_name}}}}, this is letter {position}.</p>",
        "delay_minutes": delay_minutes,
        **changes,
    }
