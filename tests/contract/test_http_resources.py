"""Resources by HTTP: changed, listed, paged, another's, and the refusals of the seed's table."""

import asyncio

import httpx

from outrider.events.ids import new_id
from outrider.events.tokens import Keyring, track_open, unsubscribe
from tests.support.http import CREDENTIAL, UNKNOWN, create, fields, problem
from tests.support.system import System


async def test_what_a_get_shows_may_be_sent_back(client: httpx.AsyncClient) -> None:
    created = (await create(client, id="x", status="active", smtp_credentials=[{**CREDENTIAL, "sends": 5}])).json()
    shown = (await client.get(f"/campaigns/{created['id']}")).json()
    assert shown["status"] == "pending"
    del shown["sequence_steps"]  # a PATCH cannot set these: they have routes of their own
    shown["name"] = "Another"
    answer = await client.patch(f"/campaigns/{created['id']}", json={"campaign": shown})
    assert (answer.status_code, answer.json()["name"]) == (200, "Another")
    assert "smtp_password" not in answer.text


async def test_a_patch_is_judged_with_what_stands(client: httpx.AsyncClient) -> None:
    path = f"/campaigns/{(await create(client)).json()['id']}"
    answer = await client.patch(path, json={"campaign": {"max_wait_seconds": 60}})
    assert fields(answer) == ["campaign.max_wait_seconds"]
    answer = await client.patch(path, json={"campaign": {"min_wait_seconds": 0, "max_wait_seconds": 60.0}})
    assert answer.json()["max_wait_seconds"] == 60
    answer = await client.patch(path, json={"campaign": {"bounce_rate_threshold": 10}})
    shown = answer.json()
    assert (shown["bounce_rate_threshold"], shown["max_wait_seconds"]) == (10, 60)


async def test_the_seeds_error_table(client: httpx.AsyncClient) -> None:
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    assert problem(await client.post(f"{campaign}/enroll_contact", json={"contact_id": UNKNOWN})) == (
        404,
        "contact_not_found",
    )
    for import_id in (UNKNOWN, "nonsense"):
        answer = await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
        assert problem(answer) == (404, "contact_import_not_found")
    assert problem(await client.post(f"{campaign}/dispatch")) == (422, "no_pending_enrollments")
    assert problem(await client.post(f"{campaign}/dispatch", json={"batch_number": 7})) == (
        422,
        "no_pending_enrollments",
    )
    assert problem(await client.post(f"{campaign}/pause")) == (422, "campaign_not_active")
    assert problem(await client.post(f"{campaign}/resume")) == (422, "campaign_not_paused")
    assert problem(await client.post(f"{campaign}/smtp_credentials/{UNKNOWN}/reenable")) == (
        404,
        "smtp_credential_not_found",
    )
    people = {"contact_import": {"name": "People", "contacts": [{"email": "ann@example.com"}]}}
    import_id = (await client.post("/contact_imports", json=people)).json()["id"]
    contact = (await client.get(f"/contact_imports/{import_id}/contacts")).json()[0]["id"]
    assert (await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact})).status_code == 201
    answer = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact})
    assert problem(answer) == (422, "contact_already_enrolled")


async def test_an_import_without_anybody_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "x", "contacts": []}})
    assert problem(answer) == (422, "no_contacts_provided")


async def test_rows_that_cannot_be_taken_do_not_sink_the_rest(client: httpx.AsyncClient) -> None:
    rows = [
        {"email": " Bob@BÜCHER.example ", "first_name": "Bob"},
        {"email": "bob@bücher.example"},
        {"email": "nobody"},
        {"email": "c@example.com", "timezone": "Mars/Olympus"},
    ]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "Mixed", "contacts": rows}})
    shown = answer.json()
    assert answer.status_code == 201
    assert [shown[name] for name in ("record_count", "contact_count", "skipped", "rejected")] == [1, 1, 1, 2]
    rejects = (await client.get(f"/contact_imports/{shown['id']}/rejects")).json()
    assert [(row["line"], row["email"]) for row in rejects] == [(3, "nobody"), (4, "c@example.com")]
    found = (await client.get("/contacts", params={"email": "BOB@bücher.EXAMPLE"})).json()
    assert [contact["email"] for contact in found] == ["Bob@xn--bcher-kva.example"]
    await client.delete(f"/contacts/{found[0]['id']}")
    left = (await client.get(f"/contact_imports/{shown['id']}")).json()
    assert (left["record_count"], left["contact_count"]) == (1, 0), "who it added, and who of these is still there"


async def test_usage_shows_this_month_and_the_twelve_before(client: httpx.AsyncClient) -> None:
    shown = (await client.get("/usage")).json()
    assert shown.keys() == {"monthly_limit", "current", "history"}
    periods = [shown["current"], *shown["history"]]
    assert len(periods) == 13
    assert all(period.keys() == {"period_start", "period_end", "sends_count"} for period in periods)
    assert [one["period_start"] for one in periods[:-1]] == [one["period_end"] for one in periods[1:]]
    assert {period["period_start"][8:] for period in periods} == {"01T00:00:00Z"}
    account = (await client.get("/account")).json()
    assert account["current_period"] == {
        "start": shown["current"]["period_start"],
        "end": shown["current"]["period_end"],
        "sends_count": 0,
    }


