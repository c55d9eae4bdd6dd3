"""A wrong verdict is withdrawn by one call, and who was misread gets the rest of the sequence."""

from typing import cast

from tests.support.client import Json, until
from tests.support.client_answers import Contact
from tests.support.story import DAY, Story


def of(story: Story, campaign_id: str, status: str) -> str:
    """The one enrollment, once it has this status."""
    return until(status, lambda: next((row.id for row in story.client.enrollments(campaign_id, status)), None))


def position_of(story: Story, kind: str) -> int:
    """Where the event stands by which the enrollment ended, once it has."""

    def last() -> int | None:
        answer = story.client.web.get(f"/events?after=0&types={kind}", headers={"Accept": "application/json"})
        found = cast("list[dict[str, dict[str, int]]]", answer.json())
        return found[-1]["data"]["position"] if found else None

    return until(kind, last)


def reclassified(story: Story, enrollment: str, event: int, verdict: str) -> Json:
    """The enrollment as the call answers it."""
    answer = story.client.post(f"/enrollments/{enrollment}/reclassify", {"event": event, "as": verdict})
    assert answer.status == 200, answer
    return cast("Json", answer.body)


def person(story: Story) -> Contact:
    """The contact."""
    [found] = story.client.rows(f"/contacts?email={story.address('machine')}", Contact)
    return found


async def test_a_reply_and_an_opt_out_that_were_none_let_the_sequence_go_on(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched([story.person("machine")], 0, DAY)
    [letter] = story.until_letters("machine")
    ticket = (
        f"From: Desk <machine@{story.to_domain}>\r\nTo: ann@{story.from_domain}\r\nSubject: Re: Hi\r\n"
        f"Message-ID: <%d@desk.example>\r\nIn-Reply-To: {letter['message_id']}\r\n\r\n%s\r\n"
    )
    story.put("ann", (ticket % (1, "Your request has the number 4711.")).encode())
    enrolled = of(story, campaign_id, "replied")
    path, replied = f"/enrollments/{enrolled}/reclassify", position_of(story, "enrollment.replied")
    assert story.client.post(path, {"event": 1, "as": "ignore"}).problem == (404, "event_not_found")
    assert story.client.post(path, {"event": 1, "as": "opinion"}).problem == (422, "validation_failed")

    for _ in range(2):
        shown = reclassified(story, enrolled, replied, "ignore")
        assert (shown["status"], shown["replied_at"], shown["finished_at"]) == ("sent", None, None)
        assert shown["next_send_at"]
    assert story.client.show(campaign_id).totals.replied == 0

    story.put("ann", (ticket % (2, "unsubscribe")).encode())
    of(story, campaign_id, "unsubscribed")
    until("the contact is unsubscribed", lambda: person(story).unsubscribed_at)
    shown = reclassified(story, enrolled, position_of(story, "enrollment.unsubscribed"), "auto_reply")
    assert (shown["status"], person(story).unsubscribed_at) == ("sent", None)
    assert story.client.show(campaign_id).unsubscribed == 0

    changed = story.client.patch(f"/campaigns/{campaign_id}/sequence_steps/2", {"sequence_step": {"delay_minutes": 0}})
    assert changed.status == 200, changed
    story.client.until(campaign_id, "mailed twice", lambda shown: shown.emails_sent == 2)
    await story.assert_nothing_doubled_or_lost(campaign_id)
