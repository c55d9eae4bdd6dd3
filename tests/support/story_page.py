"""The requests of the page that the product was asked for with (seed/campaigns.txt), sent as they stand there."""

from typing import cast

import httpx

from tests.support.client import Answer, Client, Json
from tests.support.story import Story

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


def assert_unknown(client: Client, campaign_id: str) -> None:
    """Every verb answers that there is no such campaign."""
    for method, action, body in VERBS:
        answer = client.call(method, f"/campaigns/{campaign_id}{action}", body)
        assert answer.problem == (404, "campaign_not_found"), (method, action)
