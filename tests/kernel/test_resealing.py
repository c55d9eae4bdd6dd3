"""Sealing for another key: nothing is lost, whoever writes meanwhile, and the former key opens nothing any more."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from outrider.events import vault
from outrider.events.message import Json
from outrider.events.vault import Entry, Opener, Sealer, Unsealable, new_key_pair
from outrider.local.errors import Failed
from outrider.local.home import Home
from outrider.local.operating import Place
from outrider.local.reseal import reseal
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, Kernel, kernel

(OLD_PUBLIC, OLD), (NEW_PUBLIC, NEW) = new_key_pair(), new_key_pair()
BOTH = f"{NEW},{OLD}"


def nothing_told(what: str, done: int, total: int) -> None:
    """Nobody looks."""


async def resealed(
    urls: Mapping[str, str], tmp_path: Path, mail: str = BOTH, webhooks: str = ""
) -> Mapping[str, Mapping[str, object]]:
    """What the command answers, by what was sealed anew."""
    place = Place(Home(tmp_path), urls["owner"], "", "")
    given = {"OUTRIDER_SEAL_PRIVATE_KEY": mail, "OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY": webhooks}
    return {str(row["what"]): row for row in await reseal(place, given, nothing_told)}


async def kept(k: Kernel, owner: UUID, name: str) -> Json:
    found = await vault.get(k.pool, ACCOUNT, owner, name)
    assert found is not None
    return found


async def put(k: Kernel, owner: UUID, name: str, value: Json) -> None:
    await vault.put(k.pool, [Entry(owner, name, ACCOUNT, "credential", value)])


def test_each_of_several_keys_opens_and_the_first_one_seals() -> None:
    owner = uuid4()
    sealed = Sealer(OLD_PUBLIC).seal(owner, {"smtp_password": "one", "imap_password": "two"})
    opener = Opener(f"{NEW}, {OLD}")
    assert opener.open(owner, sealed) == {"smtp_password": "one", "imap_password": "two"}
    assert Opener(NEW).open(owner, opener.seal(owner, {"it": 1})) == {"it": 1}
    again = opener.resealed(owner, sealed)
    assert Opener(NEW).open(owner, again) == opener.open(owner, sealed)
    assert opener.resealed(owner, again) == again, "what is sealed for the newest stays as it is"
    with pytest.raises(Unsealable):
        Opener(OLD).open(owner, again)
    with pytest.raises(Unsealable):
        opener.resealed(uuid4(), sealed)
    with pytest.raises(ValueError, match="key"):
        Opener(f"{NEW},")


async def test_a_former_key_is_needed_no_more_and_a_second_run_changes_nothing(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    one, two, hook, lost = (uuid4() for _ in range(4))
    old = Sealer(OLD_PUBLIC)
    async with kernel(urls, "api") as k:
        now = k.clock.real()
        await put(k, one, "secrets", old.seal(one, {"smtp_password": "1"}))
        await put(k, one, "oauth2_rotated", old.seal(one, {"oauth2_rotated": {"of": "a", "now": "b"}}))
        await put(k, two, "secrets", Sealer(NEW_PUBLIC).seal(two, {"smtp_password": "2"}))
        await put(k, lost, "secrets", Sealer(new_key_pair()[0]).seal(lost, {"smtp_password": "?"}))
        former = [
            {**old.seal(hook, {"secret": f"whsec_{hours}"}), "until": (now + timedelta(hours=hours)).isoformat()}
            for hours in (3, -1)
        ]
        newest = old.seal(hook, {"secret": "whsec_now"})  # pragma: allowlist secret
        await put(k, hook, "endpoint", {"url": "u", **newest, "former": former})
        await put(k, one, "server", {"smtp_host": "untouched"})
        found = await resealed(urls, tmp_path, webhooks=BOTH)
        mail, webhooks = found["mail accounts"], found["webhooks"]
        assert (mail["sealed_anew"], mail["newest_already"]) == (2, 1)
        assert (mail["unopened"], mail["owners"]) == (1, str(lost))
        assert (webhooks["sealed_anew"], webhooks["unopened"]) == (1, 0)
        opener = Opener(NEW)
        assert opener.open(one, await kept(k, one, "secrets")) == {"smtp_password": "1"}
        assert opener.open(one, await kept(k, one, "oauth2_rotated")) == {"oauth2_rotated": {"of": "a", "now": "b"}}
        assert opener.open(two, await kept(k, two, "secrets")) == {"smtp_password": "2"}
        endpoint = await kept(k, hook, "endpoint")
        assert (endpoint["url"], opener.open(hook, endpoint)["secret"]) == ("u", "whsec_now")
        assert [opener.open(hook, one)["secret"] for one in endpoint["former"]] == ["whsec_3"], "and not who has ended"
        assert await kept(k, one, "server") == {"smtp_host": "untouched"}
        assert "whsec" not in str(found)
        before = await k.pool.fetch("select owner, name, value, xmin::text from log.vault order by 1, 2")
        again = await resealed(urls, tmp_path, webhooks=NEW)
        assert {row["sealed_anew"] for row in again.values()} == {0}
        assert await k.pool.fetch("select owner, name, value, xmin::text from log.vault order by 1, 2") == before


async def test_what_it_is_given_no_key_for_it_leaves_alone(urls: Mapping[str, str], tmp_path: Path) -> None:
    hook = uuid4()
    endpoint = {"url": "u", **Sealer(OLD_PUBLIC).seal(hook, {"secret": "s"})}
    async with kernel(urls, "api") as k:
        await put(k, hook, "endpoint", endpoint)
        assert list(await resealed(urls, tmp_path)) == ["mail accounts"]
        assert await kept(k, hook, "endpoint") == endpoint
        (tmp_path / "keys.json").write_text(json.dumps({"webhook_seal_private_key": OLD}))
        both = await resealed(urls, tmp_path)
        assert both["webhooks"]["newest_already"] == 1, "the runner's own keys, where the environment has none"
        (tmp_path / "keys.json").unlink()
    with pytest.raises(Failed, match="no key is given"):
        await resealed(urls, tmp_path, mail="")
    with pytest.raises(Failed, match="OUTRIDER_SEAL_PRIVATE_KEY is no list of keys") as failed:
        await resealed(urls, tmp_path, mail=f"{NEW},{OLD[:-3]}")
    assert OLD[:9] not in str(failed.value)


async def test_a_password_that_is_changed_meanwhile_is_not_undone(urls: Mapping[str, str], tmp_path: Path) -> None:
    owner = uuid4()
    old = Sealer(OLD_PUBLIC)
    async with kernel(urls, "api") as k:
        await put(k, owner, "secrets", old.seal(owner, {"smtp_password": "former"}))
        async with k.pool.acquire() as db, db.transaction():
            changed = old.seal(owner, {"smtp_password": "newer"})
            await db.execute("update log.vault set value = $2 where owner = $1", owner, changed)
            resealing = asyncio.create_task(resealed(urls, tmp_path))  # it reads the former, and wants to replace it
            await until("it waits for the row", lambda: waits(k))
        found = await resealing
        assert found["mail accounts"]["sealed_anew"] == 1, "the newer one, in its next pass"
        assert Opener(NEW).open(owner, await kept(k, owner, "secrets")) == {"smtp_password": "newer"}


async def waits(k: Kernel) -> bool:
    """Whether somebody waits for what another transaction does."""
    query = "select exists (select from pg_locks where not granted and locktype = 'transactionid')"
    return bool(await k.work.fetchval(query))
