"""Those who are told of events: an endpoint, a reader of the stream behind the balancer, a subscriber of NATS."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from outrider.events.campaign import CampaignCreated
from outrider.events.streams import declare_subscriber
from outrider.events.webhook import WebhookRegistered
from tests.kernel.until import until
from tests.kill_loop.checks import Log
from tests.kill_loop.fleet import Fleet
from tests.kill_loop.tenants import Campaign, Json
from tests.rollout.balancer import URL, Balancer
from tests.rollout.crowd import Crowd
from tests.ways_out.ears import Ears

DURABLE = "rollout"
PAGE = 1000


@dataclass
class Hearers:
    """They hear of everything in the account of this campaign."""

    crowd: Crowd
    campaign: Campaign
    account_id: UUID
    ears: Ears

    @classmethod
    async def listening(cls, fleet: Fleet, crowd: Crowd, campaign: Campaign, log: Log) -> "Hearers":
        """They do."""
        (account_id,) = {
            item.account_id
            for item in log
            if isinstance(item.event, CampaignCreated) and item.event.campaign_id == campaign.id
        }
        await declare_subscriber(fleet.site.nats_url, DURABLE, account_id)
        ears = Ears(URL, campaign.caller.key, fleet.site.nats_url, DURABLE)
        ears.transport = lambda: Balancer(crowd.gateways)
        ears.begin()
        await crowd.do(campaign.caller.call("POST", "/webhooks", {"webhook": {"url": ears.webhook_url}}))
        return cls(crowd, campaign, account_id, ears)

    async def end(self, log: Log) -> Sequence[str]:
        """Answer what somebody did not hear, heard twice, or in another order; they listen no more."""
        recorded = [item.position for item in log if item.account_id == self.account_id]
        (hooked,) = [
            item.position
            for item in log
            if isinstance(item.event, WebhookRegistered) and item.account_id == self.account_id
        ]
        public = await self.crowd.do(self._public())
        wanted, ears = {position for position in public if position > hooked}, self.ears

        def heard() -> bool:
            posted = {position for _, position in ears.posted}
            return wanted <= posted and set(public) <= set(ears.streamed) and set(recorded) <= set(ears.subscribed)

        with suppress(AssertionError):  # what was not heard is said below
            await until("everything is heard", heard)
        await asyncio.to_thread(ears.end)
        posted = {position for _, position in ears.posted}
        told = {"NATS": (ears.subscribed, recorded), "the stream": (ears.streamed, public)}
        told["the endpoint"] = (sorted(posted), sorted(wanted))
        return [
            f"{who} told {len(heard)} events of {len(all_)}" for who, (heard, all_) in told.items() if heard != all_
        ]

    async def _public(self) -> list[int]:
        """Every event that `GET /events` tells, from the first."""
        found: list[int] = []
        async with self.crowd.client() as web:
            web.headers.update({"Authorization": f"Bearer {self.campaign.caller.key}", "Accept": "application/json"})
            while True:
                after = found[-1] if found else 0
                page = cast("list[Json]", (await web.get(f"/events?after={after}&limit={PAGE}")).json())
                if not page:
                    return found
                found += [cast("int", cast("Json", one["data"])["position"]) for one in page]
