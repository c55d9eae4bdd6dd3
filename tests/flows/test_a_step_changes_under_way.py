"""A step that is changed after the one before it went out: the new text is mailed, at the new time, once."""

from tests.support.story import Story


async def test_what_is_not_sent_yet_says_the_new_text_at_the_new_time(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched([story.person("ada")], 0, 600)
    [first] = story.until_letters("ada")
    changes = {"delay_minutes": 0, "subject": "News, {{first_name}}", "body_html": "<p>Changed.</p>"}
    answer = story.client.patch(f"/campaigns/{campaign_id}/sequence_steps/2", {"sequence_step": changes})
    assert answer.status == 200, answer
    letters = [story.letter(one) for one in story.until_letters("ada", 2)]
    assert [letter.subject for letter in letters] == ["Hi Ada", "News, Ada"]
    assert "Changed." in letters[1].text
    assert letters[1].in_reply_to == first["message_id"]
    story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    await story.assert_nothing_doubled_or_lost(campaign_id)
