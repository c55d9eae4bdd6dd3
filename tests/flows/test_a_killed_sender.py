"""kill -9, again and again: no step is mailed twice, and none is lost without being listed."""

import signal

from outrider.events.delivery import DeliveryUnknown
from tests.support.story import Begin, Story
from tests.support.story_log import recorded
from tests.support.system import StartSystem

PEOPLE = 24
NAMES = ("ann", "ben", "cy")
SECONDS = 120
"""What JetStream handed to a killed sender comes again after the 30 s of its ack_wait."""


async def test_a_sender_killed_in_mid_batch_again_and_again_doubles_no_step_and_loses_none(
    start_system: StartSystem, begin: Begin
) -> None:
    story = begin(await start_system(settings={"OUTRIDER_SETTLE_SECONDS": "3"}))
    campaigns: list[str] = []
    for name in NAMES:  # each with a credential of its own: what the last kill left waiting does not hold it up
        people = story.people(PEOPLE, called=f"{name}s")
        people.insert(PEOPLE // 2, story.person(name))
        # taken and written down, and the sender is never told so: the worst moment to be killed
        story.rule(stage="accepted", answer="stall", recipient=story.address(name), times=1)
        campaigns.append(story.dispatched(people, 0, 0, credentials=[story.credential(name)]))
        story.until_letters(name, 1, SECONDS)
        story.system.kill("sender")
        story.system.revive("sender")

    for name, campaign_id in zip(NAMES, campaigns, strict=True):
        shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None, SECONDS)
        found = await story.assert_nothing_doubled_or_lost(campaign_id)
        assert len(found.planned) == 2 * (PEOPLE + 1)
        assert shown.emails_sent == len(found.sent | found.unknown)
        assert shown.finished == PEOPLE + 1
        assert found.unknown
        events = await recorded(story.database_url, campaign_id)
        assert {event.reason for event in events if isinstance(event, DeliveryUnknown)} == {"no_outcome"}
        assert [one["step"] for one in story.letters(name)] == [1, 2], name


async def test_a_sender_asked_to_end_leaves_nothing_unknown(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched(story.people(PEOPLE), 0, 0)
    story.client.until(campaign_id, "begun", lambda shown: shown.emails_sent > 0)
    story.system.machine.kill("sender", signal.SIGTERM)
    story.system.revive("sender")
    story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None, SECONDS)
    found = await story.assert_nothing_doubled_or_lost(campaign_id)
    assert (len(found.sent), len(found.unknown)) == (2 * PEOPLE, 0)
