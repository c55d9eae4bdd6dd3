"""SMTP credentials of a campaign over HTTP: listed, added, changed, removed; passwords go in and never come out."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from outrider.events.vault import Opener
from tests.support.http import CREDENTIAL, UNKNOWN, create, fields, problem
from tests.support.system import System

IMAP: Final = {
    "imap_host": "imap.example.com",
    "imap_port": 993,
    "imap_username": "me@example.com",
    "imap_password": "imap-word",  # pragma: allowlist secret
}


async def made(client: httpx.AsyncClient, **changed: object) -> tuple[str, str]:
    """The path of a campaign's credentials, and of its only one."""
    created = (await create(client, smtp_credentials=[{**CREDENTIAL, **changed}])).json()
    path = f"/campaigns/{created['id']}/smtp_credentials"
    return path, f"{path}/{(await client.get(path)).json()[0]['id']}"


async def patched(client: httpx.AsyncClient, path: str, **changes: object) -> httpx.Response:
    return await client.patch(path, json={"smtp_credential": changes})


async def secrets_of(gateway: System, path: str) -> Mapping[str, Any] | None:
    """What the sender would open, or None where nothing is kept."""
    connection = await asyncpg.connect(gateway.site.database_url)
    try:
        credential = UUID(path.rpartition("/")[2])
        sealed: str | None = await connection.fetchval(
            "select value::text from log.vault where owner = $1 and name = 'secrets'", credential
        )
    finally:
        await connection.close()
    if sealed is None:
        return None
    return Opener(gateway.site.keys.seal_private_key).open(credential, json.loads(sealed))


async def test_a_credential_is_added_and_shown_as_in_the_campaign(client: httpx.AsyncClient) -> None:
    path, _ = await made(client)
    answer = await client.post(path, json={"smtp_credential": {**CREDENTIAL, **IMAP, "label": "Second"}})
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert (shown["label"], shown["imap_host"], shown["remaining_today"]) == ("Second", "imap.example.com", 200)
    assert "password" not in answer.text
    assert (await client.get(f"{path}/{shown['id']}")).json() == shown
    listed = (await client.get(path)).json()
    assert listed[0] == shown, "newest first"
    campaign = (await client.get(path.removesuffix("/smtp_credentials"))).json()
    assert campaign["credentials"] == listed[::-1]
    first = await client.get(f"{path}?limit=1")
    assert first.json() == listed[:1]
    assert (await client.get(first.links["next"]["url"])).json() == listed[1:]


async def test_changes_at_once_take_nothing_back_from_each_other(gateway: System, client: httpx.AsyncClient) -> None:
    _, one = await made(client, **IMAP)
    for number in range(5):
        names = ("label", "from_name", "smtp_password", "imap_password")
        changes = {**{name: f"{name} {number}" for name in names}, "daily_limit": 10 + number}
        answers = await asyncio.gather(*(patched(client, one, **{name: value}) for name, value in changes.items()))
        assert [answer.status_code for answer in answers] == [200] * len(answers)
        shown = {**(await client.get(one)).json(), **(await secrets_of(gateway, one) or {})}
        assert {name: shown[name] for name in changes} == changes


async def test_a_patch_changes_what_it_names(gateway: System, client: httpx.AsyncClient) -> None:
    path, one = await made(client, **IMAP)
    before = (await client.get(one)).json()
    changed = (await patched(client, one, daily_limit=5, label="Slow")).json()
    assert changed == {**before, "daily_limit": 5, "label": "Slow", "remaining_today": 5}
    assert (await patched(client, one, **changed)).json() == changed, "what a GET shows may be sent back"
    assert await secrets_of(gateway, one) == {"smtp_password": "secret-word", "imap_password": "imap-word"}
    assert (await patched(client, one, imap_password="other", smtp_port=465)).json() == {
        **changed,
        "smtp_port": 465,
        "smtp_security": "tls",
    }
    assert await secrets_of(gateway, one) == {"smtp_password": "secret-word", "imap_password": "other"}
    gone = await patched(client, one, **dict.fromkeys(IMAP))
    assert (gone.status_code, gone.json()["imap_host"], gone.json()["imap_security"]) == (200, None, None)
    assert await secrets_of(gateway, one) == {"smtp_password": "secret-word"}, "the other one is kept no more"
    answer = await patched(client, one, **IMAP)
    assert (answer.status_code, answer.json()["imap_security"]) == (200, "tls")
    assert (await client.get(path)).json() == [answer.json()]


async def test_a_password_goes_to_no_other_server_than_it_was_given_for(client: httpx.AsyncClient) -> None:
    _, one = await made(client, **IMAP)
    assert fields(await patched(client, one, smtp_host="elsewhere.example.com")) == ["smtp_credential.smtp_password"]
    assert fields(await patched(client, one, smtp_username="you@example.com")) == ["smtp_credential.smtp_password"]
    assert fields(await patched(client, one, imap_host="elsewhere.example.com")) == ["smtp_credential.imap_password"]
    moved = await patched(client, one, smtp_host="elsewhere.example.com", smtp_password="given again")
    assert (moved.status_code, moved.json()["smtp_host"]) == (200, "elsewhere.example.com")


