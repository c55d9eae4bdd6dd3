"""A power cut in mid-campaign: everything comes back where it was."""

from outrider.local.services import SERVICES
from tests.support.servers import Server
from tests.support.story import Begin, Story
from tests.support.system import StartSystem

PEOPLE = 60
REPLIES = 3
SECONDS = 120


async def test_a_campaign_outlives_a_power_cut(
    start_system: StartSystem, begin: Begin, postgres_server: Server, nats_server: Server
) -> None:
    system = await start_system(settings={"OUTRIDER_SETTLE_SECONDS": "3"}, postgres=postgres_server, nats=nats_server)
    story = begin(system)
    people = [*story.people(PEOPLE), *story.people(REPLIES, "+reply2", "writer")]
    campaign_id = story.dispatched(people, 0, 0, wait_seconds=0)
    waiting = story.client.bring_in(story.people(REPLIES, called="waiting"))

    until_mailed(story, campaign_id, 10)
    nats_server.kill()
    postgres_server.kill()
    postgres_server.revive()
    nats_server.revive()

    until_mailed(story, campaign_id, 30)
    system.kill(*SERVICES)
    nats_server.kill()
    postgres_server.kill()
    postgres_server.revive()
    nats_server.revive()
    system.revive(*SERVICES)

    shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None, SECONDS)
    found = await story.assert_nothing_doubled_or_lost(campaign_id)
    assert len(found.planned) == 2 * len(people)
    assert shown.emails_sent == len(found.sent | found.unknown)
    assert (shown.totals.sent, shown.totals.pending, shown.totals.bounced) == (len(people), 0, 0)
    story.client.until(campaign_id, "replies found", lambda shown: shown.totals.replied == REPLIES)

    assert story.client.enroll(campaign_id, waiting.id).enrolled == REPLIES
    assert story.client.dispatch(campaign_id).scheduled == REPLIES
    story.client.until(campaign_id, "mailed", lambda shown: shown.totals.sent == len(people) + REPLIES)


def until_mailed(story: Story, campaign_id: str, number: int) -> None:
    """So many messages are out, and more are to come."""
    shown = story.client.until(campaign_id, f"{number} mailed", lambda shown: shown.emails_sent >= number, SECONDS)
    assert shown.completed_at is None
