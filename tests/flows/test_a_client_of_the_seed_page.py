"""A client written from the page that the product was asked for with, and from nothing else, works unchanged."""

from datetime import timedelta
from typing import cast
from uuid import uuid4

import httpx
import pytest

from tests.support.client import Answer, Client, Json, until
from tests.support.story import Begin, Story
from tests.support.system import System

VERBS = (
    ("GET", "", None),
    ("PATCH", "", {"campaign": {"name": "..."}}),
    ("DELETE", "", None),
    ("POST", "/enroll", {"contact_import_id": "..."}),
    ("POST", "/enroll_contact", {"contact_id": "..."}),
    ("POST", "/dispatch", {"batch_number": 1}),
    ("POST", "/dispatch", None),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
)


def page(story: Story) -> dict[str, object]:
    """Answer the page's body, with the sandbox's hosts in the place of two companies', and no outreach."""
    user = f"primary@{story.from_domain}"
    hosts = {"smtp_host": "127.0.0.1", "smtp_port": story.system.smtp_port, "smtp_security": "none"}
    boxes = {"imap_host": "127.0.0.1", "imap_port": story.system.imap_port, "imap_security": "none"}
    return {
        "name": "Q2 launch",
        "min_wait_seconds": 120,
        "max_wait_seconds": 420,
        "verify_email_mx": True,
        "bounce_rate_threshold": 8.0,
        "smtp_credentials": [
            {
                "label": "Primary",
                **hosts,
                "smtp_username": user,
                "smtp_password": "...",
                "daily_limit": 200,
                **boxes,
                "imap_username": user,
                "imap_password": "...",
            }
        ],
        "sequence_steps": [
            {"position": 1, "subject": "Hi {{first_name}}", "body_html": "<p>...</p>", "delay_minutes": 0},
            {"position": 2, "subject": "Re: Hi", "body_html": "<p>...</p>", "delay_minutes": 4320},
        ],
    }


def created(story: Story) -> str:
    """Create the page's campaign; answers its id."""
    answer = story.client.post("/campaigns", {"campaign": page(story)})
    assert answer.status == httpx.codes.CREATED, answer
    body = cast("dict[str, str]", answer.body)
    assert body == {"id": body["id"], "status": "pending"}
    return body["id"]


def shown(story: Story, campaign_id: str) -> dict[str, object]:
    """Answer the campaign as GET shows it."""
    answer = story.client.get(f"/campaigns/{campaign_id}")
    assert answer.status == httpx.codes.OK, answer
    return cast("dict[str, object]", answer.body)


def brought_in(story: Story, number: int) -> tuple[str, list[str]]:
    """Import so many people; answers the import's id and theirs."""
    brought = story.client.bring_in(story.people(number))
    rows = cast("list[Json]", story.client.get(f"/contact_imports/{brought.id}/contacts").body)
    return brought.id, [str(row["id"]) for row in rows]


def asked(story: Story, campaign_id: str, action: str, body: Json | None = None) -> Answer:
    """Ask for an action of the campaign."""
    return story.client.post(f"/campaigns/{campaign_id}/{action}", body)


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
    [letter] = story.until_letters("p0", seconds=10)
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


def assert_unknown(client: Client, campaign_id: str) -> None:
    """Every verb answers that there is no such campaign."""
    for method, action, body in VERBS:
        answer = client.call(method, f"/campaigns/{campaign_id}{action}", body)
        assert answer.problem == (404, "campaign_not_found"), (method, action)


@pytest.mark.parametrize("campaign_id", [str(uuid4()), "..."])
async def test_an_unknown_campaign_is_not_found(campaign_id: str, calm_story: Story) -> None:
    assert_unknown(calm_story.client, campaign_id)


async def test_another_account_s_campaign_is_not_found_and_nothing_happens_to_it(
    calm_system: System, begin: Begin
) -> None:
    ours, theirs = begin(calm_system), begin(calm_system)
    campaign_id = created(ours)
    before = shown(ours, campaign_id)
    assert_unknown(theirs.client, campaign_id)
    assert shown(ours, campaign_id) == before


async def test_another_account_s_contacts_and_imports_are_not_found(calm_system: System, begin: Begin) -> None:
    ours, theirs = begin(calm_system), begin(calm_system)
    import_id, [contact_id] = brought_in(ours, 1)
    campaign_id = created(theirs)
    for known in (contact_id, str(uuid4()), "..."):
        answer = asked(theirs, campaign_id, "enroll_contact", {"contact_id": known})
        assert answer.problem == (404, "contact_not_found")
    for known in (import_id, str(uuid4()), "..."):
        answer = asked(theirs, campaign_id, "enroll", {"contact_import_id": known})
        assert answer.problem == (404, "contact_import_not_found")


