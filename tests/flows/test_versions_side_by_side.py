"""Two versions of the services on one database: through a migration, and to the first event that only one can read."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from tests.support.client import Client, until
from tests.support.newer import EVENT, MIGRATION, WORDS, Newer, trouble
from tests.support.story import Begin
from tests.support.system import StartSystem

OLDER = f"the database is older than this build: run `outrider migrate` (api {MIGRATION})"
POSITION = "select position from api.checkpoints where reader = 'api.v1'"


@pytest.fixture
def stack() -> Generator[ExitStack]:
    """What is stopped after the test."""
    with ExitStack() as stack:
        yield stack


async def test_versions_run_side_by_side_and_the_older_one_stops_at_what_it_cannot_read(
    start_system: StartSystem, begin: Begin, tmp_path: Path, stack: ExitStack
) -> None:
    system = await start_system(services=("dispatcher", "api"))
    story, newer = begin(system), Newer(system, tmp_path)
    stack.callback(newer.stop)
    health = {name: system.site.ports[f"{name} health"] for name in ("api", "dispatcher")}

    newer.begin("api")
    until("it waits for its migration", lambda: OLDER in newer.trouble("api"))
    newer.migrate()
    until("it began by itself", ready(newer, "api"))
    newer.begin("dispatcher")
    until("it runs", ready(newer, "dispatcher"))
    assert [trouble(port) for port in health.values()] == [[], []], "more than the older version knows is fine"
    with Client(newer.url, story.client.key) as client:
        both = {"older": story, "newer": replace(story, client=client)}
        campaigns = [one.dispatched(story.people(3, called=name), 0) for name, one in both.items()]
        for shower in (story.client, client):
            for campaign_id in campaigns:
                shower.until(campaign_id, "planned", lambda shown: shown.totals.pending == 3)
    database = await asyncpg.connect(system.site.database_url)

    # Now only the newer dispatcher decides, and only the older gateway reads.
    system.kill("dispatcher")
    newer.end("api")
    before = await database.fetchval("select max(position) from log.events")
    assert story.client.post(f"/campaigns/{campaigns[0]}/pause").status == 200
    (event,) = await database.fetch("select position, type_version from log.events where type = $1", EVENT)
    said = f"reader api.v1 stopped at {event['position']} ({EVENT}): UnknownEvent"
    until("it says so", lambda: said in trouble(health["api"]))
    assert event["type_version"] == 3
    assert story.client.get("/health/live").status == 200
    assert story.client.show(campaigns[0]).status == "active", "nothing of it is in the tables"
    assert before <= await database.fetchval(POSITION) < event["position"], "and nothing was skipped"

    newer.begin("api")
    until("it reads on", ready(newer, "api"))
    with Client(newer.url, story.client.key) as client:
        client.until(campaigns[0], "paused", lambda shown: shown.status == "paused")
    column = "select why_paused from api.campaigns where campaign_id = any($1) order by why_paused"
    assert [row["why_paused"] for row in await database.fetch(column, campaigns)] == ["", WORDS]
    assert said in trouble(health["api"]), "until it is replaced"
    await database.close()


def ready(newer: Newer, service: str) -> Callable[[], bool]:
    return lambda: not newer.trouble(service)