OAUTH2: Final = {
    "provider": "google",
    "client_id": "client.apps.example",
    "client_secret": "client-word",  # pragma: allowlist secret
    "refresh_token": "refresh-word",
}
MAILBOX: Final = {name: value for name, value in IMAP.items() if name != "imap_password"}


async def test_oauth2_stands_in_the_place_of_passwords(gateway: System, client: httpx.AsyncClient) -> None:
    _, one = await made(client, smtp_password=None, oauth2=OAUTH2, **MAILBOX)
    shown = (await client.get(one)).json()
    assert shown["oauth2"] == {"provider": "google", "client_id": "client.apps.example"}
    assert (shown["imap_host"], shown["imap_security"]) == ("imap.example.com", "tls")
    secrets = {"oauth2_client_secret": "client-word", "oauth2_refresh_token": "refresh-word"}
    assert await secrets_of(gateway, one) == secrets
    assert (await patched(client, one, **{**shown, "label": "Other"})).json() == {**shown, "label": "Other"}
    assert await secrets_of(gateway, one) == secrets
    renewed = await patched(client, one, oauth2={"refresh_token": "another"})
    assert renewed.json()["oauth2"] == shown["oauth2"]
    assert await secrets_of(gateway, one) == {**secrets, "oauth2_refresh_token": "another"}
    answer = await patched(client, one, oauth2=None, smtp_password="word", imap_password="imap-word")
    assert (answer.status_code, answer.json()["oauth2"]) == (200, None)
    assert await secrets_of(gateway, one) == {"smtp_password": "word", "imap_password": "imap-word"}
    back = await patched(client, one, oauth2=OAUTH2, smtp_password=None, imap_password=None)
    assert back.json()["oauth2"] == shown["oauth2"]
    assert await secrets_of(gateway, one) == secrets


async def test_a_consent_goes_to_no_other_server_than_it_was_given_for(client: httpx.AsyncClient) -> None:
    _, one = await made(client, smtp_password=None, oauth2=OAUTH2, **MAILBOX)
    token, secret = (
        "smtp_credential.oauth2.refresh_token",
        "smtp_credential.oauth2.client_secret",
    )  # pragma: allowlist secret
    for moved in ("smtp_host", "imap_host"):
        assert fields(await patched(client, one, **{moved: "elsewhere.example.com"})) == [token]
    for moved in ("smtp_username", "imap_username"):
        assert fields(await patched(client, one, **{moved: "you@example.com"})) == [token]
    for grant in ({"provider": "https://tokens.example.com/"}, {"client_id": "other"}):
        assert fields(await patched(client, one, oauth2=grant)) == [token]
    elsewhere = {"provider": "https://tokens.example.com/", "refresh_token": "given again"}
    changed = await patched(client, one, oauth2=elsewhere)
    assert changed.json()["oauth2"]["provider"] == "https://tokens.example.com/"
    assert secret not in changed.text


async def test_what_is_wrong_with_oauth2_is_named(client: httpx.AsyncClient) -> None:
    path, _ = await made(client)
    base = {**CREDENTIAL, "smtp_password": None}

    async def wrong(**given: object) -> list[str]:
        found = fields(await client.post(path, json={"smtp_credential": {**base, **given}}))
        return [one.removeprefix("smtp_credential.") for one in found]

    assert await wrong(oauth2=OAUTH2, smtp_password="both") == ["smtp_password"]
    assert await wrong(oauth2=OAUTH2, **IMAP) == ["imap_password"]
    assert await wrong(oauth2=OAUTH2, imap_host="imap.example.com") == ["imap_port", "imap_username"]
    assert await wrong(oauth2={}) == [f"oauth2.{name}" for name in ("provider", "client_id", "refresh_token")]
    assert await wrong(oauth2={**OAUTH2, "scope": "x"}) == ["oauth2.scope"]
    for provider in (
        "yahoo",
        "http://tokens.example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://u:p@a.b/",
    ):
        assert await wrong(oauth2={**OAUTH2, "provider": provider}) == ["oauth2.provider"]
    assert await wrong(oauth2={**OAUTH2, "refresh_token": "a\r\nb"}) == ["oauth2.refresh_token"]
    assert await wrong(oauth2=[1]) == ["oauth2"]
    public = {name: value for name, value in OAUTH2.items() if name != "client_secret"}
    assert (await client.post(path, json={"smtp_credential": {**base, "oauth2": public}})).status_code == 201


