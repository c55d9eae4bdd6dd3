"""kill -9, again and again: no step is mailed twice, and none is lost without being listed."""

import signal
from collections import Counter
from typing import cast

from outrider.events.delivery import DeliveryUnknown
from tests.support.client import Json
from tests.support.story import Begin, Story
from tests.support.story_log import recorded
from tests.support.system import StartSystem

PEOPLE = 24
NAMES = ("ann", "ben", "cy")
SECONDS = 240
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
    await a_person_settles_what_is_unknown(story, campaigns[-1], NAMES[-1])


async def a_person_settles_what_is_unknown(story: Story, campaign_id: str, name: str) -> None:
    """Somebody asked the recipients: the step of the one who was mailed by the name did not arrive, the others did."""
    path = f"/sends?state=unknown&campaign_id={campaign_id}"
    his = {one["message_id"] for one in story.letters(name)}
    before = story.client.show(campaign_id)
    for send in cast("list[Json]", story.client.get(path).body):
        again = send["message_id"] in his
        outcome = {"outcome": "not_sent" if again else "sent"}
        answer = story.client.post(f"/sends/{send['id']}/resolve", outcome)
        assert answer.status == 200, answer
        shown = cast("Json", answer.body)
        assert (shown["id"], shown["state"]) == (send["id"], "deferred" if again else "sent")
        assert story.client.post(f"/sends/{send['id']}/resolve", outcome).problem == (422, "send_already_resolved")
    assert story.client.get(path).body == []
    story.until_letters(name, 3, SECONDS)
    done = story.client.until(campaign_id, "finished again", lambda shown: shown.finished == before.finished)
    assert (done.emails_sent, done.totals) == (before.emails_sent, before.totals)
    ids = [one["message_id"] for one in story.letters(name)]
    assert sorted(Counter(ids).values()) == [1, 2], "it went out under the same Message-ID"


async def test_a_sender_asked_to_end_leaves_nothing_unknown(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched(story.people(PEOPLE), 0, 0)
    story.client.until(campaign_id, "begun", lambda shown: shown.emails_sent > 0)
    story.system.machine.kill("sender", signal.SIGTERM)
    story.system.revive("sender")
    story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None, SECONDS)
    found = await story.assert_nothing_doubled_or_lost(campaign_id)
    assert (len(found.sent), len(found.unknown)) == (2 * PEOPLE, 0)
