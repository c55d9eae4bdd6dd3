"""From POST dispatch to GET campaign: the figures of the page that the product was asked for with."""

from tests.support.client_answers import Rates, Totals
from tests.support.story import Story

BATCH = 50
MAILED = 100


async def test_fifty_enrollments_over_a_hundred_messages_give_the_rates_of_the_page(calm_story: Story) -> None:
    story = calm_story
    people = [
        *story.people(17, "+open", "reader"),
        *story.people(3, "+open+reply2", "writer"),
        *story.people(5, "+bounce", "gone"),
        *story.people(25, "", "silent"),
        *story.people(100, "", "later"),
    ]
    campaign_id = story.campaign(0, 0, bounce_rate_threshold=8.0)
    assert story.client.enroll(campaign_id, story.client.bring_in(people).id, BATCH).batches == len(people) // BATCH

    with story.without("reply-watcher"):  # so that nobody's bounce is found before both letters are out
        assert story.client.dispatch(campaign_id).scheduled == BATCH
        story.client.until(campaign_id, "all mailed", lambda shown: shown.emails_sent == MAILED)
    shown = story.client.until(
        campaign_id,
        "everything found",
        lambda shown: (shown.totals.opened, shown.totals.replied, shown.totals.bounced) == (20, 3, 5),
    )

    assert shown.totals == Totals(pending=100, sent=50, opened=20, replied=3, bounced=5)
    assert shown.rates == Rates(bounce_rate=5.0, open_rate=40.0, reply_rate=6.0)
    assert (shown.status, shown.completed_at) == ("active", None)
    first, second, third = shown.per_batch
    assert (first.batch_number, first.pending, first.sent, first.opened) == (1, 0, 50, 20)
    assert (first.replied, first.bounced, first.dispatched_at is not None) == (3, 5, True)
    for batch in (second, third):
        assert (batch.pending, batch.sent, batch.dispatched_at) == (50, 0, None)
    [credential] = shown.credentials
    assert (credential.sends, credential.bounces, credential.bounce_rate) == (100, 5, 5.0)
    assert credential.disabled_at is None
    assert {bounce.email for bounce in shown.recent_bounces} == {story.address(f"gone{n}+bounce") for n in range(5)}
    assert {(bounce.kind, bounce.status_code) for bounce in shown.recent_bounces} == {("hard", "5.1.1")}
    assert len(story.letters()) == MAILED
    await story.assert_nothing_doubled_or_lost(campaign_id)
