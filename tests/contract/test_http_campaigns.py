"""Campaigns: what they have where nothing is said, who is in which batch, and which is dispatched when."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx

from outrider.events import vault
from outrider.events.database import Db
from tests.kernel.until import until
from tests.support.http import CREDENTIAL, JSON, STEP, UNKNOWN, create, decided, fields, problem
from tests.support.system import System

FOLLOW_UP = {**STEP, "position": 2, "delay_minutes": 4320}
WAIT = """
select count(*) >= $1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""
AT_ONCE = {"min_wait_seconds": 0, "max_wait_seconds": 0}


async def people(client: httpx.AsyncClient, name: str, number: int) -> tuple[str, Sequence[str]]:
    """An import and its contacts."""
    rows = [{"email": f"{name}{one}@batches.example"} for one in range(number)]
    brought = await client.post("/contact_imports", json={"contact_import": {"name": name, "contacts": rows}})
    status, body = await decided(client, brought)
    assert status == 201
    import_id = str(cast("Mapping[str, object]", body)["id"])
    found = (await client.get(f"/contact_imports/{import_id}/contacts?limit=1000")).json()
    return import_id, [row["id"] for row in reversed(found)]


async def made(client: httpx.AsyncClient, **changed: object) -> str:
    return f"/campaigns/{(await create(client, **changed)).json()['id']}"


async def test_enroll_contact_takes_batch_0_and_no_priority_unless_told(client: httpx.AsyncClient) -> None:
    _, contacts = await people(client, "alone", 3)
    campaign = await made(client, min_wait_seconds=60, max_wait_seconds=60)
    for contact, more in zip(contacts, ({}, {}, {"priority": True}), strict=True):
        answer = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact, **more})
        assert (answer.status_code, answer.json()["batch_number"], answer.json()["status"]) == (201, 0, "pending")
    dispatched = (await client.post(f"{campaign}/dispatch")).json()
    assert (dispatched["batch_number"], dispatched["scheduled"]) == (0, 3)
    rows = (await client.get(f"{campaign}/enrollments")).json()
    order = [row["contact_id"] for row in sorted(rows, key=lambda row: row["next_send_at"])]
    assert order == [contacts[2], contacts[0], contacts[1]]
    times = sorted(datetime.fromisoformat(row["next_send_at"]) for row in rows)
    assert [later - times[0] for later in times] == [timedelta(seconds=60 * n) for n in range(3)]
    shown = (await client.get(campaign)).json()
    assert (shown["totals"]["pending"], shown["per_batch"][0]["pending"]) == (3, 3), "the scheduled are pending still"
    first, last = (datetime.fromisoformat(dispatched[name]) for name in ("first_send_at", "last_send_at"))
    assert (first, last) == (times[0], times[-1])


async def test_batches_go_on_behind_the_highest_and_are_shown_by_number(client: httpx.AsyncClient) -> None:
    campaign = await made(client)
    (first, _), (second, contacts) = await people(client, "first", 5), await people(client, "second", 3)
    one = (await client.post(f"{campaign}/enroll", json={"contact_import_id": first, "batch_size": 2})).json()
    assert (one["enrolled"], one["batches"], one["batch_size"], one["first_batch_number"]) == (5, 3, 2, 1)
    await client.post(f"{campaign}/enroll_contact", json={"contact_id": contacts[0], "batch_number": 7})
    two = (await client.post(f"{campaign}/enroll", json={"contact_import_id": second})).json()
    assert (two["enrolled"], two["batches"], two["first_batch_number"], two["skipped_count"]) == (2, 1, 8, 1)
    assert (two["skipped"][0]["contact_id"], two["skipped"][0]["kind"]) == (contacts[0], "already_enrolled")
    again = (await client.post(f"{campaign}/enroll", json={"contact_import_id": second})).json()
    assert (again["enrolled"], again["batches"], again["first_batch_number"], again["skipped_count"]) == (0, 0, None, 3)
    shown: Sequence[Mapping[str, Any]] = (await client.get(campaign)).json()["per_batch"]
    assert [(row["batch_number"], row["pending"]) for row in shown] == [(1, 2), (2, 2), (3, 1), (7, 1), (8, 2)]
    for wrong in (0, -1, "2", 1.5):
        body = {"contact_import_id": first, "batch_size": wrong}
        assert fields(await client.post(f"{campaign}/enroll", json=body)) == ["batch_size"]


