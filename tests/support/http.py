"""Bodies that are sound, and what an answer says that is no success."""

from collections.abc import Mapping, Sequence
from typing import cast

import httpx

UNKNOWN = "0190b7a4-0000-7000-8000-00000000dead"
ACCEPTED = 202
JSON = {"Content-Type": "application/json"}
CREDENTIAL = {
    "smtp_host": "mail.example.com",
    "smtp_username": "me@example.com",
    "smtp_password": "secret-word",  # pragma: allowlist secret
    "daily_limit": 200,
}
STEP = {"position": 1, "subject": "Hi {{first_name}}", "body_html": "<p>Hello</p>", "delay_minutes": 0}
CAMPAIGN = {"name": "Q2 launch", "smtp_credentials": [CREDENTIAL], "sequence_steps": [STEP]}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code; everything else that a problem has is as it must be."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = cast("Mapping[str, object]", answer.json())
    assert body["type"] == f"/errors/{body['code']}"
    assert body["status"] == answer.status_code
    assert body["message"]
    return answer.status_code, str(body["code"])


def fields(answer: httpx.Response) -> list[str]:
    """The fields of a validation_failed."""
    assert problem(answer) == (422, "validation_failed")
    errors = cast("Sequence[Mapping[str, str]]", answer.json()["details"]["errors"])
    return [error["field"] for error in errors]


async def create(client: httpx.AsyncClient, **changed: object) -> httpx.Response:
    """A campaign, with these fields changed."""
    return await client.post("/campaigns", json={"campaign": {**CAMPAIGN, **changed}})


async def decided(client: httpx.AsyncClient, answer: httpx.Response, **headers: str) -> tuple[int, object]:
    """Status and body of the call, also where its verdict came late: this machine may be busy."""
    if answer.status_code != ACCEPTED or "command_id" not in answer.json():
        return answer.status_code, answer.json() if answer.content else None
    while True:
        told = cast("Mapping[str, object]", (await client.get(answer.headers["location"], headers=headers)).json())
        if told["status"] != "accepted":
            return cast("int", told["http_status"]), told["body"]
