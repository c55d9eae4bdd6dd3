"""HTTP out: where a webhook may lead, and what becomes of it with rude servers."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from outrider.api.webhooks import posting
from outrider.api.webhooks.posting import Outcome, Poster
from tests.support.receiver import HANG, Heard, receiving


@asynccontextmanager
async def poster(*addresses: str, inside: bool = False) -> AsyncGenerator[tuple[Poster, list[str]]]:
    """One whose every name leads to these addresses, and the names that it asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        del port
        asked.append(host)
        return addresses

    one = Poster(inside=inside, resolve=resolve)
    try:
        yield one, asked
    finally:
        await one.close()


async def test_it_connects_to_the_address_that_was_looked_at_and_asks_for_the_name() -> None:
    async with receiving() as receiver, poster("127.0.0.1", inside=True) as (one, asked):
        url = f"http://hooks.example:{receiver.port}/in?token=1"
        assert await one.post(url, {"x": "y"}, b"{}") == Outcome(200, None)
        assert await one.post(url, {}, b"{}") == Outcome(200, None)
    assert asked == ["hooks.example"], "looked up once a connection"
    assert receiver.heard[0] == Heard("/in?token=1", receiver.heard[0].headers, b"{}")
    assert receiver.heard[0].headers["host"] == f"hooks.example:{receiver.port}"
    assert receiver.heard[0].headers["x"] == "y"


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("::ffff:127.0.0.1",), ("1.1.1.1", "10.0.0.1"), ("0.0.0.0",)])  # noqa: S104  # refused
async def test_a_name_that_leads_inside_is_not_connected_to(addresses: Sequence[str]) -> None:
    async with receiving() as receiver, poster(*addresses) as (one, _):
        said = await one.post(f"http://hooks.example:{receiver.port}/", {}, b"{}")
    assert said == Outcome(None, "the address is not allowed")
    assert not receiver.heard


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost"])
async def test_no_spelling_of_loopback_leads_inside(host: str) -> None:
    one = Poster(inside=False)
    async with receiving() as receiver:
        said = await one.post(f"http://{host}:{receiver.port}/", {}, b"{}")
    await one.close()
    assert said.status is None
    assert said.error in {"the address is not allowed", "the name has no address"}
    assert not receiver.heard


async def test_a_redirect_is_an_answer_and_nobody_goes_there() -> None:
    async with receiving() as receiver, poster("127.0.0.1", inside=True) as (one, _):
        receiver.answer = lambda _: 302
        receiver.more = f"Location: {receiver.url('/elsewhere')}\r\n"
        assert await one.post(receiver.url(), {}, b"{}") == Outcome(302, "answered 302")
        assert len(receiver.heard) == 1


async def test_a_server_that_hangs_or_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.3)

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):  # TLS is spoken to it
            await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000)
        writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with receiving() as receiver, poster("127.0.0.1", inside=True) as (one, _):
        receiver.answer = lambda _: HANG
        assert await one.post(receiver.url(), {}, b"{}") == Outcome(None, "no answer in time")
        assert await one.post(f"http://x.example:{port}/", {}, b"") == Outcome(200, "the answer is too large")
        assert await one.post(f"https://x.example:{port}/", {}, b"") != Outcome(200, None)
    server.close()


async def test_a_server_that_hangs_in_tls_leaves_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.3)
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # to the end of what the client sends: it says nothing, and has to go
        ended.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with poster("127.0.0.1", inside=True) as (one, _):
        assert await one.post(f"https://x.example:{port}/", {}, b"") == Outcome(None, "no answer in time")
        async with asyncio.timeout(60):
            await ended.wait()
    server.close()


async def test_nobody_there_is_no_connection() -> None:
    async with receiving() as receiver:
        url = receiver.url()
    async with poster("127.0.0.1", inside=True) as (one, _):
        assert await one.post(url, {}, b"{}") == Outcome(None, "no connection")
    async with poster(inside=True) as (one, _):
        assert await one.post("http://nowhere.example/", {}, b"{}") == Outcome(None, "the name has no address")
