"""Actions on a campaign that mail nobody: preview, forecast, deleting an enrollment."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.http import CREDENTIAL, STEP, UNKNOWN, create, fields, problem

TWO_STEPS = [
    {**STEP, "subject": "Hi {{first_name}}", "body_html": "<p>At {{company}}, {{custom.role}}</p>"},
    {**STEP, "position": 2, "delay_minutes": 2880, "subject": "Re: Hi", "body_html": "<b>{{last_name}}</b>"},
]


async def brought_in(client: httpx.AsyncClient, *rows: Mapping[str, object]) -> tuple[str, Sequence[str]]:
    """The import's id, and its contacts' in their order."""
    body = {"contact_import": {"name": "People", "contacts": list(rows)}}
    import_id = (await client.post("/contact_imports", json=body)).json()["id"]
    found = (await client.get(f"/contact_imports/{import_id}/contacts")).json()
    return import_id, [row["id"] for row in reversed(found)]


async def made(client: httpx.AsyncClient, **changed: object) -> str:
    """The path of a campaign."""
    answer = await create(client, **changed)
    assert answer.status_code == 201, answer.text
    return f"/campaigns/{answer.json()['id']}"


async def test_a_preview_shows_every_step_with_merge_values_applied(client: httpx.AsyncClient) -> None:
    campaign = await made(client, sequence_steps=TWO_STEPS)
    row = {"email": "eve@preview.example", "first_name": "Eve", "company": "<script>x</script>"}
    _, [contact] = await brought_in(client, {**row, "custom": {"role": "CTO"}})
    steps = (await client.get(f"{campaign}/preview?contact_id={contact}")).json()["steps"]
    assert [(step["position"], step["subject"]) for step in steps] == [(1, "Hi Eve"), (2, "Re: Hi")]
    assert steps[0]["body_html"] == "<p>At &lt;script&gt;x&lt;/script&gt;, CTO</p>"
    assert steps[0]["body_text"].strip() == "At <script>x</script>, CTO"
    assert steps[1]["body_html"] == "<b></b>"
    second = (await client.get(f"{campaign}/preview?contact_id={contact}&position=2")).json()["steps"]
    assert second == steps[1:]
    sample = (await client.get(f"{campaign}/preview")).json()["steps"]
    assert sample[0]["subject"] == "Hi Ada"


async def test_a_preview_shows_the_footer_with_the_accounts_postal_address(client: httpx.AsyncClient) -> None:
    campaign = await made(client, unsubscribe_footer=True)
    before = (await client.get(f"{campaign}/preview")).json()["steps"][0]
    assert before["body_text"].endswith("\n\n-- \nUnsubscribe: https://example.com/u/sample")
    address = "Example & Co\n1 Road\nTown"
    changed = await client.patch("/account", json={"account": {"postal_address": f"  {address}\r\n "}})
    assert changed.status_code == 200
    assert changed.json() == (await client.get("/account")).json()
    assert changed.json()["postal_address"] == address
    after = (await client.get(f"{campaign}/preview")).json()["steps"][0]
    assert "Example &amp; Co<br>1 Road<br>Town<br><a href=" in after["body_html"]
    assert after["body_text"].endswith(f"-- \n{address}\nUnsubscribe: https://example.com/u/sample")
    assert "Unsubscribe" not in (await client.get(f"{await made(client)}/preview")).json()["steps"][0]["body_text"]


async def test_a_postal_address_is_bounded_and_can_be_taken_away(client: httpx.AsyncClient) -> None:
    for bad in ("x" * 501, "\n".join("12345678901"), "a\x00b", 5):
        answer = await client.patch("/account", json={"account": {"postal_address": bad}})
        assert fields(answer) == ["account.postal_address"]
    for nothing in (None, " \n "):
        answer = await client.patch("/account", json={"account": {"postal_address": nothing}})
        assert answer.json()["postal_address"] is None
    assert fields(await client.patch("/account", json={"account": {"nickname": "x"}})) == ["account.nickname"]


async def test_a_preview_names_what_it_cannot_find(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    campaign = await made(client)
    _, [theirs] = await brought_in(stranger, {"email": "t@preview.example"})
    for contact in (UNKNOWN, "nonsense", theirs):
        answer = await client.get(f"{campaign}/preview?contact_id={contact}")
        assert problem(answer) == (404, "contact_not_found")
    assert problem(await client.get(f"{campaign}/preview?position=2")) == (404, "sequence_step_not_found")
    for position in ("0", "00", "x", ""):
        assert fields(await client.get(f"{campaign}/preview?position={position}")) == ["position"]
    assert fields(await client.get(f"{campaign}/preview?step=1")) == ["step"]
    assert problem(await stranger.get(f"{campaign}/preview")) == (404, "campaign_not_found")


async def test_a_template_that_a_contacts_values_do_not_fit_is_named(client: httpx.AsyncClient) -> None:
    step = {**STEP, "subject": "{% if custom.seats > 5 %}many{% endif %}"}
    campaign = await made(client, sequence_steps=[step])
    _, [contact] = await brought_in(client, {"email": "zero@preview.example", "custom": {"seats": "x"}})
    answer = await client.get(f"{campaign}/preview?contact_id={contact}")
    assert fields(answer) == ["sequence_steps[0].subject"]


async def test_a_page_to_look_at_runs_nothing(client: httpx.AsyncClient) -> None:
    body = "<script>steal()</script><p onclick='x()'>Hello</p></iframe><script>out()</script>"
    campaign = await made(
        client, sequence_steps=[{**STEP, "subject": "</title><script>s()</script>", "body_html": body}]
    )
    answer = await client.get(f"{campaign}/preview", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert not [part for part in policy if "script-src" in part or "allow-" in part]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept"
    assert '<iframe sandbox=""' in answer.text
    assert "<script" not in answer.text, "what the author wrote stands in an attribute, escaped"
    for accept in ("*/*", "application/json"):
        shown = await client.get(f"{campaign}/preview", headers={"Accept": accept})
        assert shown.json()["steps"][0]["body_html"] == body


async def test_a_forecast_counts_what_is_planned_for_each_day(client: httpx.AsyncClient) -> None:
    credentials = [{**CREDENTIAL, "daily_limit": 3}, {**CREDENTIAL, "smtp_username": "b@x.example", "daily_limit": 2}]
    campaign = await made(
        client, smtp_credentials=credentials, sequence_steps=TWO_STEPS, min_wait_seconds=0, max_wait_seconds=0
    )
    empty = (await client.get(f"{campaign}/send_forecast")).json()
    today = datetime.now(UTC).date()
    dates = [(today + timedelta(days=number)).isoformat() for number in range(7)]
    assert empty["timezone"] == "UTC"
    assert [day["date"] for day in empty["days"]] in (dates, [*dates[1:], (today + timedelta(days=7)).isoformat()])
    assert {(day["scheduled"], day["capacity"]) for day in empty["days"]} == {(0, 5)}
    import_id, _ = await brought_in(client, *({"email": f"f{number}@forecast.example"} for number in range(7)))
    await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    dispatched = (await client.post(f"{campaign}/dispatch")).json()
    assert dispatched["scheduled"] == 7
    days = (await client.get(f"{campaign}/send_forecast?days=10")).json()["days"]
    assert len(days) == 10
    planned = [(day["scheduled"], day["by_step"]) for day in days if day["scheduled"]]
    assert planned == [(5, {"1": 5}), (2, {"1": 2}), (5, {"2": 5}), (2, {"2": 2})]
    for days_asked in ("0", "91", "x", "-1", "1.5"):
        assert fields(await client.get(f"{campaign}/send_forecast?days={days_asked}")) == ["days"]


async def test_a_deleted_enrollment_is_stopped_and_cannot_come_back(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    campaign = await made(client, sequence_steps=TWO_STEPS)
    import_id, contacts = await brought_in(client, *({"email": f"d{number}@deleted.example"} for number in range(2)))
    await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    await client.post(f"{campaign}/dispatch")
    rows: Sequence[Mapping[str, Any]] = (await client.get(f"{campaign}/enrollments?status=scheduled")).json()
    assert len(rows) == 2
    first = rows[0]
    assert problem(await stranger.delete(f"/enrollments/{first['id']}")) == (404, "enrollment_not_found")
    assert problem(await client.delete(f"/enrollments/{UNKNOWN}")) == (404, "enrollment_not_found")
    for _ in range(2):  # repeatable
        assert (await client.delete(f"/enrollments/{first['id']}")).status_code == 204
    shown = (await client.get(f"/enrollments/{first['id']}")).json()
    assert (shown["status"], shown["next_send_at"]) == ("stopped", None)
    assert shown["finished_at"] is not None
    again = await client.post(f"{campaign}/enroll_contact", json={"contact_id": first["contact_id"]})
    assert problem(again) == (422, "contact_already_enrolled")
    forecast = (await client.get(f"{campaign}/send_forecast?days=30")).json()["days"]
    assert sum(day["scheduled"] for day in forecast) == 2, "the other one's two steps"
    assert (await client.get(campaign)).json()["completed_at"] is None
    assert first["contact_id"] in contacts


async def test_a_campaign_whose_last_enrollment_is_deleted_is_complete(client: httpx.AsyncClient) -> None:
    campaign = await made(client)
    import_id, _ = await brought_in(client, {"email": "last@deleted.example"})
    await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    await client.post(f"{campaign}/dispatch")
    [row] = (await client.get(f"{campaign}/enrollments")).json()
    await client.delete(f"/enrollments/{row['id']}")
    async with asyncio.timeout(180):
        while (await client.get(campaign)).json()["completed_at"] is None:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
    import_id, _ = await brought_in(client, {"email": "later@deleted.example"})
    await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    assert (await client.post(f"{campaign}/dispatch")).json()["scheduled"] == 1
    shown = (await client.get(campaign)).json()
    assert (shown["status"], shown["completed_at"]) == ("active", None), "a later dispatch clears it"


async def test_the_audits_take_their_filters_and_name_what_they_do_not_know(client: httpx.AsyncClient) -> None:
    campaign = await made(client)
    import_id, contacts = await brought_in(client, *({"email": f"s{number}@skips.example"} for number in range(3)))
    await client.post("/suppressions", json={"suppression": {"value": "s0@skips.example"}})
    for _ in range(2):
        await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    skips = (await client.get(f"{campaign}/skips")).json()
    assert sorted(skip["kind"] for skip in skips) == ["already_enrolled"] * 2 + ["suppressed"] * 2
    assert {skip["contact_id"] for skip in skips} == set(contacts)
    assert len((await client.get(f"{campaign}/skips?kind=already_enrolled&limit=1")).json()) == 1
    assert (await client.get(f"{campaign}/skips?kind=mx_invalid")).json() == []
    skipped = (await client.get(campaign)).json()["skipped"]
    assert (skipped["suppressed"], skipped["already_enrolled"], skipped["bounced"]) == (2, 2, 0)
    assert len((await client.get(f"{campaign}/enrollments?status=pending&batch_number=1")).json()) == 2
    assert (await client.get(f"{campaign}/enrollments?batch_number=2")).json() == []
    assert (await client.get(f"{campaign}/replies?limit=1")).json() == []
    for path, field in (
        ("skips?kind=unknown", "kind"),
        ("skips?limit=0", "limit"),
        ("enrollments?status=unknown", "status"),
        ("enrollments?batch_number=-1", "batch_number"),
        ("enrollments?batch_number=1000000001", "batch_number"),
        (f"enrollments?batch_number={'9' * 5000}", "batch_number"),
        ("replies?limit=x", "limit"),
        ("replies?kind=x", "kind"),
    ):
        assert fields(await client.get(f"{campaign}/{path}")) == [field]


async def test_a_test_send_names_what_is_wrong_before_anything_is_sent(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    path = f"{await made(client)}/test_send"
    nothing: list[Mapping[str, object]] = [{}, {"emails": []}]
    for body in nothing:
        assert problem(await client.post(path, json=body)) == (422, "no_emails_provided")
    assert fields(await client.post(path, json={"emails": ["a@b.example", "nobody"]})) == ["emails[1]"]
    many = [f"a{number}@many.example" for number in range(21)]
    assert fields(await client.post(path, json={"emails": many})) == ["emails"]
    somebody = {"emails": ["a@b.example"]}
    for contact in (UNKNOWN, "nonsense"):
        answer = await client.post(path, json={**somebody, "contact_id": contact})
        assert problem(answer) == (404, "contact_not_found")
    assert problem(await stranger.post(path, json=somebody)) == (404, "campaign_not_found")
