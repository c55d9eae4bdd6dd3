"""Why a mail is not sent, gate by gate, and what led to it: nothing here sends, so every step stays open."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx

from tests.support.http import UNKNOWN, create, problem
from tests.support.system import System

GATES = ["campaign", "stop", "suppression", "plan", "quota", "window", "credential"]
Row = Mapping[str, Any]


async def enrolled(client: httpx.AsyncClient, email: str, **settings: object) -> tuple[str, str, str]:
    """A campaign, a contact, and its enrollment, pending."""
    campaign = (await create(client, **settings)).json()["id"]
    contact = (await client.post("/contacts", json={"contact": {"email": email}})).json()["id"]
    answer = await client.post(f"/campaigns/{campaign}/enroll_contact", json={"contact_id": contact})
    return campaign, contact, answer.json()["id"]


async def explained(client: httpx.AsyncClient, enrollment: str) -> Row:
    answer = await client.get(f"/enrollments/{enrollment}/explain")
    assert answer.status_code == 200, answer.text
    shown: Row = answer.json()
    assert [gate["gate"] for gate in shown["gates"]] == GATES
    assert {gate["verdict"] for gate in shown["gates"]} <= {"open", "closed"}
    assert all((gate["verdict"] == "closed") == bool(gate["reason"]) for gate in shown["gates"])
    return shown


def closed(shown: Row) -> dict[str, tuple[str, str | None]]:
    """By gate, why each is closed and the type of the event that closed it."""
    gates = cast("Sequence[Row]", shown["gates"])
    return {
        gate["gate"]: (gate["reason"], gate["event"] and gate["event"]["type"])
        for gate in gates
        if gate["verdict"] == "closed"
    }


async def history(client: httpx.AsyncClient, enrollment: str) -> Sequence[Row]:
    answer = await client.get(f"/enrollments/{enrollment}/history")
    assert answer.status_code == 200, answer.text
    rows: Sequence[Row] = answer.json()
    assert [row["position"] for row in rows] == sorted({row["position"] for row in rows})
    return rows


async def test_each_gate_says_why_it_is_closed_and_by_what(client: httpx.AsyncClient) -> None:
    step = {"subject": "Hi", "body_html": "<p>Hi</p>", "delay_minutes": 60}
    steps = [{**step, "position": position} for position in (1, 2)]
    campaign, contact, enrollment = await enrolled(client, "gates@example.com", sequence_steps=steps)
    shown = await explained(client, enrollment)
    assert (shown["status"], shown["next"], closed(shown)) == (
        "pending",
        None,
        {"campaign": ("not_dispatched", "created")},
    )
    await client.post(f"/campaigns/{campaign}/dispatch")
    shown = await explained(client, enrollment)
    assert (shown["status"], shown["next"]["step_position"], closed(shown)) == ("scheduled", 1, {})
    await client.post(f"/campaigns/{campaign}/pause")
    assert closed(await explained(client, enrollment)) == {"campaign": ("campaign_paused", "campaign_paused")}
    await client.post(f"/campaigns/{campaign}/resume")
    value = {"suppression": {"value": "@example.com"}}
    suppression = (await client.post("/suppressions", json=value)).json()["id"]
    credential = (await client.get(f"/campaigns/{campaign}")).json()["credentials"][0]["id"]
    await client.delete(f"/campaigns/{campaign}/smtp_credentials/{credential}")
    why = closed(await explained(client, enrollment))
    why.pop("campaign", None)  # the last credential is gone: soon it is paused
    assert why == {
        "suppression": ("suppressed", "address_suppressed"),
        "credential": ("credential_removed", "credential_removed"),
    }
    await client.delete(f"/suppressions/{suppression}")
    gates = cast("Sequence[Row]", (await explained(client, enrollment))["gates"])
    lifted = next(gate for gate in gates if gate["gate"] == "suppression")
    assert (lifted["verdict"], lifted["event"]["type"]) == ("open", "address_unsuppressed")
    await client.delete(f"/contacts/{contact}")
    shown = await explained(client, enrollment)
    assert (shown["status"], shown["next"], closed(shown)["stop"]) == ("stopped", None, ("stopped", "stopped"))
    told = [row["type"] for row in await history(client, enrollment)]
    assert told[:4] == ["created", "scheduled", "campaign_paused", "campaign_resumed"]
    assert {"address_suppressed", "credential_removed", "address_unsuppressed", "contact_deleted"} <= set(told)
    assert "stopped" in told


async def test_a_plan_and_a_window_are_judged_for_the_moment_at_which_the_step_is_due(
    gateway: System, client: httpx.AsyncClient
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[tomorrow.weekday()]
    window = {"days": [day], "start": "09:00", "end": "10:00", "timezone": "UTC"}
    campaign, _, enrollment = await enrolled(client, "window@example.com", send_window=window)
    await client.post(f"/campaigns/{campaign}/dispatch")
    shown = await explained(client, enrollment)
    assert closed(shown) == {}
    assert shown["next"]["at"].startswith(f"{tomorrow:%Y-%m-%d}T09:")
    account = (await client.get("/account")).json()["id"]
    operator = {"Authorization": f"Bearer {gateway.operator_token}"}
    for limit in (0, None):
        body = {"account": {"monthly_limit": limit}}
        assert (await client.patch(f"/accounts/{account}", json=body, headers=operator)).status_code == 200
        why = closed(await explained(client, enrollment))
        assert why == ({} if limit is None else {"plan": ("plan_limit_reached", "plan_changed")})


async def test_a_history_tells_why_and_comes_in_pages(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    campaign, contact, enrollment = await enrolled(client, "pages@example.com")
    await client.post(f"/campaigns/{campaign}/enroll_contact", json={"contact_id": contact})
    await client.post(f"/campaigns/{campaign}/dispatch")
    rows = await history(client, enrollment)
    assert [row["type"] for row in rows] == ["created", "skipped", "scheduled"]
    assert rows[1]["reason"] == "the contact is enrolled in this campaign already"
    assert "credential" in rows[2]["reason"]
    assert rows[2]["steps"][0]["position"] == 1
    first = await client.get(f"/enrollments/{enrollment}/history?limit=2")
    rest = await client.get(first.links["next"]["url"])
    assert [*first.json(), *rest.json()] == rows
    assert "next" not in rest.links
    for path in ("history", "explain"):
        assert problem(await stranger.get(f"/enrollments/{enrollment}/{path}")) == (404, "enrollment_not_found")
        assert problem(await client.get(f"/enrollments/{UNKNOWN}/{path}")) == (404, "enrollment_not_found")
