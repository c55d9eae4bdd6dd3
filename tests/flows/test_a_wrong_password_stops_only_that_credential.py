"""A server that refuses the login costs no mail: the credential is disabled, and says why in the server's words."""

from typing import cast

from tests.support.client import Json
from tests.support.client_answers import Campaign, Credential
from tests.support.story import Story

WORDS = "5.7.8 Username and password not accepted"
EACH = 4


def ben(story: Story, shown: Campaign) -> Credential:
    """Answer the credential that cannot log in."""
    return shown.credential(f"ben@{story.from_domain}")


async def test_the_other_credential_goes_on_and_nothing_is_lost(calm_story: Story) -> None:
    story = calm_story
    wrong = "wrong"  # the sandbox's declared rule
    credentials = [story.credential("ann"), story.credential("ben", smtp_password=wrong)]
    campaign_id = story.dispatched(story.people(2 * EACH), credentials=credentials)
    shown = story.client.until(
        campaign_id, "one disabled, the other done", lambda shown: bool(ben(story, shown).smtp_error) and half(shown)
    )

    assert (shown.status, shown.completed_at) == ("active", None)
    assert ben(story, shown).disabled_reason == "auth_failed"
    assert ben(story, shown).smtp_error == WORDS
    assert wrong not in story.client.get(f"/campaigns/{campaign_id}").text
    ann = shown.credential(f"ann@{story.from_domain}")
    assert (ann.disabled_at, ann.sends, ben(story, shown).sends, ben(story, shown).sent_today) == (None, EACH, 0, 0)
    assert ben(story, shown).remaining_today == ben(story, shown).daily_limit
    rows = story.client.enrollments(campaign_id, "scheduled")
    assert [row.smtp_credential_id for row in rows] == EACH * [ben(story, shown).id]
    assert {one["user"] for one in story.letters()} == {f"ann@{story.from_domain}"}

    path, right = f"/campaigns/{campaign_id}/smtp_credentials/{ben(story, shown).id}", "sandbox"
    answer = story.client.patch(path, {"smtp_credential": {"smtp_password": right}})
    assert answer.status == 200, answer
    assert cast("Json", answer.body)["disabled_at"] is None, "another password is tried without further ado"
    assert story.client.until(campaign_id, "done", lambda shown: shown.completed_at is not None).totals.sent == 2 * EACH


def half(shown: Campaign) -> bool:
    """Say whether one of the two credentials has mailed all of its own."""
    return (shown.totals.sent, shown.totals.pending) == (EACH, EACH)


async def test_once_it_may_log_in_again_and_is_reenabled_its_mail_goes_out(fast_story: Story) -> None:
    story = fast_story  # what was refused is tried again after 30 s
    user = f"ben@{story.from_domain}"
    story.rule(stage="auth", answer=f"535 {WORDS}", user=user)
    campaign_id = story.dispatched(story.people(EACH), credentials=[story.credential("ben")])
    shown = story.client.until(  # its last credential: re-enabled before the pause stands, it would be paused after all
        campaign_id, "paused", lambda shown: ben(story, shown).disabled_at is not None and shown.status == "paused"
    )
    assert (shown.totals.sent, shown.totals.pending) == (0, EACH)

    story.forget_rules()
    answer = story.client.post(f"/campaigns/{campaign_id}/smtp_credentials/{ben(story, shown).id}/reenable")
    assert answer.status == 200, answer
    assert answer.body == {"id": ben(story, shown).id, "from_email": user, "status": "enabled"}
    story.client.resume(campaign_id)
    story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    found = await story.assert_nothing_doubled_or_lost(campaign_id)
    assert len(found.sent) == EACH
