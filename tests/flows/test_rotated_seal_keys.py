"""The pairs of keys that passwords and webhook secrets are sealed with are replaced while everything goes on."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from outrider.events.vault import new_key_pair
from outrider.local.keys import Keys
from tests.flows.test_the_operator import outrider, reach
from tests.support.receiver import Receiver, receiving
from tests.support.story import Begin, Story
from tests.support.system import MAILING, StartSystem, System

Json = dict[str, Any]
DAYS = 3 * 24 * 60
"""Minutes, so that the answer comes before the second step."""


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    """The customer's endpoint."""
    async with receiving() as one:
        yield one


def restarted(system: System, keys: Keys, *names: str) -> None:
    """These processes run with these keys."""
    system.site = replace(system.site, keys=keys)
    for name in names:
        system.machine.drop(name)
    system.machine.start(*system.site.services(names))


def answered(story: Story, campaign: str) -> None:
    """Ada got her mail, and her answer was found in the mailbox."""
    story.enroll(campaign, [story.person("ada+reply1")])
    story.client.dispatch(campaign)
    story.client.until(campaign, "replied", lambda shown: shown.totals.replied == 1)
    assert len(story.letters("ada+reply1")) == 1


async def test_once_all_is_sealed_anew_mail_and_webhooks_need_no_former_key(
    start_system: StartSystem, begin: Begin, receiver: Receiver, tmp_path: Path
) -> None:
    system = await start_system(services=(*MAILING, "webhooks"))
    story, former = begin(system), system.site.keys
    campaign = story.campaign(0, DAYS, wait_seconds=0)
    wish = {"webhook": {"url": receiver.url(), "event_filters": ["enrollment.*"]}}
    hook = cast("Json", story.client.post("/webhooks", wish).body)
    newer = cast("Json", story.client.post(f"/webhooks/{hook['id']}/rotate_secret").body)

    public, private = new_key_pair()
    webhook_public, webhook_private = new_key_pair()
    both, webhook_both = f"{private},{former.seal_private_key}", f"{webhook_private},{former.webhook_seal_private_key}"
    sealing = replace(former, seal_public_key=public, webhook_seal_public_key=webhook_public)
    restarted(system, sealing, "api")
    given = {"OUTRIDER_SEAL_PRIVATE_KEY": both, "OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY": webhook_both}
    said = await outrider({**reach(system, tmp_path), **given}, "reseal", "--json")
    assert [(one["what"], one["sealed_anew"], one["unopened"]) for one in json.loads(said)] == [
        ("mail accounts", 1, 0),
        ("webhooks", 1, 0),
    ]
    assert not [key for key in (private, former.seal_private_key, webhook_private) if key in said]
    only = replace(sealing, seal_private_key=private, webhook_seal_private_key=webhook_private)
    restarted(system, only, "sender", "reply-watcher", "webhooks")

    await asyncio.to_thread(answered, story, campaign)
    wanted = {"enrollment.sent", "enrollment.replied"}
    await receiver.until(lambda: wanted <= {one.payload["type"] for one in receiver.heard}, 180)
    for one in receiver.heard:
        for secret in (hook["secret"], newer["secret"]):
            assert Verifier(secret).verify(one.body.decode(), dict(one.headers)), "both secrets of the day sign"