async def test_a_key_to_sign_with_is_sealed_and_a_bad_one_refused(gateway: System, client: httpx.AsyncClient) -> None:
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {"domain": "Example.com.", "selector": "s1", "private_key": private.decode()}
    _, one = await made(client, dkim=key)
    shown = (await client.get(one)).json()
    assert shown["dkim"] == {"domain": "example.com", "selector": "s1"}
    assert (await patched(client, one, **{**shown, "label": "Other"})).json() == {**shown, "label": "Other"}
    secrets = await secrets_of(gateway, one)
    assert secrets is not None
    assert secrets["dkim_private_key"] == private.decode()
    assert fields(await patched(client, one, dkim={**key, "private_key": "x"})) == ["smtp_credential.dkim.private_key"]
    assert fields(await patched(client, one, dkim={**key, "domain": "a b"})) == ["smtp_credential.dkim.domain"]
    gone = await patched(client, one, dkim=None)
    assert (gone.status_code, gone.json()["dkim"]) == (200, None)
    assert await secrets_of(gateway, one) == {"smtp_password": "secret-word"}  # pragma: allowlist secret


async def test_what_is_wrong_with_a_credential_is_named(client: httpx.AsyncClient) -> None:
    path, one = await made(client)
    assert fields(await client.post(path, json={"smtp_credential": {"smtp_host": "x y", "colour": "red"}})) == [
        "smtp_credential.smtp_host",
        "smtp_credential.smtp_username",
        "smtp_credential.smtp_password",
        "smtp_credential.daily_limit",
        "smtp_credential.colour",
    ]
    assert fields(await client.post(path, json={})) == ["smtp_credential"]
    assert fields(await patched(client, one, daily_limit=0, smtp_password=None)) == [
        "smtp_credential.smtp_password",
        "smtp_credential.daily_limit",
    ]
    nothing: list[object] = [[], "x", None]
    for wrong in nothing:
        assert fields(await client.patch(one, json={"smtp_credential": wrong})) == ["smtp_credential"]
    assert fields(await patched(client, one, smtp_host=["a"])) == [
        "smtp_credential.smtp_host",
        "smtp_credential.smtp_password",
    ]
    assert fields(await patched(client, one, imap_host="imap.example.com")) == [
        f"smtp_credential.imap_{name}" for name in ("port", "username", "password")
    ]
    escaped = await client.patch(
        one, content='{"smtp_credential": {"label": "\\u00dcber"}}', headers={"Content-Type": "application/json"}
    )
    assert escaped.json()["label"] == "Über"


async def test_a_removed_credential_is_gone_with_its_secrets(gateway: System, client: httpx.AsyncClient) -> None:
    path, one = await made(client)
    assert await secrets_of(gateway, one) is not None
    assert (await client.delete(one)).status_code == 204
    assert await secrets_of(gateway, one) is None
    assert (await client.get(path)).json() == []
    for answer in (await client.get(one), await client.delete(one), await patched(client, one, daily_limit=1)):
        assert problem(answer) == (404, "smtp_credential_not_found")
    campaign = path.removesuffix("/smtp_credentials")
    assert problem(await client.post(f"{campaign}/dispatch")) == (422, "no_smtp_credentials")


async def test_a_deleted_campaign_keeps_no_secret(gateway: System, client: httpx.AsyncClient) -> None:
    path, one = await made(client)
    assert (await client.delete(path.removesuffix("/smtp_credentials"))).status_code == 204
    assert await secrets_of(gateway, one) is None
    assert problem(await client.get(path)) == (404, "campaign_not_found")


async def test_anothers_credential_is_unknown(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    path, one = await made(client)
    body = {"smtp_credential": {"daily_limit": 1}}
    for method in ("GET", "PATCH", "DELETE"):
        answer = await stranger.request(method, one, json=body if method == "PATCH" else None)
        assert problem(answer) == (404, "campaign_not_found")
    assert problem(await stranger.post(path, json={"smtp_credential": CREDENTIAL})) == (404, "campaign_not_found")
    theirs, _ = await made(stranger)
    for unknown in (UNKNOWN, "nonsense", one.rpartition("/")[2]):
        answer = await stranger.patch(f"{theirs}/{unknown}", json=body)
        assert problem(answer) == (404, "smtp_credential_not_found")
    assert (await client.get(one)).json()["daily_limit"] == 200


async def test_a_verification_that_nobody_carries_out_says_so(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    path, one = await made(client, **IMAP)
    answer = await client.post(f"{one}/verify")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["smtp"], told["imap"]) == ("error", "error")
    nobody = "The server was not asked: no service that can is answering. Try again."
    assert told["smtp_error"] == told["imap_error"] == nobody
    assert problem(await client.post(f"{path}/{UNKNOWN}/verify")) == (404, "smtp_credential_not_found")
    assert problem(await stranger.post(f"{one}/verify")) == (404, "campaign_not_found")
