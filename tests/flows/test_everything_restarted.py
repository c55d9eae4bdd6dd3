"""A power cut in mid-campaign: everything comes back where it was."""

from tests.support.servers import Server
from tests.support.story import Begin, Story
from tests.support.system import MAILING, StartSystem

PEOPLE = 40
REPLIES = 2
SECONDS = 240
"""What JetStream handed out before the cut comes again after the 30 s of its ack_wait."""


async def test_campaigns_outlive_lost_servers_and_a_power_cut(
    postgres_server: Server, nats_server: Server, start_system: StartSystem, begin: Begin
) -> None:
    system = await start_system(settings={"OUTRIDER_SETTLE_SECONDS": "3"}, postgres=postgres_server, nats=nats_server)
    story = begin(system)
    waiting = story.client.bring_in(story.people(REPLIES, called="waiting"))

    first = begun(story, "ann")
    lose(nats_server, postgres_server)
    second = begun(story, "ben")
    system.kill(*MAILING)
    lose(nats_server, postgres_server)
    system.revive(*MAILING)

    for campaign_id, name in ((first, "ann"), (second, "ben")):
        shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None, SECONDS)
        found = await story.assert_nothing_doubled_or_lost(campaign_id)
        assert len(found.planned) == 2 * (PEOPLE + REPLIES)
        assert shown.emails_sent == len(found.sent | found.unknown)
        assert (shown.totals.sent, shown.totals.pending, shown.totals.bounced) == (PEOPLE + REPLIES, 0, 0)
        await_replies(story, campaign_id, name, len(found.unknown))

    assert story.client.enroll(second, waiting.id).enrolled == REPLIES
    assert story.client.dispatch(second).scheduled == REPLIES
    story.client.until(second, "mailed", lambda shown: shown.totals.sent == PEOPLE + 2 * REPLIES)


def begun(story: Story, name: str) -> str:
    """Dispatch a campaign with a credential of its own, and see its first messages out; answers its id."""
    people = [*story.people(PEOPLE, called=f"{name}s"), *story.people(REPLIES, "+reply2", f"{name}s-friend")]
    campaign_id = story.dispatched(people, 0, 0, credentials=[story.credential(name)])
    shown = story.client.until(campaign_id, "begun", lambda shown: shown.emails_sent >= PEOPLE // 4, SECONDS)
    assert shown.completed_at is None
    return campaign_id


def await_replies(story: Story, campaign_id: str, name: str, unknown: int) -> None:
    """Every friend who was mailed twice has answered; of one who was not, the cut left a send unknown."""
    friends = [f"{name}s-friend{number}+reply2" for number in range(REPLIES)]
    answered = sum(len(story.letters(friend)) > 1 for friend in friends)
    assert answered >= REPLIES - unknown
    story.client.until(campaign_id, "replies found", lambda shown: shown.totals.replied == answered)


def lose(*servers: Server) -> None:
    """The servers are gone as by a power cut, and come back on what they had."""
    for server in servers:
        server.kill()
    for server in reversed(servers):
        server.revive()
