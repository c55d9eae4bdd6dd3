# pyright: reportUnknownVariableType=false
"""The customers: two accounts whose programs call both gateways, and call again when nobody answers."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import cycle
from typing import cast
from uuid import UUID

import httpx

from tests.kill_loop.fleet import Fleet
from tests.kill_loop.script import ACCOUNTS, BATCHES, STEPS, Hold, Script

Json = Mapping[str, object]
PATIENCE_SECONDS = 300.0
AGAIN_SECONDS = 0.3
DAY_MINUTES = 24 * 60
USERS = ("ann", "ben")


class Refused(Exception):
    """A refusal that the caller did not call fine, or nobody answered."""

    def __init__(self, why: str, code: str = "") -> None:
        """`code` is the one of the answer."""
        super().__init__(why)
        self.code = code


@dataclass
class Caller:
    """One key; a call goes to the other gateway when one does not answer."""

    gateways: list[str]
    key: str
    web: httpx.AsyncClient
    wrongs: list[str]
    """Answers that must never be, whatever is killed."""
    _turns: "cycle[str]" = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the first gateway."""
        self._turns = cycle(self.gateways)

    async def get(self, path: str, gateway: str = "") -> Json:
        """Answer what is there."""
        return await self.call("GET", path, gateway=gateway)

    async def call(
        self, method: str, path: str, body: object = None, *, gateway: str = "", fine: Collection[str] = ()
    ) -> Json:
        """Ask until there is a verdict; a refusal with a code in `fine` is an empty answer. Raises Refused."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = await self._once(method, path, body, gateway or next(self._turns))
            if answer is not None and answer.status_code == HTTPStatus.ACCEPTED and "command_id" in answer.text:
                answer = await self._verdict(answer.headers["location"], deadline)
            if answer is not None:
                told = cast("Json", answer.json())
                if answer.is_success:
                    return told
                if told.get("code") in fine:
                    return {}
                raise Refused(f"{method} {path}: {answer.status_code} {answer.text[:300]}", str(told.get("code")))
            await asyncio.sleep(AGAIN_SECONDS)
        raise Refused(f"{method} {path}: nobody answered for {PATIENCE_SECONDS:g} s")

    async def _once(self, method: str, path: str, body: object, gateway: str) -> httpx.Response | None:
        """Answer what came, or None where it is to be asked again."""
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            answer = await self.web.request(method, f"{gateway}{path}", json=body, headers=headers)
        except httpx.TransportError:
            return None
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return None
        if answer.is_server_error:
            self.wrongs.append(f"{method} {path} was answered with {answer.status_code} {answer.text[:200]}")
            return None
        return answer

    async def _verdict(self, location: str, deadline: float) -> httpx.Response | None:
        while time.monotonic() < deadline:
            found = await self._once("GET", location, None, next(self._turns))
            if found is not None and found.is_success:
                command = cast("Json", found.json())
                if command["status"] != "accepted":
                    return httpx.Response(cast("int", command["http_status"]), json=command["body"])
            await asyncio.sleep(AGAIN_SECONDS)
        raise Refused(f"{location}: no verdict")


@dataclass
class Campaign:
    """One campaign of one account."""

    caller: Caller
    id: UUID
    batches: list[int]


@dataclass
class Tenants:
    """Everybody who calls."""

    fleet: Fleet
    script: Script
    wrongs: list[str] = field(default_factory=list[str])
    campaigns: list[Campaign] = field(default_factory=list[Campaign])
    web: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=12, trust_env=False))
    gateways: list[str] = field(default_factory=list[str])
    """Whom they call, in turn; by default the fleet's own."""

    def __post_init__(self) -> None:
        """Nobody calls yet."""
        self.gateways = self.gateways or self.fleet.gateways

    def caller(self, key: str) -> Caller:
        """Answer who calls with this key."""
        return Caller(self.gateways, key, self.web, self.wrongs)

    async def opened(self, name: str) -> Caller:
        """Answer the caller of a fresh account."""
        opened = await self.caller(self.fleet.keys.operator_token).call(
            "POST", "/accounts", {"account": {"name": name}}
        )
        return self.caller(str(cast("Json", opened["api_key"])["plaintext"]))

    async def prepare(self) -> None:
        """Every campaign has its people, in batches, the first of which is dispatched."""
        callers = [await self.opened(f"Account {number}") for number in range(ACCOUNTS)]
        await asyncio.gather(
            *(self._campaign(callers[number % ACCOUNTS], number) for number in range(len(self.script.people)))
        )

    async def _campaign(self, caller: Caller, number: int) -> None:
        people = [
            {"email": f"{name}@to{number}.example", "first_name": name.partition("+")[0]}
            for name in self.script.people[number]
        ]
        imported = await caller.call(
            "POST", "/contact_imports", {"contact_import": {"name": f"List {number}", "contacts": people}}
        )
        body = {"campaign": self._body(number)}
        campaign = str((await caller.call("POST", "/campaigns", body))["id"])
        size = -(-len(people) // BATCHES)
        enrolled = await caller.call(
            "POST", f"/campaigns/{campaign}/enroll", {"contact_import_id": imported["id"], "batch_size": size}
        )
        batches = list(range(1, cast("int", enrolled["batches"]) + 1))
        made = Campaign(caller, UUID(campaign), batches)
        await self._dispatch(made)
        self.campaigns.append(made)

    def _body(self, number: int) -> Json:
        """Answer a campaign; those of one account share their mailboxes."""
        return {
            "name": f"Campaign {number}",
            "min_wait_seconds": 0,
            "max_wait_seconds": 120,
            "bounce_rate_threshold": 100.0,
            "smtp_credentials": [self._credential(f"{user}@from{number % ACCOUNTS}.example") for user in USERS],
            "sequence_steps": [
                {
                    "position": position,
                    "delay_minutes": DAY_MINUTES if position > 1 else 0,
                    "subject": "Hi {{ first_name }}",
                    "body_html": f"<p>Hello {{{{ first_name }}}}, this is letter {position}.</p>",
                }
                for position in range(1, STEPS + 1)
            ],
        }

    def _credential(self, user: str) -> Json:
        smtp = {f"smtp_{name}": value for name, value in self._server("smtp", user).items()}
        imap = {f"imap_{name}": value for name, value in self._server("imap", user).items()}
        return {**smtp, **imap, "daily_limit": self.script.daily_limit}

    def _server(self, protocol: str, user: str) -> Json:
        port = self.fleet.ports[protocol]
        return {"host": "127.0.0.1", "port": port, "security": "none", "username": user, "password": "sandbox"}

    async def _dispatch(self, campaign: Campaign) -> None:
        """Its next batch is dispatched."""
        await campaign.caller.call(
            "POST",
            f"/campaigns/{campaign.id}/dispatch",
            {"batch_number": campaign.batches[0]},
            fine=("no_pending_enrollments",),  # it was, and the answer was lost
        )
        campaign.batches.pop(0)

    async def dispatch_all(self) -> None:
        """The other batches follow, spread over half of the blows."""
        pause = self.script.seconds / 2 / BATCHES
        while any(campaign.batches for campaign in self.campaigns):
            await asyncio.sleep(pause)
            for campaign in self.campaigns:
                if campaign.batches:
                    await self._unless_it_must_wait(campaign)

    async def _unless_it_must_wait(self, campaign: Campaign) -> None:
        try:
            await self._dispatch(campaign)
        except Refused as refused:
            if refused.code not in {"campaign_paused", "daily_limit_reached"}:
                raise

    async def hold(self, hold: Hold) -> None:
        """The campaign is paused and resumed."""
        campaign = self.campaigns[hold.campaign]
        await campaign.caller.call("POST", f"/campaigns/{campaign.id}/pause", fine=("campaign_not_active",))
        await asyncio.sleep(hold.seconds)
        await self.resume(campaign)

    async def resume(self, campaign: Campaign) -> None:
        """It is not paused."""
        await campaign.caller.call("POST", f"/campaigns/{campaign.id}/resume", fine=("campaign_not_paused",))

    async def statistics(self) -> dict[str, dict[UUID, Json]]:
        """Answer every campaign as each gateway shows it."""
        return {
            gateway: {
                campaign.id: await campaign.caller.get(f"/campaigns/{campaign.id}", gateway)
                for campaign in self.campaigns
            }
            for gateway in self.gateways
        }
