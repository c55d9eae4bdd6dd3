"""A client written from the page that the product was asked for with, and from nothing else, works unchanged."""

from datetime import timedelta
from typing import cast

import httpx
import pytest

from tests.support.client import Json, until
from tests.support.story import Story
from tests.support.story_page import asked, assert_unknown, brought_in, created, page, shown


async def test_a_campaign_goes_from_pending_to_active_to_paused_and_back(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    import_id, _ = brought_in(story, 3)
    assert shown(story, campaign_id)["status"] == "pending"

    enrolled = cast("Json", asked(story, campaign_id, "enroll", {"contact_import_id": import_id}).body)
    assert (enrolled["enrolled"], enrolled["batches"], enrolled["first_batch_number"]) == (3, 1, 1)
    dispatched = cast("Json", asked(story, campaign_id, "dispatch", {"batch_number": 1}).body)
    assert (dispatched["batch_number"], dispatched["scheduled"], dispatched["skipped"]) == (1, 3, 0)
    assert shown(story, campaign_id)["status"] == "active"
    assert cast("Json", asked(story, campaign_id, "pause").body)["status"] == "paused"
    assert shown(story, campaign_id)["status"] == "paused"
    assert cast("Json", asked(story, campaign_id, "resume").body)["status"] == "active"
    assert shown(story, campaign_id)["status"] == "active"


async def test_step_one_leaves_at_once_and_step_two_after_its_delay(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    import_id, _ = brought_in(story, 1)
    asked(story, campaign_id, "enroll", {"contact_import_id": import_id})
    asked(story, campaign_id, "dispatch")
    [letter] = story.until_letters("p0")
    assert letter["subject"] == "Hi P0"
    assert letter["html"].startswith("<p>...</p>")
    assert letter["sender"] == f"primary@{story.from_domain}"

    def waits_for_step_two() -> bool:
        return any(
            row.sent_at and row.next_send_at and row.next_send_at - row.sent_at > timedelta(days=2.9)
            for row in story.client.enrollments(campaign_id, "sent")
        )

    until("it waits for step 2", waits_for_step_two)


async def test_the_list_shows_the_campaigns_newest_first(calm_story: Story) -> None:
    older, newer = created(calm_story), created(calm_story)
    rows = cast("list[dict[str, str]]", calm_story.client.get("/campaigns").body)
    assert [row["id"] for row in rows] == [newer, older]
    for row in rows:
        assert (row["name"], row["status"], sorted(row)) == (
            "Q2 launch",
            "pending",
            ["created_at", "id", "name", "status"],
        )


async def test_the_statistics_have_every_field_of_the_page(calm_story: Story) -> None:
    campaign = shown(calm_story, created(calm_story))
    assert campaign["totals"] == {"pending": 0, "sent": 0, "opened": 0, "replied": 0, "bounced": 0}
    assert campaign["rates"] == {"bounce_rate": 0.0, "open_rate": 0.0, "reply_rate": 0.0}
    assert (campaign["per_batch"], campaign["recent_bounces"]) == ([], [])
    assert len(cast("list[object]", campaign["credentials"])) == 1
    skipped = cast("Json", campaign["skipped"])
    assert (skipped["mx_invalid"], skipped["cross_campaign_duplicate"]) == (0, 0)


async def test_what_was_created_is_what_is_shown_and_no_password_is(calm_story: Story) -> None:
    campaign_id = created(calm_story)
    campaign, sent = shown(calm_story, campaign_id), page(calm_story)
    for name in ("name", "min_wait_seconds", "max_wait_seconds", "verify_email_mx", "bounce_rate_threshold"):
        assert campaign[name] == sent[name], name
    steps = cast("list[Json]", campaign["sequence_steps"])
    for step, given in zip(steps, cast("list[Json]", sent["sequence_steps"]), strict=True):
        assert {name: step[name] for name in given} == given
    assert "password" not in calm_story.client.get(f"/campaigns/{campaign_id}").text


async def test_defaults_are_the_page_s(calm_story: Story) -> None:
    sent = page(calm_story)
    for name in ("min_wait_seconds", "max_wait_seconds", "verify_email_mx", "bounce_rate_threshold"):
        del sent[name]
    campaign = shown(calm_story, calm_story.client.create(sent))
    assert (campaign["min_wait_seconds"], campaign["max_wait_seconds"]) == (120, 420)
    assert (campaign["verify_email_mx"], campaign["bounce_rate_threshold"]) == (False, 8.0)
    assert campaign["outreach_id"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "...", "bounce_rate_threshold": 10.0},
        {"min_wait_seconds": 1},
        {"max_wait_seconds": 1000},
        {"outreach_id": None},
        {"verify_email_mx": False},
    ],
    ids="_".join,
)
async def test_a_patch_changes_what_it_names_and_nothing_else(change: dict[str, object], calm_story: Story) -> None:
    campaign_id = created(calm_story)
    before = shown(calm_story, campaign_id)
    answer = calm_story.client.patch(f"/campaigns/{campaign_id}", {"campaign": change})
    assert answer.status == httpx.codes.OK, answer
    assert answer.body == shown(calm_story, campaign_id) == {**before, **change}