async def test_a_list_of_who_was_skipped_ends_after_a_thousand_and_the_count_does_not(
    client: httpx.AsyncClient,
) -> None:
    import_id, _ = await people(client, "many", 1001)
    campaign = await made(client)
    answers = [await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id}) for _ in range(2)]
    status, told = await decided(client, answers[1])
    body = cast("Mapping[str, Any]", told)
    assert (status, body["skipped_count"], len(body["skipped"])) == (200, 1001, 1000)


async def test_follow_ups_of_later_days_do_not_count_against_today(client: httpx.AsyncClient) -> None:
    import_id, _ = await people(client, "today", 5)
    credential = {**CREDENTIAL, "daily_limit": 4}
    campaign = await made(client, smtp_credentials=[credential], sequence_steps=[STEP, FOLLOW_UP], **AT_ONCE)
    await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id, "batch_size": 2})
    one, two = [(await client.post(f"{campaign}/dispatch")).json() for _ in range(2)]
    assert (one["scheduled"], two["scheduled"]) == (2, 2)
    apart = datetime.fromisoformat(two["last_send_at"]) - datetime.fromisoformat(one["first_send_at"])
    assert apart < timedelta(hours=1), "the second batch leaves today too"
    assert problem(await client.post(f"{campaign}/dispatch")) == (422, "daily_limit_reached")
    [shown] = (await client.get(f"{campaign}/smtp_credentials")).json()
    assert (shown["sent_today"], shown["sends"]) == (0, 0), "planned is not sent"


async def test_a_batch_is_dispatched_again_when_somebody_is_pending_in_it(client: httpx.AsyncClient) -> None:
    _, contacts = await people(client, "again", 2)
    campaign = await made(client)
    for contact in contacts:
        body = {"contact_id": contact, "batch_number": 4}
        assert (await client.post(f"{campaign}/enroll_contact", json=body)).status_code == 201
        dispatched = await client.post(f"{campaign}/dispatch", json={"batch_number": 4})
        assert dispatched.json()["scheduled"] == 1
    assert problem(await client.post(f"{campaign}/dispatch", json={"batch_number": 4})) == (
        422,
        "no_pending_enrollments",
    )
    assert problem(await client.post(f"{campaign}/dispatch", json={"batch_number": 5})) == (
        422,
        "no_pending_enrollments",
    )
    assert fields(await client.post(f"{campaign}/dispatch", json={"batch_number": -1})) == ["batch_number"]


async def test_a_completed_campaign_is_active_and_can_be_paused(client: httpx.AsyncClient) -> None:
    campaign = await made(client)
    _, [contact] = await people(client, "complete", 1)
    enrolled = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact})
    await client.post(f"{campaign}/dispatch")
    await client.delete(f"/enrollments/{enrolled.json()['id']}")
    async with asyncio.timeout(120):
        while (shown := (await client.get(campaign)).json())["completed_at"] is None:
            continue
    assert shown["status"] == "active"
    assert (await client.post(f"{campaign}/pause")).json()["status"] == "paused"
    assert (await client.post(f"{campaign}/resume")).json()["status"] == "active"


async def test_a_credential_that_is_not_disabled_can_be_reenabled_too(client: httpx.AsyncClient) -> None:
    campaign = await made(client)
    [credential] = (await client.get(f"{campaign}/smtp_credentials")).json()
    path = f"{campaign}/smtp_credentials/{credential['id']}"
    wanted = {"id": credential["id"], "from_email": "me@example.com", "status": "enabled"}
    for _ in range(2):
        answer = await client.post(f"{path}/reenable")
        assert (answer.status_code, answer.json()) == (200, wanted)


async def test_the_last_credential_may_go_and_nothing_is_dispatched_or_resumed_without_one(
    client: httpx.AsyncClient,
) -> None:
    campaign = await made(client)
    _, contacts = await people(client, "without", 2)
    await client.post(f"{campaign}/enroll_contact", json={"contact_id": contacts[0]})
    await client.post(f"{campaign}/dispatch")
    assert (await client.post(f"{campaign}/pause")).status_code == 200
    [credential] = (await client.get(f"{campaign}/smtp_credentials")).json()
    assert (await client.delete(f"{campaign}/smtp_credentials/{credential['id']}")).status_code == 204
    assert problem(await client.post(f"{campaign}/resume")) == (422, "no_smtp_credentials")
    await client.post(f"{campaign}/enroll_contact", json={"contact_id": contacts[1]})
    assert problem(await client.post(f"{campaign}/dispatch")) == (422, "campaign_paused"), "which comes first"
    added = await client.post(f"{campaign}/smtp_credentials", json={"smtp_credential": CREDENTIAL})
    assert added.status_code == 201
    assert (await client.post(f"{campaign}/resume")).json()["status"] == "active"
    assert (await client.post(f"{campaign}/dispatch")).json()["scheduled"] == 1


