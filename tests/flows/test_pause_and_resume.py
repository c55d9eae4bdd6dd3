"""Pause holds at once, and resume makes up for nothing in a hurry."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from outrider.events.campaign import CampaignPaused, CampaignResumed, StepsRetimed
from outrider.events.delivery import DeliveryStarted
from outrider.events.message import Event
from outrider.local.sandbox_record import Accepted
from tests.support.story import Story
from tests.support.story_log import recorded

GAP_SECONDS = 1
ROOM = 1000
"""The daily limit of a story's credential."""
PEOPLE = 8
BEFORE = 2


def claimed_while_paused(events: Sequence[Event]) -> int:
    """Answer how many claims stand between a pause and its resume, in the order of the log."""
    paused, found = False, 0
    for event in events:
        paused = isinstance(event, CampaignPaused) or (paused and not isinstance(event, CampaignResumed))
        found += paused and isinstance(event, DeliveryStarted)
    return found


def gaps(letters: Sequence[Accepted]) -> list[float]:
    """Answer the real seconds between one letter and the next."""
    times = [datetime.fromisoformat(one["at"]) for one in letters]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


async def test_nothing_leaves_while_it_is_paused_and_nothing_in_a_burst_afterwards(calm_story: Story) -> None:
    story = calm_story
    held = story.dispatched(story.people(PEOPLE, called="held"), 0, wait_seconds=GAP_SECONDS)
    other = story.dispatched(
        story.people(PEOPLE, called="other"), 0, credentials=[story.credential("ben")], wait_seconds=GAP_SECONDS
    )

    def of_held() -> list[Accepted]:
        return [one for one in story.letters() if one["recipient"].startswith("held")]

    story.client.until(held, "begun", lambda shown: shown.emails_sent >= BEFORE)
    answer = story.client.pause(held)
    assert (answer["id"], answer["status"]) == (held, "paused")
    assert not answer.get("in_flight")
    before = of_held()
    assert BEFORE <= len(before) < PEOPLE

    story.client.until(other, "the other one completed", lambda shown: shown.completed_at is not None)
    assert of_held() == before
    assert story.client.show(held).status == "paused"

    assert story.client.resume(held)["status"] == "active"
    story.client.until(held, "completed", lambda shown: shown.completed_at is not None)
    events = await recorded(story.database_url, held)
    assert claimed_while_paused(events) == 0
    assert_spaced_again(events)
    rest = gaps(of_held()[len(before) :])
    assert len(rest) == PEOPLE - len(before) - 1
    assert sum(rest) > 0.8 * len(rest), rest
    await story.assert_nothing_doubled_or_lost(other)


async def test_pause_does_not_wait_for_a_server_that_falls_silent_and_says_what_is_under_way(
    calm_story: Story,
) -> None:
    story = calm_story
    story.rule(stage="rcpt", answer="stall", recipient=story.address("slow"), times=1)
    campaign_id = story.dispatched([story.person("slow")])
    story.client.until(campaign_id, "claimed", lambda shown: shown.credentials[0].remaining_today < ROOM)
    answer = story.client.pause(campaign_id)
    assert (answer["status"], answer["in_flight"]) == ("paused", 1)
    with story.without("sender"):  # which would wait for the server
        pass


def assert_spaced_again(events: Sequence[Event]) -> None:
    """What had become overdue was planned anew, no two closer than the campaign's gap."""
    retimed = [event for event in events if isinstance(event, StepsRetimed) and event.reason == "resumed"]
    times = sorted(one.at for event in retimed for one in event.steps)
    assert len(times) > 1
    assert all((later - earlier).total_seconds() >= GAP_SECONDS for earlier, later in pairwise(times)), times


async def test_only_an_active_campaign_is_paused_and_only_a_paused_one_resumed(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.campaign(0)
    pause, resume = f"/campaigns/{campaign_id}/pause", f"/campaigns/{campaign_id}/resume"
    assert story.client.post(pause).problem == (422, "campaign_not_active")
    assert story.client.post(resume).problem == (422, "campaign_not_paused")

    story.enroll(campaign_id, [story.person("somebody")])
    story.client.dispatch(campaign_id)
    assert story.client.post(resume).problem == (422, "campaign_not_paused")
    story.client.pause(campaign_id)
    assert story.client.post(pause).problem == (422, "campaign_not_active")
    assert story.client.post(f"/campaigns/{campaign_id}/dispatch").problem == (422, "campaign_paused")
    story.client.resume(campaign_id)
    assert story.client.post(resume).problem == (422, "campaign_not_paused")
