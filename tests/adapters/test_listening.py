"""Readers of streams who take nothing: they are cut off, and whoever reads is not."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator

import pytest
import uvicorn
from litestar import Litestar, Request, get
from litestar.datastructures import State
from litestar.response import Stream

from outrider.api.listening import listen
from outrider.events.errors import Unavailable

AnyRequest = Request[object, object, State]
STALLED_SECONDS = 1.0
BEAT = b":" + b" " * 500 + b"\n\n"
BEAT_SECONDS = 0.01


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
async def test_who_takes_nothing_is_cut_off_and_who_reads_is_not() -> None:
    ended: dict[str, asyncio.Event] = {"asleep": asyncio.Event(), "awake": asyncio.Event()}

    async def beats(name: str) -> AsyncGenerator[bytes]:
        try:
            while True:
                yield BEAT
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            ended[name].set()

    @get(["/asleep", "/awake"])
    async def stream(request: AnyRequest) -> Stream:
        return Stream(beats(request.url.path.strip("/")))

    listening = listen("127.0.0.1:0", STALLED_SECONDS)
    place: tuple[str, int] = listening.getsockname()
    server = uvicorn.Server(uvicorn.Config(Litestar([stream]), lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*place)
    writer.write(b"GET /awake HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\n\n")
    with socket.socket() as asleep:
        asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least there is: the window closes soon
        asleep.settimeout(0)
        await asyncio.get_running_loop().sock_connect(asleep, place)
        await asyncio.get_running_loop().sock_sendall(asleep, b"GET /asleep HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(120):
            while not ended["asleep"].is_set():
                await reader.readuntil(b"\n\n")
        assert not ended["awake"].is_set()
        await reader.readuntil(b"\n\n")
    writer.close()
    server.should_exit = True
    await serving


async def test_a_place_that_cannot_be_had_is_named() -> None:
    with listen("127.0.0.1:0") as listening:
        address = "127.0.0.1:{1}".format(*listening.getsockname())
        with pytest.raises(Unavailable, match=address):
            listen(address)
    with pytest.raises(Unavailable, match="nowhere"):
        listen("nowhere")