async def test_sends_take_a_state_and_a_campaign_and_refuse_the_rest(client: httpx.AsyncClient) -> None:
    campaign = await made(client)
    id_ = campaign.rpartition("/")[2]
    assert (await client.get(f"/sends?state=unknown&campaign_id={id_}")).json() == []
    assert fields(await client.get("/sends?state=lost")) == ["state"]
    assert problem(await client.get(f"/sends?campaign_id={UNKNOWN}")) == (404, "campaign_not_found")
    for send in (UNKNOWN, "nonsense"):
        answer = await client.post(f"/sends/{send}/resolve", json={"outcome": "sent"})
        assert problem(answer) == (404, "send_not_found")


async def test_what_a_campaign_leaves_out_is_filled_in(client: httpx.AsyncClient) -> None:
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    shown: Mapping[str, Any] = (await client.get(campaign)).json()
    wanted = {
        "bounce_min_sends": 20, "send_window": None, "spacing": "batch", "track_opens": True, "track_clicks": False,
        "unsubscribe_header": True, "unsubscribe_footer": False, "on_auto_reply": "ignore",
        "stop_on_suspected_reply": True, "completed_at": None, "emails_sent": 0, "clicked": 0,
    }  # fmt: skip
    assert wanted.items() <= shown.items()
    assert set(shown["skipped"].values()) == {0}
    assert len(shown["skipped"]) == len({"mx", "duplicate", "unsubscribed", "bounced", "suppressed", "enrolled"})
    [step] = shown["sequence_steps"]
    assert (step["body_text"], step["thread"], step["delay_minutes"]) == (None, False, 0)
    extras = {
        "spacing": "credential", "track_opens": False, "track_clicks": True, "unsubscribe_header": False,
        "unsubscribe_footer": True, "on_auto_reply": "resume_on_return", "stop_on_suspected_reply": False,
        "bounce_min_sends": 5,
        "send_window": {"days": ["mon", "sun"], "start": "09:00", "end": "17:30", "timezone": "contact"},
    }  # fmt: skip
    patched = await client.patch(campaign, json={"campaign": extras})
    assert patched.status_code == 200, patched.text
    assert extras.items() <= patched.json().items()
    made = await create(client, **extras)
    assert extras.items() <= (await client.get(f"/campaigns/{made.json()['id']}")).json().items()


async def test_every_failure_of_a_campaign_is_listed_beside_the_others(client: httpx.AsyncClient) -> None:
    steps = [STEP, {**FOLLOW_UP, "subject": ""}, {**FOLLOW_UP, "position": 4}]
    name = "campaign.sequence_steps"
    assert fields(await create(client, sequence_steps=steps)) == [f"{name}[1].subject", name]
    assert fields(await create(client, sequence_steps=[STEP, {**STEP, "position": 1.0}])) == [name]
    assert fields(await create(client, sequence_steps=[STEP, {**FOLLOW_UP, "position": True}, 5])) == [
        f"{name}[1].position",
        f"{name}[2]",
    ]
    assert fields(await create(client, sequence_steps={})) == [name]
    campaign = await made(client, sequence_steps=[{**FOLLOW_UP, "position": 2.0}, STEP])
    assert [step["position"] for step in (await client.get(campaign)).json()["sequence_steps"]] == [1, 2]
    waits = {"min_wait_seconds": 500, "max_wait_seconds": 100}
    wrong = await client.patch(campaign, json={"campaign": {**waits, "bounce_min_sends": 0}})
    assert fields(wrong) == ["campaign.max_wait_seconds", "campaign.bounce_min_sends"]
    for wait in ({"min_wait_seconds": 421}, {"max_wait_seconds": 119}):  # beside what stays
        assert fields(await client.patch(campaign, json={"campaign": wait})) == ["campaign.max_wait_seconds"]
    for wait in ({"min_wait_seconds": 420}, {"max_wait_seconds": 500}, {"min_wait_seconds": 0}):
        assert (await client.patch(campaign, json={"campaign": wait})).status_code == 200