async def test_the_last_key_cannot_be_revoked(gateway: System) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as operator:
        headers = {"Authorization": f"Bearer {gateway.operator_token}"}
        account = (await operator.post("/accounts", json={"account": {"name": "Two"}}, headers=headers)).json()
        operator.headers["Authorization"] = f"Bearer {account['api_key']['plaintext']}"
        first = account["api_key"]["id"]
        assert problem(await operator.delete(f"/api_keys/{first}")) == (422, "cannot_revoke_last_key")
        second = (await operator.post("/api_keys", json={"label": "another"})).json()
        assert (await operator.delete(f"/api_keys/{first}")).status_code == 204
        assert problem(await operator.get("/account")) == (401, "unauthorized")
        operator.headers["Authorization"] = f"Bearer {second['plaintext']}"
        assert [key["label"] for key in (await operator.get("/api_keys")).json()] == ["another"]


async def test_anothers_resource_is_answered_like_an_unknown_one(gateway: System, client: httpx.AsyncClient) -> None:
    campaign = (await create(client)).json()["id"]
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as other:
        headers = {"Authorization": f"Bearer {gateway.operator_token}"}
        account = (await other.post("/accounts", json={"account": {"name": "Other"}}, headers=headers)).json()
        other.headers["Authorization"] = f"Bearer {account['api_key']['plaintext']}"
        for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/dispatch"), ("GET", "/skips")):
            theirs = await other.request(method, f"/campaigns/{campaign}{rest}")
            unknown = await other.request(method, f"/campaigns/{UNKNOWN}{rest}")
            assert problem(theirs) == (404, "campaign_not_found")
            assert theirs.content == unknown.content
    assert (await client.get(f"/campaigns/{campaign}")).status_code == 200


async def test_a_list_is_paged_newest_first(client: httpx.AsyncClient) -> None:
    created = [(await create(client)).json()["id"] for _ in range(3)]
    first = await client.get("/campaigns?limit=2")
    assert [row["id"] for row in first.json()] == [created[2], created[1]]
    following = await client.get(first.links["next"]["url"])
    assert following.json()[0]["id"] == created[0]
    assert "link" not in (await client.get("/campaigns?limit=5000")).headers


async def test_forged_tokens_are_unknown_and_a_genuine_one_of_nothing_too(
    gateway: System, client: httpx.AsyncClient
) -> None:
    forged, real = Keyring(bytes(32)), Keyring.parse(gateway.site.keys.hash_key)
    for keys in (forged, real):
        for path in (f"/t/o/{track_open(keys, new_id())}.gif", f"/u/{unsubscribe(keys, new_id())}"):
            assert problem(await client.get(path)) == (404, "not_found")
        answer = await client.post(f"/u/{unsubscribe(keys, new_id())}", data={"List-Unsubscribe": "One-Click"})
        assert problem(answer) == (404, "not_found")
    assert problem(await client.get("/t/o/x.gif")) == (404, "not_found")


async def test_an_effect_can_be_read_at_once(client: httpx.AsyncClient) -> None:
    answer = await create(client)
    position = answer.headers["outrider-position"]
    shown = await client.get(f"/campaigns/{answer.json()['id']}", headers={"Outrider-Min-Position": position})
    assert shown.status_code == 200
    assert "outrider-read-behind" not in shown.headers
    behind = await client.get("/campaigns", headers={"Outrider-Min-Position": str(int(position) + 10**6)})
    assert int(behind.headers["outrider-read-behind"]) > 0


async def test_a_verdict_that_is_late_is_told_by_the_command(gateway: System, client: httpx.AsyncClient) -> None:
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    gateway.kill("dispatcher")
    try:
        answer = await client.post(f"{campaign}/pause")
        assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        assert (await client.get(answer.headers["location"])).json()["status"] == "accepted"
    finally:
        gateway.revive("dispatcher")
    path = f"/commands/{answer.json()['command_id']}"
    while (told := (await client.get(path)).json())["status"] == "accepted":  # noqa: ASYNC110  # another process
        await asyncio.sleep(0.05)
    assert (told["status"], told["http_status"]) == ("rejected", 422)
    assert told["body"]["code"] == "campaign_not_active"


async def test_a_dispatch_without_a_number_takes_the_lowest_batch_that_is_pending(client: httpx.AsyncClient) -> None:
    rows = [{"email": f"n{number}@batches.example"} for number in range(2)]
    people = (await client.post("/contact_imports", json={"contact_import": {"name": "Two", "contacts": rows}})).json()
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    enrolled = await client.post(f"{campaign}/enroll", json={"contact_import_id": people["id"], "batch_size": 1})
    assert enrolled.json()["batches"] == 2
    for batch_number in (1, 2):
        assert (await client.post(f"{campaign}/dispatch")).json()["batch_number"] == batch_number
    assert problem(await client.post(f"{campaign}/dispatch")) == (422, "no_pending_enrollments")
    scheduled = (await client.get(f"{campaign}/enrollments?status=scheduled&batch_number=2")).json()
    assert [one["batch_number"] for one in scheduled] == [2]
    assert scheduled[0]["next_send_at"].endswith("Z")


async def test_a_caller_who_promises_more_than_there_is_blocks_nobody(client: httpx.AsyncClient) -> None:
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    answer = await client.post(f"{campaign}/pause", headers={"Outrider-Min-Position": "9" * 18})
    assert problem(answer) == (422, "campaign_not_active")
