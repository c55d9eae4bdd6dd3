"""One letter whose server says nothing after the final dot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tests.kill_loop.tenants import Caller
from tests.rollout.crowd import Crowd
from tests.support.mail import SmtpSink, Stall, smtp_sink

WHO = "hanging@slow.example"
CAMPAIGN = {
    "name": "To somebody whose server hangs",
    "min_wait_seconds": 0,
    "max_wait_seconds": 0,
    "sequence_steps": [{"position": 1, "delay_minutes": 0, "subject": "Hi", "body_html": "<p>Hello.</p>"}],
}


@dataclass
class Hanging:
    """The letter is under way."""

    caller: Caller
    sink: SmtpSink
    campaign_id: str = ""

    @classmethod
    async def begun(cls, crowd: Crowd, caller: Caller) -> "Hanging":
        """All of it was sent, and the sender waits for the last word."""
        sink = await crowd.open.enter_async_context(smtp_sink())
        sink.behave("dot", Stall())
        hanging = cls(caller, sink)
        people = {"contact_import": {"name": "One", "contacts": [{"email": WHO}]}}
        imported = await caller.call("POST", "/contact_imports", people)
        server = {"host": "127.0.0.1", "port": sink.port, "security": "none"}
        server |= {"username": "ann@from.example", "password": "p"}
        credential = {f"smtp_{name}": value for name, value in server.items()}
        campaign = {**CAMPAIGN, "smtp_credentials": [{**credential, "daily_limit": 5}]}
        hanging.campaign_id = str((await caller.call("POST", "/campaigns", {"campaign": campaign}))["id"])
        path = f"/campaigns/{hanging.campaign_id}"
        await caller.call("POST", f"{path}/enroll", {"contact_import_id": imported["id"]})
        await caller.call("POST", f"{path}/dispatch")
        await sink.until(lambda: hanging.dots() == 1)
        return hanging

    def dots(self) -> int:
        """Answer how often all of it was sent."""
        return sum(moment.stage == "dot" for moment in self.sink.moments)

    async def listed(self) -> list[Mapping[str, object]]:
        """Answer what `GET /sends` lists as unknown of this campaign."""
        found = await self.caller.get(f"/sends?state=unknown&campaign_id={self.campaign_id}")
        return cast("list[Mapping[str, object]]", found)
