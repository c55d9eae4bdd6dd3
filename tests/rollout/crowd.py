"""Everybody who calls, in a thread of its own: whoever replaces processes blocks the main one meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from threading import Thread
from typing import Any, Self, TypeVar

import httpx

from tests.rollout.balancer import URL, Balancer, Gateways

T = TypeVar("T")
PAUSE_SECONDS = 0.3
PATIENCE_SECONDS = 120.0
FIRST_KEY = "first key"


class Crowd:
    """A thread with a loop."""

    def __init__(self) -> None:
        """It runs, and the balancer looks who is ready."""
        self.gateways = Gateways()
        self.open = AsyncExitStack()
        """What is to be closed in that loop at the end."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        """It runs."""
        self._thread.start()
        self._watching = self.begin(self.gateways.watch())
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody calls any more."""
        self._watching.cancel()
        self.begin(self.open.aclose()).result()
        self.begin(_all_cancelled()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """This is being done, there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def do(self, work: Coroutine[Any, Any, T]) -> T:
        """This was done, there."""
        return await asyncio.wrap_future(self.begin(work))

    def client(self, *, pinned: bool = False) -> httpx.AsyncClient:
        """Answer a client behind the balancer."""
        return httpx.AsyncClient(
            base_url=URL, transport=Balancer(self.gateways, pinned=pinned), timeout=PATIENCE_SECONDS, trust_env=False
        )


async def _all_cancelled() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@dataclass
class Visitor:
    """A program of an account of its own, which asks for something, and for something new, again and again."""

    crowd: Crowd
    key: str
    pinned: bool
    """Whether its connections stay where they are for as long as they are open."""
    accepted: list[str] = field(default_factory=list[str])
    """Labels of keys that were issued, by answer or by a later verdict."""
    in_doubt: list[str] = field(default_factory=list[str])
    """Of those whose answer was lost: the balancer has kept it, where it should not have been."""
    enough: bool = False

    async def visit(self) -> None:
        """It is done, once `enough` is set."""
        async with self.crowd.client(pinned=self.pinned) as web:
            web.headers["Authorization"] = f"Bearer {self.key}"
            for turn in count(1):
                if self.enough:
                    return
                try:
                    await web.get("/account")
                    await self._issue(web, f"key {turn}")
                except httpx.TransportError:
                    self.in_doubt.append(f"key {turn}")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _issue(self, web: httpx.AsyncClient, label: str) -> None:
        answer = await web.post("/api_keys", json={"label": label})
        if answer.status_code == HTTPStatus.ACCEPTED:
            path = answer.headers["location"]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while answer.status_code == HTTPStatus.ACCEPTED or answer.json()["status"] == "accepted":
                    await asyncio.sleep(PAUSE_SECONDS)
                    answer = await web.get(path)
            assert answer.json()["status"] == "succeeded", answer.text
        else:
            assert answer.status_code == HTTPStatus.CREATED, answer.text
        self.accepted.append(label)

    async def differences(self) -> list[str]:
        """Answer which keys are not there that were accepted, or there more than once, or there without a reason."""
        async with self.crowd.client() as web:
            answer = await web.get("/api_keys", headers={"Authorization": f"Bearer {self.key}"})
        found, expected = Counter(str(one["label"]) for one in answer.json()), Counter([FIRST_KEY, *self.accepted])
        wrong = {label for label in (expected | found).keys() - self.in_doubt if expected[label] != found[label]}
        wrong |= {label for label in self.in_doubt if found[label] > 1}
        return [f"{expected[label]} accepted as {label!r}, {found[label]} issued" for label in sorted(wrong)]
