"""A campaign's owner sends every step to himself: once, marked, and outside everything that is counted."""

from typing import cast

from tests.support.client import Json, until
from tests.support.story import Story


def outcome(story: Story, location: str) -> Json | None:
    """What GET /commands/:id tells of a test, once it has ended."""
    body = cast("Json", cast("Json", story.client.get(location).body)["body"])
    return body if "accepted" in body else None


async def test_every_step_comes_to_every_address_once_and_counts_nowhere(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.campaign(0, 60, credentials=[story.credential(daily_limit=1)])
    owners = [story.address("own"), story.address("boss")]
    answer = story.client.post(f"/campaigns/{campaign_id}/test_send", {"emails": [*owners, owners[0]]})
    assert (answer.status, answer.body) == (202, {"messages": 4})
    told = until("the outcome", lambda: outcome(story, answer.headers["location"]))
    assert told == {"messages": 4, "accepted": 4, "failures": []}, "also beyond the daily limit of 1"
    for name in ("own", "boss"):
        first, second = (story.letter(one) for one in story.letters(name))
        assert [first.subject, second.subject] == ["[Test] Hi Ada"] * 2, "the values of a sample person"
        assert "this is letter 1" in first.text
        assert "this is letter 2" in second.text
        for letter in (first, second):
            assert "/t/o/" not in letter.html, "no pixel"
            assert "list-unsubscribe" not in letter.headers.casefold()
        assert second.in_reply_to == first.message_id
    shown = story.client.show(campaign_id)
    assert (shown.status, shown.emails_sent, shown.totals.sent) == ("pending", 0, 0)
    [used] = shown.credentials
    assert (used.sent_today, used.remaining_today, used.sends) == (0, 1, 0)
    usage = cast("Json", story.client.get("/usage").body)
    assert cast("Json", usage["current"])["sends_count"] == 0


async def test_a_contacts_values_can_be_taken_and_what_failed_is_told(calm_story: Story) -> None:
    story = calm_story
    brought = story.client.bring_in([story.person("zora", first_name="Zora")])
    [contact] = cast("list[Json]", story.client.get(f"/contact_imports/{brought.id}/contacts").body)
    campaign_id = story.campaign()
    refused = story.address("nobody+refused")
    body: Json = {"emails": [refused, story.address("own")], "contact_id": contact["id"]}
    answer = story.client.post(f"/campaigns/{campaign_id}/test_send", body)
    told = until("the outcome", lambda: outcome(story, answer.headers["location"]))
    assert (told["messages"], told["accepted"]) == (2, 1)
    [failure] = cast("list[Json]", told["failures"])
    assert (failure["email"], failure["position"]) == (refused, 1)
    assert failure["error"]
    assert [story.letter(one).subject for one in story.letters("own")] == ["[Test] Hi Zora"]
    assert story.letters("zora") == []
    assert story.client.show(campaign_id).totals.bounced == 0


async def test_what_the_credential_is_refused_for_is_told(calm_story: Story) -> None:
    story = calm_story
    wrong = "wrong"  # the sandbox's declared rule
    campaign_id = story.campaign(0, 60, credentials=[story.credential("ben", smtp_password=wrong)])
    answer = story.client.post(f"/campaigns/{campaign_id}/test_send", {"emails": [story.address("own")]})
    told = until("the outcome", lambda: outcome(story, answer.headers["location"]))
    failures = cast("list[Json]", told["failures"])
    assert (told["accepted"], [one["position"] for one in failures]) == (0, [1, 2])
    assert {one["error"] for one in failures} == {"5.7.8 Username and password not accepted"}
    assert story.client.show(campaign_id).credentials[0].disabled_at is None, "a test changes nothing"
