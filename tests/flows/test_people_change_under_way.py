"""Contacts and suppressions that change between two steps, and what stands of them outside the vault."""

import httpx

from tests.support import story_log
from tests.support.client_answers import Contact
from tests.support.story import DAY, Story
from tests.support.system import MAILING


def contact_of(story: Story, name: str) -> Contact:
    """Answer the contact with this person's address."""
    [found] = story.client.rows(f"/contacts?email={story.address(name)}", Contact)
    return found


async def test_later_steps_go_to_the_address_that_a_contact_has_then(fast_story: Story) -> None:
    story = fast_story
    campaign_id = story.dispatched([story.person("maiden")], 0, 4 * DAY)
    story.until_letters("maiden")
    contact = contact_of(story, "maiden")
    body = {"contact": {"email": story.address("married"), "first_name": "Marie"}}
    assert story.client.patch(f"/contacts/{contact.id}", body).status == httpx.codes.OK

    [second] = story.until_letters("married")
    assert len(story.letters("maiden")) == 1
    assert "Hello Marie, this is letter 2" in story.letter(second).text
    shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    assert shown.finished == 1


async def test_who_is_suppressed_or_deleted_between_two_steps_hears_nothing_more(fast_story: Story) -> None:
    story = fast_story
    people = [story.person(name) for name in ("stays", "barred", "gone")]
    campaign_id = story.dispatched(people, 0, 4 * DAY)
    for name in ("stays", "barred", "gone"):
        story.until_letters(name)
    barred = story.client.post("/suppressions", {"suppression": {"value": story.address("barred")}})
    assert barred.status == httpx.codes.CREATED
    assert story.client.delete(f"/contacts/{contact_of(story, 'gone').id}").status == httpx.codes.NO_CONTENT

    story.until_letters("stays", 2)
    story.client.until(campaign_id, "one has finished", lambda shown: shown.finished == 1)
    assert [len(story.letters(name)) for name in ("barred", "gone")] == [1, 1]
    assert {one.status for one in story.client.enrollments(campaign_id)} == {"sent", "stopped"}


async def test_neither_contact_nor_suppression_is_named_outside_the_vault(fast_story: Story) -> None:
    story = fast_story
    words = ("xk9first", "xk9second", "xk9reason", "xk9spring")
    person = {**story.person("xk9first"), "company": "Xk9first"}
    story.client.post("/contacts", {"contact": person})
    contact = contact_of(story, "xk9first")
    assert story.client.post("/contacts", {"contact": person}).problem == (422, "contact_already_exists")
    story.client.patch(f"/contacts/{contact.id}", {"contact": {"email": story.address("xk9second")}})
    story.client.post("/suppressions", {"suppression": {"value": f"@{story.to_domain}", "reason": "xk9reason"}})
    story.client.post("/outreaches", {"outreach": {"name": "xk9spring"}})

    tables = {name: text.casefold() for name, text in (await story_log.dump(story.database_url)).items()}
    vault = tables.pop("log.vault")
    assert all(word in vault for word in words)
    for word in (*words, story.to_domain):
        found = [name for name, text in tables.items() if word in text]
        found += [name for name in MAILING if word in (story.system.folder / f"{name}.log").read_text().casefold()]
        assert found == [], word
    story.client.delete(f"/contacts/{contact.id}")
    after = (await story_log.dump(story.database_url))["log.vault"].casefold()
    assert "xk9first" not in after
    assert "xk9second" not in after