async def test_a_name_is_required_and_every_failure_is_listed(calm_story: Story) -> None:
    for missing in ("name", "smtp_credentials", "sequence_steps"):
        body = {name: value for name, value in page(calm_story).items() if name != missing}
        answer = calm_story.client.post("/campaigns", {"campaign": body})
        assert answer.problem == (422, "validation_failed")
        assert fields(answer) == {f"campaign.{missing}"}
    empty: Json = {"campaign": {"name": " ", "smtp_credentials": [], "sequence_steps": []}}
    answer = calm_story.client.post("/campaigns", empty)
    assert answer.problem == (422, "validation_failed")
    assert fields(answer) == {"campaign.name", "campaign.smtp_credentials", "campaign.sequence_steps"}


def fields(answer: Answer) -> set[object]:
    """Answer the fields that failed."""
    return {error["field"] for error in cast("list[Json]", answer.details["errors"])}


async def test_a_tag_that_names_no_field_is_refused_with_its_place(calm_story: Story) -> None:
    body = page(calm_story)
    broken = {"position": 1, "subject": "Hi {{first_nam}}", "body_html": "<p>{{</p>", "delay_minutes": 0}
    answer = calm_story.client.post("/campaigns", {"campaign": {**body, "sequence_steps": [broken]}})
    assert answer.problem == (422, "validation_failed")
    assert fields(answer) == {"campaign.sequence_steps[0].subject", "campaign.sequence_steps[0].body_html"}


async def test_with_nothing_pending_there_is_nothing_to_dispatch(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    assert asked(story, campaign_id, "dispatch").problem == (422, "no_pending_enrollments")
    import_id, _ = brought_in(story, 1)
    asked(story, campaign_id, "enroll", {"contact_import_id": import_id})
    other = asked(story, campaign_id, "dispatch", {"batch_number": 7})
    assert other.problem == (422, "no_pending_enrollments")
    asked(story, campaign_id, "dispatch")
    assert asked(story, campaign_id, "dispatch").problem == (422, "no_pending_enrollments")


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
    people = [story.person("somebody"), {"email": f"nobody@nowhere.{story.to_domain}"}]
    story.enroll(campaign_id, people)
    dispatched = story.client.dispatch(campaign_id)
    assert (dispatched.scheduled, dispatched.skipped) == (1, 1)
    campaign = story.client.until(campaign_id, "step 1 sent", lambda shown: shown.totals.sent == 1)
    assert campaign.skipped["mx_invalid"] == 1
    assert (campaign.totals.pending, campaign.totals.bounced, campaign.rates.bounce_rate) == (0, 0, 0.0)


async def test_a_contact_is_enrolled_once(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    _, [contact_id] = brought_in(story, 1)
    body = {"contact_id": contact_id, "batch_number": 2, "priority": True}
    first = asked(story, campaign_id, "enroll_contact", body)
    assert first.status == httpx.codes.CREATED, first
    enrollment = cast("Json", first.body)
    assert (enrollment["contact_id"], enrollment["batch_number"]) == (contact_id, 2)
    assert enrollment["status"] == "pending"
    again = asked(story, campaign_id, "enroll_contact", {"contact_id": contact_id})
    assert again.problem == (422, "contact_already_enrolled")


async def test_pause_and_resume_are_refused_in_the_wrong_state(calm_story: Story) -> None:
    story = calm_story
    campaign_id = created(story)
    assert asked(story, campaign_id, "pause").problem == (422, "campaign_not_active")
    assert asked(story, campaign_id, "resume").problem == (422, "campaign_not_paused")


async def test_an_account_at_its_monthly_limit_dispatches_nothing(calm_system: System, begin: Begin) -> None:
    story = begin(calm_system)
    with Client(calm_system.url, calm_system.operator_token) as operator:
        changed = operator.patch(f"/accounts/{story.account_id}", {"account": {"monthly_limit": 1}})
    assert changed.status == httpx.codes.OK, changed
    campaign_id = created(story)
    import_id, _ = brought_in(story, 2)
    story.client.enroll(campaign_id, import_id, 1)
    story.client.dispatch(campaign_id)
    story.client.until(campaign_id, "one message is sent", lambda shown: shown.emails_sent == 1)

    answer = asked(story, campaign_id, "dispatch")
    assert answer.problem == (402, "plan_limit_reached")
    assert answer.details == {"current_period_sends": 1, "monthly_limit": 1}
    assert len(story.letters()) == 1


async def test_without_a_key_nothing_is_said(calm_system: System) -> None:
    for key in ("nobody", "ok_live_nobody", calm_system.operator_token):
        with Client(calm_system.url, key) as stranger:
            answer = stranger.get("/campaigns")
        assert answer.problem == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
