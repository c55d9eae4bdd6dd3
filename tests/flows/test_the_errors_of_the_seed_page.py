"""Every row of the error table of the page that the product was asked for with."""

from typing import cast
from uuid import uuid4

import httpx
import pytest

from tests.support.client import Answer, Client, Json
from tests.support.story import Begin, Story
from tests.support.story_page import asked, assert_unknown, brought_in, created, page, shown
from tests.support.system import System


@pytest.mark.parametrize("campaign_id", ["7b5e1c1e-0f43-4d4e-9b43-2f5d9c0a6e11", "..."])
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
