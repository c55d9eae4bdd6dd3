"""RFC 8058: one click in the mail program, and no scanner that merely looks at the link."""

import re

import httpx

from outrider.local.sandbox_record import Accepted
from tests.support.client_answers import Contact
from tests.support.story import DAY, Story


def link(letter: Accepted) -> str:
    """Answer the address in the List-Unsubscribe header."""
    unfolded = re.sub(r"\r?\n[ \t]+", " ", letter["headers"])
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in unfolded
    found = re.search(r"^List-Unsubscribe:.*<(http[^>]*/u/[^>]+)>", unfolded, re.MULTILINE)
    assert found, unfolded
    return found[1]


async def test_one_click_stops_the_later_steps_and_looking_at_the_page_does_not(fast_story: Story) -> None:
    story = fast_story
    campaign_id = story.dispatched([story.person("clicker"), story.person("looker")], 0, 2 * DAY)
    [clicked], [looked] = story.until_letters("clicker"), story.until_letters("looker")
    page = story.web.get(link(looked))
    one_click = {"List-Unsubscribe": "One-Click"}
    first, again = story.web.post(link(clicked), data=one_click), story.web.post(link(clicked), data=one_click)

    assert (page.status_code, first.status_code, again.status_code) == (200, 200, 200)
    assert page.headers["content-type"].startswith("text/html")
    shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    assert (len(story.letters("clicker")), len(story.letters("looker"))) == (1, 2)
    assert (shown.unsubscribed, shown.finished) == (1, 1)


async def test_who_unsubscribed_is_stopped_everywhere_at_once_and_enrolled_nowhere(calm_story: Story) -> None:
    story = calm_story
    person = story.person("clicker")
    brought = story.client.bring_in([person, story.person("other")])
    campaigns = [story.campaign(0, DAY), story.campaign(DAY), story.campaign(0)]
    for campaign_id in campaigns:
        assert story.client.enroll(campaign_id, brought.id).enrolled == 2
    for campaign_id in campaigns[:2]:
        story.client.dispatch(campaign_id)
    [letter] = story.until_letters("clicker")
    story.web.post(link(letter), data={"List-Unsubscribe": "One-Click"}).raise_for_status()
    [contact] = story.client.rows(f"/contacts?email={person['email']}", Contact)
    assert contact.unsubscribed_at is not None
    for campaign_id in campaigns:
        rows = story.client.enrollments(campaign_id)
        assert [row.status for row in rows if row.contact_id == contact.id] == ["unsubscribed"], "as soon as it answers"
        assert not [row for row in rows if row.contact_id != contact.id and row.status == "unsubscribed"]
    again = story.client.enroll(story.campaign(0), brought.id)
    assert (again.enrolled, [skip.kind for skip in again.skipped]) == (1, ["unsubscribed"])

    refused = story.client.post(f"/campaigns/{story.campaign(0)}/enroll_contact", {"contact_id": contact.id})
    assert refused.problem == (422, "contact_skipped")
    assert refused.details["kind"] == "unsubscribed"


async def test_a_forged_link_is_not_found(fast_story: Story) -> None:
    story = fast_story
    story.dispatched([story.person("somebody")], 0)
    [letter] = story.until_letters("somebody")
    for token in (link(letter)[:-1], link(letter)[:-4] + "AAAA", f"{story.system.url}/u/nothing"):
        assert story.web.post(token, data={"List-Unsubscribe": "One-Click"}).status_code == httpx.codes.NOT_FOUND
        assert story.web.get(token).status_code == httpx.codes.NOT_FOUND
