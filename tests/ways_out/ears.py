"""Three who hear of everything: an endpoint for webhooks, a reader of the stream, a subscriber of NATS. In a thread."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Final

import httpx

from outrider.events.subscribing import subscribe
from tests.support.receiver import receiving

AGAIN_SECONDS: Final = 0.2
BEGIN_SECONDS: Final = 60
STREAM: Final = {"Accept": "text/event-stream"}


@dataclass
class Ears:
    """What was heard so far; each of the three goes on where it was, whatever happens to the other side."""

    url: str
    key: str
    nats_url: str
    durable: str
    posted: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """The `webhook-id` and the position of each request."""
    streamed: list[int] = field(default_factory=list[int])
    subscribed: list[int] = field(default_factory=list[int])
    returns: int = 0
    """How often the stream was opened again."""
    webhook_url: str = ""
    transport: Callable[[], httpx.AsyncBaseTransport | None] = lambda: None
    """How the stream's reader reaches the url, if not directly."""
    _ready: Event = field(default_factory=Event)
    _end: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: Thread | None = None

    def begin(self) -> None:
        """The endpoint listens, the others try to."""
        self._thread = Thread(target=asyncio.run, args=(self._listen(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(BEGIN_SECONDS)

    def end(self) -> None:
        """Nobody listens any more."""
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with receiving() as receiver:
            receiver.answer = lambda heard: self._posted(dict(heard.headers), heard.payload)
            self.webhook_url = receiver.url()
            others: tuple[Coroutine[Any, Any, None], ...] = (self._stream(), self._subscribe())
            tasks = [asyncio.create_task(one) for one in others]
            self._ready.set()
            await self._end.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _posted(self, headers: dict[str, str], payload: dict[str, Any]) -> int:
        self.posted.append((headers["webhook-id"], payload["data"]["position"]))
        return 200

    async def _stream(self) -> None:
        client = httpx.AsyncClient(
            base_url=self.url, transport=self.transport(), timeout=BEGIN_SECONDS, trust_env=False
        )
        async with client:
            while True:
                with suppress(httpx.HTTPError):
                    await self._read(client)
                self.returns += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self, client: httpx.AsyncClient) -> None:
        """Until it breaks off. What came in part is not heard: the browser's rule."""
        last = str(self.streamed[-1] if self.streamed else 0)
        headers = {**STREAM, "Authorization": f"Bearer {self.key}", "Last-Event-ID": last}
        async with client.stream("GET", "/events", headers=headers) as response:
            said = dict[str, str]()
            async for line in response.aiter_lines():
                name, _, value = line.partition(":")
                said[name] = value.strip()
                if not line and "data" in said:
                    assert json.loads(said["data"])["data"]["position"] == int(said["id"])
                    self.streamed.append(int(said["id"]))
                if not line:
                    said.clear()

    async def _subscribe(self) -> None:
        async with aclosing(subscribe(self.nats_url, self.durable)) as events:
            async for item in events:
                self.subscribed.append(item.position)