async def test_a_deleted_campaign_is_gone_and_nothing_scheduled_fires(fast_story: Story) -> None:
    story = fast_story
    campaign_id, kept = created(story), created(story)
    import_id, _ = brought_in(story, 2)
    for one in (campaign_id, kept):
        asked(story, one, "enroll", {"contact_import_id": import_id})
        asked(story, one, "dispatch")
        story.client.until(one, "step 1 sent", lambda shown: shown.totals.sent == len(story.people(2)))
    answer = story.client.delete(f"/campaigns/{campaign_id}")
    assert (answer.status, answer.text) == (204, "")
    assert [row["id"] for row in cast("list[Json]", story.client.get("/campaigns").body)] == [kept]
    assert_unknown(story.client, campaign_id)

    story.client.until(kept, "the other one completed", lambda shown: shown.completed_at is not None)
    assert sum(one["step"] == 1 for one in story.letters()) == 2 * len(story.people(2))
    assert sum(one["step"] == len(("1", "2")) for one in story.letters()) == len(story.people(2))


async def test_batches_go_one_by_one_the_lowest_first(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    import_id, _ = brought_in(story, 3)
    enrolled = story.client.enroll(campaign_id, import_id, 2)
    assert (enrolled.enrolled, enrolled.batches, enrolled.first_batch_number) == (3, 2, 1)
    assert [story.client.dispatch(campaign_id).batch_number for _ in range(2)] == [1, 2]


async def test_who_has_no_mail_server_is_skipped_at_dispatch(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    unclear: Json = {"email": f"unclear@broken.{story.to_domain}"}
    people = [story.person("somebody"), {"email": f"nobody@nowhere.{story.to_domain}"}, unclear]
    story.enroll(campaign_id, people)
    dispatched = story.client.dispatch(campaign_id)
    assert (dispatched.scheduled, dispatched.skipped) == (2, 1), "a DNS that fails is no answer"
    campaign = story.client.until(campaign_id, "step 1 sent", lambda shown: shown.totals.sent >= 1)
    assert campaign.skipped["mx_invalid"] == 1
    assert (campaign.totals.bounced, campaign.rates.bounce_rate) == (0, 0.0)
    assert campaign.credentials[0].bounces == 0
    [contact] = cast("list[Json]", story.client.get(f"/contacts?email={people[1]['email']}").body)
    assert (bool(contact["bounced_at"]), contact["bounce_reason"]) == (True, "mx_invalid")
    [skip] = cast("list[Json]", story.client.get(f"/campaigns/{campaign_id}/skips?kind=mx_invalid").body)
    assert (skip["contact_id"], skip["email"]) == (contact["id"], people[1]["email"])
    [row] = story.client.enrollments(campaign_id, "skipped")
    assert row.contact_id == contact["id"]
