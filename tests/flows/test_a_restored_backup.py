"""Postgres is lost and an older backup restored: whoever was mailed meanwhile is not mailed again, and all goes on."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import nats
import pytest

from outrider.events.bus import EVENTS_STREAM
from outrider.local.postgres import PROGRAMS
from tests.flows.test_the_operator import outrider, reach, rows
from tests.support.servers import Servers
from tests.support.story import Begin, Story
from tests.support.system import MAILING, StartSystem, System

ALL = (*MAILING, "relay")
MAILED = ("ada", "ben", "cleo")
GREY = ("dora", "emil")
"""Their server puts them off for as long as the rule stands."""


def tool(name: str, *words: str) -> None:
    """Run a program of Postgres."""
    subprocess.run([PROGRAMS / name, *words], check=True, capture_output=True, timeout=240)  # noqa: S603  # our own words


async def brought_back(servers: Servers, url: str, dump: Path) -> None:
    """The database is the one of the backup."""
    admin, name = await asyncpg.connect(servers.database_url), urlsplit(url).path[1:]
    await admin.execute(f"drop database {name} with (force)")
    await admin.execute(f"create database {name}")
    await admin.close()
    await asyncio.to_thread(tool, "pg_restore", "--dbname", url, "--exit-on-error", str(dump))


def known(system: System, tmp_path: Path) -> Mapping[str, str]:
    """What an operator has at hand."""
    keys = system.site.keys
    passwords = {f"OUTRIDER_ROLE_PASSWORD_{role[9:].upper()}": text for role, text in keys.passwords.items()}
    more = {"OUTRIDER_NATS_URL": system.site.nats_url, "OUTRIDER_HASH_KEY": keys.hash_key}
    return {**reach(system, tmp_path), **passwords, **more}


def times(story: Story) -> Counter[str]:
    """How often each person has a letter."""
    return Counter(one["recipient"] for one in story.letters())


async def published(system: System) -> None:
    """The stream has all that the log has."""
    client, owner = await nats.connect(system.site.nats_url), await asyncpg.connect(system.site.database_url)
    async with asyncio.timeout(120):
        while True:
            count = await owner.fetchval("select count(*) from log.events")
            if (await client.jetstream().stream_info(EVENTS_STREAM)).state.messages >= count:
                break
            await asyncio.sleep(0.05)
    await owner.close()
    await client.close()


@pytest.fixture
async def system(start_system: StartSystem) -> System:
    """With a relay, so that NATS has the log too."""
    return await start_system(services=ALL)


async def test_nobody_is_mailed_twice_after_an_older_backup_was_restored(
    servers: Servers, system: System, begin: Begin, tmp_path: Path
) -> None:
    story, dump, url = begin(system), tmp_path / "dump", system.site.database_url
    for name in GREY:
        story.rule(stage="rcpt", answer="451 4.7.1 later", recipient=story.address(name))
    with story.without("sender"):
        campaign = story.dispatched([story.person(name) for name in (*MAILED, *GREY)])
        tool("pg_dump", "--format=custom", "--dbname", url, "--file", str(dump))
    for name in MAILED:
        story.until_letters(name)
    story.client.until(campaign, "counted", lambda shown: shown.emails_sent == len(MAILED))
    await published(system)
    once = {story.address(name): 1 for name in MAILED}
    assert times(story) == once

    # NATS has everything: the log is as before.
    system.kill(*ALL)
    await brought_back(servers, url, dump)
    figures: dict[str, Any] = await rows(known(system, tmp_path), "restore")
    assert (figures["epoch"], figures["paused"]) == (1, [campaign])
    assert figures["brought_back"] > 0
    assert figures["marked_sent"] == 0
    system.revive(*ALL)
    shown = story.client.until(campaign, "read", lambda shown: shown.emails_sent >= len(MAILED))
    assert shown.status == "paused"
    assert times(story) == once

    # NATS is lost as well, and the mail server's log says who was mailed.
    await published(system)
    system.kill(*ALL)
    await brought_back(servers, url, dump)
    client = await nats.connect(system.site.nats_url)
    await client.jetstream().delete_stream(EVENTS_STREAM)
    await client.close()
    log = tmp_path / "mail.log"
    lines = [f"Nov 28 mx postfix/cleanup[7]: 4F2: message-id={one['message_id']}\n" for one in story.letters()]
    log.write_text("".join(lines))
    said = await outrider(known(system, tmp_path), "restore", "--mailed", str(log))
    assert f"marked sent: {len(MAILED)}" in said
    assert f"go out when resumed: {len(GREY)}" in said
    assert "brought back: 0" in said
    story.forget_rules()
    system.revive(*ALL)
    shown = story.client.until(campaign, "read", lambda shown: shown.emails_sent == len(MAILED))
    assert shown.status == "paused"
    assert times(story) == once
    story.client.resume(campaign)
    story.client.until(campaign, "completed", lambda shown: shown.completed_at is not None)
    for name in GREY:
        story.until_letters(name)
    assert times(story) == {story.address(name): 1 for name in (*MAILED, *GREY)}
    await published(system)
