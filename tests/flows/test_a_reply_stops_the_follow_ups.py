"""What comes back into the mailbox decides who gets the next letter."""

from collections import Counter

from outrider.events.tokens import Keyring, message_id
from tests.support.client_answers import Campaign, Replied
from tests.support.story import DAY, Story, delivery_of


async def test_who_replied_or_bounced_gets_no_further_letter_and_who_is_away_does(fast_story: Story) -> None:
    story = fast_story
    names = ("silent", "eager+reply1", "slow+reply2", "away+away", "gone+bounce", "unknown+refused", "grey+grey")
    campaign_id = story.dispatched([story.person(name) for name in names], 0, 2 * DAY, 2 * DAY)
    shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)

    assert {name: len(story.letters(name)) for name in names} == {
        "silent": 3,
        "eager+reply1": 1,
        "slow+reply2": 2,
        "away+away": 3,
        "gone+bounce": 1,
        "unknown+refused": 0,
        "grey+grey": 3,
    }
    assert (shown.totals.sent, shown.totals.replied, shown.totals.bounced) == (7, 2, 2)
    assert shown.emails_sent == len(story.letters())
    assert shown.finished == len({"silent", "away+away", "grey+grey"})
    assert Counter(row.status for row in story.client.enrollments(campaign_id)) == {
        "sent": 3,
        "replied": 2,
        "bounced": 2,
    }
    await story.assert_nothing_doubled_or_lost(campaign_id)


async def test_a_reply_is_told_with_its_step_and_what_it_says(fast_story: Story) -> None:
    story = fast_story
    campaign_id = story.dispatched([story.person("eager+reply2")], 0, 2 * DAY, 2 * DAY)
    story.client.until(campaign_id, "replied", lambda shown: shown.totals.replied == 1)

    [reply] = story.client.rows(f"/campaigns/{campaign_id}/replies", Replied)
    assert (reply.email, reply.step_position) == (story.address("eager+reply2"), 2)
    assert reply.subject.startswith("Re: ")
    assert reply.snippet
    assert reply.hours_to_reply is not None
    assert 0 < reply.hours_to_reply == round(reply.hours_to_reply, 2)


async def test_a_reply_from_another_address_is_known_by_the_thread(fast_story: Story) -> None:
    story = fast_story
    campaign_id = story.dispatched([story.person("boss")], 0, 2 * DAY)
    [letter] = story.until_letters("boss")
    story.put(
        "ann",
        f"From: Assistant <assistant@elsewhere.example>\r\nTo: ann@{story.from_domain}\r\nSubject: Your letter\r\n"
        f"Message-ID: <1@elsewhere.example>\r\nIn-Reply-To: {letter['message_id']}\r\n\r\n"
        "She asked me to call you back.\r\n".encode(),
    )
    story.client.until(campaign_id, "completed", replied_and_completed)
    assert len(story.letters("boss")) == 1


async def test_mail_that_is_no_answer_stops_nothing(fast_story: Story) -> None:
    story = fast_story
    campaign_id = story.dispatched([story.person("reader")], 0, 2 * DAY)
    [letter] = story.until_letters("reader")
    forged = message_id(Keyring(bytes(32)), delivery_of(letter), story.from_domain)
    for number, reference in enumerate(("<nobody@knows.example>", forged)):
        story.put(
            "ann",
            f"From: Shop <shop@elsewhere.example>\r\nTo: ann@{story.from_domain}\r\nSubject: Offers\r\n"
            f"Message-ID: <{number}@shop.example>\r\nIn-Reply-To: {reference}\r\n\r\nBuy now.\r\n".encode(),
        )
    shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    assert (shown.totals.replied, shown.finished, len(story.letters("reader"))) == (0, 1, 2)


def replied_and_completed(shown: Campaign) -> bool:
    """Say whether somebody replied, and nothing is left to be sent."""
    return shown.totals.replied == 1 and shown.completed_at is not None
