"""The vault: found by owner, within the account, until it is forgotten; secrets opened by one service for one owner."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import pytest

from outrider.events import vault
from outrider.events.database import Forbidden
from outrider.events.vault import Entry, Opener, Sealer, Unsealable, new_key_pair, without_secrets
from tests.support.kernel import ACCOUNT, kernel


async def test_what_is_put_is_got_and_replaced(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        ada, ben = uuid4(), uuid4()
        await vault.put(k.pool, [])
        await vault.put(
            k.pool,
            [
                Entry(ada, "person", ACCOUNT, "contact", {"email": "ada@example.org", "custom": {"é": ["1", None]}}),
                Entry(ben, "person", ACCOUNT, "contact", {"email": "ben@example.org"}),
                Entry(ben, "note", ACCOUNT, "contact", {"text": "x"}),
            ],
        )
        await vault.put(
            k.pool, [Entry(ben, "person", ACCOUNT, "contact", {"email": f"ben@{host}"}) for host in ("a.org", "b.org")]
        )
        assert await vault.get(k.pool, ACCOUNT, ada, "person") == {
            "email": "ada@example.org",
            "custom": {"é": ["1", None]},
        }
        assert await vault.get_many(k.pool, ACCOUNT, [ben, uuid4()], "person") == {ben: {"email": "ben@b.org"}}
        assert await vault.get(k.pool, ACCOUNT, ada, "note") is None


async def test_another_account_sees_nothing(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        ada, other = uuid4(), uuid4()
        await vault.put(k.pool, [Entry(ada, "person", ACCOUNT, "contact", {"email": "ada@example.org"})])
        assert await vault.get(k.pool, other, ada, "person") is None
        assert await vault.get_many(k.pool, other, [ada], "person") == {}


async def test_another_account_replaces_nothing(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        ada = uuid4()
        await vault.put(k.pool, [Entry(ada, "person", ACCOUNT, "contact", {"n": 1})])
        with pytest.raises(LookupError):
            await vault.put(k.pool, [Entry(ada, "person", uuid4(), "contact", {"n": 2})])
        assert await vault.get(k.pool, ACCOUNT, ada, "person") == {"n": 1}


async def test_of_an_owner_that_is_forgotten_nothing_is_kept(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        ada, ben = uuid4(), uuid4()
        for owner in (ada, ben):
            await vault.put(k.pool, [Entry(owner, name, ACCOUNT, "contact", {}) for name in ("person", "snippet")])
        assert await vault.forget(k.pool, [ada, uuid4()]) == 2
        assert await vault.get(k.pool, ACCOUNT, ada, "person") is None
        assert await vault.get(k.pool, ACCOUNT, ben, "person") == {}


async def test_what_expired_is_swept(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        owner, now = uuid4(), k.clock.real()
        await vault.put(
            k.pool,
            [
                Entry(owner, "old", ACCOUNT, "import", {}, now - timedelta(seconds=1)),
                Entry(owner, "young", ACCOUNT, "import", {}, now + timedelta(hours=1)),
                Entry(owner, "for good", ACCOUNT, "import", {}),
            ],
        )
        assert await vault.sweep(k.pool, now) == 1
        assert await vault.sweep(k.pool, now) == 0
        assert [await vault.get(k.pool, ACCOUNT, owner, name) for name in ("old", "young", "for good")] == [
            None,
            {},
            {},
        ]


@pytest.mark.parametrize("member", ["sender", "reply_watcher"])
async def test_who_only_reads_the_vault_forgets_nothing(urls: Mapping[str, str], member: str) -> None:
    async with kernel(urls, member) as k:
        await vault.put(k.pool, [Entry(ACCOUNT, "inbound-1", ACCOUNT, "contact", {"subject": "Re"})])
        assert await vault.get(k.pool, ACCOUNT, ACCOUNT, "inbound-1") == {"subject": "Re"}
        with pytest.raises(Forbidden):
            await vault.forget(k.pool, [ACCOUNT])


async def test_a_secret_is_opened_with_the_private_key_for_its_owner(urls: Mapping[str, str]) -> None:
    public, private = new_key_pair()
    credential = uuid4()
    sealed = Sealer(public).seal(credential, {"smtp_password": "pä55"})
    async with kernel(urls) as k:
        await vault.put(k.pool, [Entry(credential, "secrets", ACCOUNT, "credential", sealed)])
        kept = await vault.get(k.pool, ACCOUNT, credential, "secrets")
    assert kept is not None
    assert "pä55" not in str(kept)
    assert Opener(private).open(credential, kept) == {"smtp_password": "pä55"}


def test_a_secret_is_not_opened_for_another_owner_with_another_key_or_after_a_change() -> None:
    public, private = new_key_pair()
    credential = uuid4()
    sealed = Sealer(public).seal(credential, {"smtp_password": "pa55"})
    with pytest.raises(Unsealable):
        Opener(private).open(uuid4(), sealed)
    with pytest.raises(Unsealable):
        Opener(new_key_pair()[1]).open(credential, sealed)
    with pytest.raises(Unsealable):
        Opener(public).open(credential, sealed)  # who seals cannot open
    cut = {name: text[:-8] for name, text in sealed["sealed"].items()}
    for broken in ({}, {"sealed": "###"}, {"sealed": cut}, {"sealed": 5}, {"sealed": {"smtp_password": 5}}):
        with pytest.raises(Unsealable):
            Opener(private).open(credential, broken)


def test_a_key_that_is_none_is_said_at_once() -> None:
    for wrong in ("", "short", "x" * 44):
        with pytest.raises(ValueError, match="key"):
            Sealer(wrong)
        with pytest.raises(ValueError, match="key"):
            Opener(wrong)


def test_what_a_server_echoes_is_told_without_the_secrets() -> None:
    user, secret = "ann@x.example", "pa55 word"  # pragma: allowlist secret
    plain = base64.b64encode(f"\0{user}\0{secret}".encode()).decode()
    coded = base64.b64encode(secret.encode()).decode()
    said = f"500 what is {secret}, AUTH PLAIN {plain} or {coded} of {user}?"
    assert without_secrets(said, user, secret) == f"500 what is ***, AUTH PLAIN *** or *** of {user}?"
    assert without_secrets("535 no", user, "") == "535 no"