async def test_of_a_campaign_that_is_just_forgotten_nothing_is_kept_again(
    gateway: System, client: httpx.AsyncClient
) -> None:
    campaign = await made(client)
    owner, watching = [await asyncpg.connect(gateway.site.database_url) for _ in range(2)]
    gone = UUID(campaign.rpartition("/")[2])
    words = {name: (await client.get(f"{campaign}/sequence_steps/1")).json()[name] for name in ("subject", "body_html")}
    forgetting = owner.transaction()
    await forgetting.start()
    await vault.forget(cast("Db", owner), [gone])
    asked = [
        asyncio.create_task(client.patch(campaign, json={"campaign": {"name": "Again"}})),
        asyncio.create_task(client.patch(f"{campaign}/sequence_steps/1", json={"sequence_step": words})),
        asyncio.create_task(client.post(f"{campaign}/sequence_steps", json={"sequence_step": words})),
    ]
    try:
        await until("all wait", lambda: watching.fetchval(WAIT, len(asked)))
    finally:
        await forgetting.commit()
    for answer in await asyncio.gather(*asked):
        assert problem(answer) == (404, "campaign_not_found")
    assert await owner.fetch("select name from log.vault where owner = $1", gone) == []
    await owner.close()
    await watching.close()


async def test_of_patches_at_once_the_last_one_wins_and_none_is_lost(client: httpx.AsyncClient) -> None:
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    names = [f"Name {number}" for number in range(5)]
    changes = [{"name": name} for name in names]
    answers = await asyncio.gather(*(client.patch(campaign, json={"campaign": one}) for one in changes))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (await client.get(campaign)).json()["name"] in names


async def test_patches_at_once_of_other_fields_take_nothing_back_from_each_other(client: httpx.AsyncClient) -> None:
    path = f"/campaigns/{(await create(client)).json()['id']}"
    for number in range(3):
        window = {"days": ["mon"], "start": "09:00", "end": "17:00", "timezone": "UTC"}
        changes: Mapping[str, object] = {
            "bounce_min_sends": 30 + number,
            "min_wait_seconds": number,
            "track_clicks": number % 2 == 0,
            "send_window": window if number % 2 else None,
        }
        asked = [client.patch(path, json={"campaign": {name: value}}) for name, value in changes.items()]
        answers = [await decided(client, answer) for answer in await asyncio.gather(*asked)]
        assert [status for status, _ in answers] == [200] * len(answers)
        shown = (await client.get(path)).json()
        assert {name: shown[name] for name in changes} == changes


async def test_an_empty_body_is_an_empty_object_and_needs_no_type(client: httpx.AsyncClient) -> None:
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    for content, headers in ((b"", {}), (b"", JSON), (b"{}", JSON)):
        answer = await client.post(f"{campaign}/dispatch", content=content, headers=headers)
        assert problem(answer) == (422, "no_pending_enrollments"), content
    untyped = await client.patch(campaign, content=b"")
    assert fields(untyped) == ["campaign"]


async def test_no_header_opens_the_api_to_other_origins(client: httpx.AsyncClient) -> None:
    for method in ("GET", "OPTIONS"):
        answer = await client.request(method, "/campaigns", headers={"Origin": "https://elsewhere.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_times_are_utc_with_z_and_ids_are_uuids_of_version_7(client: httpx.AsyncClient) -> None:
    shown = (await client.post("/contacts", json={"contact": {"email": "time@values.example"}})).json()
    assert shown["created_at"].endswith("Z")
    campaign = (await create(client)).json()["id"]
    enrolled = await client.post(f"/campaigns/{campaign}/enroll_contact", json={"contact_id": shown["id"]})
    assert [one[14] for one in (shown["id"], campaign, enrolled.json()["id"])] == ["7", "7", "5"]
    raw = json.dumps({"contact": {"email": "utf8@values.example", "first_name": "Ø"}}, ensure_ascii=False)
    answer = await client.post("/contacts", content=raw.encode(), headers=JSON)
    assert answer.json()["first_name"] == "Ø"
    assert "Ø".encode() in answer.content
