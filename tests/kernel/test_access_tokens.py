"""Access tokens: kept until shortly before their end, asked for once, never with a refresh token that is used up."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from outrider.events import access_tokens, vault
from outrider.events.access_tokens import REFRESH_TOKEN, AccessTokens, GrantRefused, Token, TokenDelayed
from outrider.events.database import Pool, connect
from outrider.events.settings import Settings
from outrider.events.vault import Entry, Opener, Sealer, new_key_pair
from tests.support.kernel import ACCOUNT
from tests.support.token_server import TokenServer, token_server

PUBLIC, PRIVATE = new_key_pair()


@dataclass
class Desk:
    """The vault with one credential, and a token server."""

    owner: Pool
    pools: Mapping[str, Pool]
    server: TokenServer
    credential: UUID

    def process(self, member: str = "sender") -> AccessTokens:
        """The tokens of one process of that service."""
        settings = Settings("", "", "", "", "", seal_private_key=PRIVATE, allow_insecure_hosts=True)
        return AccessTokens(settings, self.pools[member], Opener(PRIVATE))

    async def put(self, refresh_token: str) -> None:
        """As the gateway seals it."""
        about = {"oauth2": {"provider": self.server.url, "client_id": "c"}}
        sealed = Sealer(PUBLIC).seal(self.credential, {REFRESH_TOKEN: refresh_token})
        entries = [
            Entry(self.credential, "server", ACCOUNT, "credential", about),
            Entry(self.credential, "secrets", ACCOUNT, "credential", sealed),
        ]
        await vault.put(self.owner, entries)


@asynccontextmanager
async def desk(urls: Mapping[str, str]) -> AsyncGenerator[Desk]:
    """With the refresh token `refresh-0`."""
    names = ("sender", "reply_watcher")
    pools = {name: await connect(urls[f"outrider_{name}"], "log", size=4) for name in names}
    owner = await connect(urls["outrider_api"], "log", size=2)
    try:
        async with token_server() as server:
            made = Desk(owner, pools, server, uuid4())
            await made.put("refresh-0")
            yield made
    finally:
        for pool in (owner, *pools.values()):
            pool.terminate()


async def test_a_token_is_asked_for_once_however_many_want_it(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        tokens = d.process()
        d.server.delay_seconds = 0.1
        found = await asyncio.gather(*(tokens.of(ACCOUNT, d.credential) for _ in range(20)))
        assert {one.text for one in found} == {"token-1"}
        assert await tokens.of(ACCOUNT, d.credential) == Token("token-1", fresh=False)
        assert await tokens.of(ACCOUNT, d.credential, but_not="token-1") == Token("token-2", fresh=True)
        assert await tokens.of(ACCOUNT, d.credential, but_not="token-1") == Token("token-2", fresh=False)
        tokens.forget(d.credential)
        assert await tokens.of(ACCOUNT, d.credential) == Token("token-3", fresh=True)
        assert len(d.server.asked) == 3


async def test_a_token_is_not_used_up_to_its_very_end(urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(urls) as d:
        tokens, now = d.process(), 1000.0
        monkeypatch.setattr(access_tokens, "monotonic", lambda: now)
        assert (await tokens.of(ACCOUNT, d.credential)).fresh
        now += 3600 - access_tokens.MARGIN_SECONDS - 1
        assert not (await tokens.of(ACCOUNT, d.credential)).fresh
        now += 2
        assert (await tokens.of(ACCOUNT, d.credential)).fresh


async def test_whoever_waits_may_go_and_the_others_get_it(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        tokens = d.process()
        d.server.delay_seconds = 0.2
        first = asyncio.create_task(tokens.of(ACCOUNT, d.credential))
        second = asyncio.create_task(tokens.of(ACCOUNT, d.credential))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).text == "token-1"


async def test_refresh_tokens_for_one_use_last_for_ever_with_many_processes(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        d.server.refresh_tokens = {"refresh-0"}
        processes = [d.process(name) for name in ("sender", "sender", "reply_watcher", "reply_watcher")]
        for _ in range(2):
            found = await asyncio.gather(*(one.of(ACCOUNT, d.credential) for one in processes))
            assert all(one.fresh for one in found)
            for one in processes:
                one.forget(d.credential)
        assert len(d.server.asked) == 8
        assert d.server.most_under_way == 1


async def test_a_refused_grant_is_said_with_advice_and_asked_again_once_it_is_mended(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        tokens = d.process()
        d.server.refresh_tokens = {"other"}
        with pytest.raises(GrantRefused, match="Let the user consent again"):
            await tokens.of(ACCOUNT, d.credential)
        assert len(d.server.asked) == 1
        await d.put("other")
        assert (await tokens.of(ACCOUNT, d.credential)).fresh


async def test_a_grant_that_its_owner_replaced_meanwhile_is_not_refused_for_the_former(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        d.server.refresh_tokens = {"new"}
        d.server.delay_seconds = 0.3
        asking = asyncio.create_task(d.process().of(ACCOUNT, d.credential))
        await d.server.came.wait()
        await d.put("new")
        assert (await asking).fresh
        assert [one["refresh_token"] for one in d.server.asked] == ["refresh-0", "new"]


async def test_a_rotated_token_never_replaces_what_its_owner_has_set(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        d.server.refresh_tokens = {"refresh-0"}
        d.server.delay_seconds = 0.3
        asking = asyncio.create_task(d.process().of(ACCOUNT, d.credential))
        await d.server.came.wait()
        await d.put("mine")
        await asking
        with pytest.raises(GrantRefused):
            await d.process().of(ACCOUNT, d.credential)
        assert d.server.asked[-1]["refresh_token"] == "mine"


async def test_a_server_that_is_down_delays_and_is_asked_again(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        tokens = d.process()
        d.server.answers.append((503, b""))
        with pytest.raises(TokenDelayed, match="answered 503"):
            await tokens.of(ACCOUNT, d.credential)
        assert (await tokens.of(ACCOUNT, d.credential)).fresh


async def test_a_credential_that_is_gone_has_no_token(urls: Mapping[str, str]) -> None:
    async with desk(urls) as d:
        with pytest.raises(GrantRefused):
            await d.process().of(ACCOUNT, uuid4())
        with pytest.raises(GrantRefused):
            await d.process().of(uuid4(), d.credential)
