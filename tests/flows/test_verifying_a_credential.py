"""A credential is verified at its servers: what works is ok, what does not says why, and nothing changes by it."""

from typing import cast

from tests.support.client import Json
from tests.support.story import Story


def verified(story: Story, campaign_id: str, number: int) -> Json:
    """What the verification of that credential answers."""
    path = f"/campaigns/{campaign_id}/smtp_credentials"
    answer = story.client.post(f"{path}/{story.client.show(campaign_id).credentials[number].id}/verify")
    assert answer.status == 200, answer
    return cast("Json", answer.body)


async def test_each_server_is_asked_and_its_reason_is_told_without_the_password(calm_story: Story) -> None:
    story, wrong = calm_story, "wrong"  # the sandbox's declared rule
    without_imap = dict.fromkeys(("imap_host", "imap_port", "imap_username", "imap_password", "imap_security"))
    closed = 1  # nobody listens there
    campaign_id = story.campaign(
        credentials=[
            story.credential("ann"),
            story.credential("ben", smtp_password=wrong, imap_password=wrong),
            story.credential("cleo", **without_imap),
            story.credential("dora", smtp_port=closed, imap_port=closed),
        ]
    )
    assert verified(story, campaign_id, 0) == {"smtp": "ok", "imap": "ok"}
    refused = verified(story, campaign_id, 1)
    assert refused["smtp"] == "error"
    assert refused["smtp_error"] == "535 5.7.8 Username and password not accepted"
    assert verified(story, campaign_id, 2) == {"smtp": "ok", "imap": "absent"}
    unreachable = verified(story, campaign_id, 3)
    assert (unreachable["smtp"], unreachable["imap"]) == ("error", "error")
    assert unreachable["smtp_error"]
    assert unreachable["imap_error"]
    assert wrong not in str([refused, unreachable])
    assert [one.disabled_at for one in story.client.show(campaign_id).credentials] == [None] * 4
    assert story.letters() == [], "no message was sent"
