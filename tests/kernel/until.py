"""Waiting, in a running loop, for something to be true."""

import asyncio
import inspect
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

LOOK_SECONDS = 0.02
SECONDS = 180.0


async def until(what: str, condition: Callable[[], bool | Awaitable[bool]], seconds: float = SECONDS) -> float:
    """The condition holds; answers after how many seconds. Fails with `what` once the time is over."""
    began = time.monotonic()
    while True:
        held = condition()
        if await held if inspect.isawaitable(held) else held:
            return time.monotonic() - began
        assert time.monotonic() < began + seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncGenerator[list[asyncio.Task[None]]]:
    """The loops run while the block does; what they raised stays in their tasks."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def process(script: str, *arguments: str, env: Mapping[str, str] | None = None) -> AsyncGenerator[Process]:
    """A process of its own runs the script; it is killed, if it still runs, when the block ends."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stdout=PIPE, stderr=PIPE, env=env
    )
    try:
        yield started
    finally:
        with suppress(ProcessLookupError):
            started.kill()
        await started.communicate()


async def line(started: Process) -> str:
    """The next line that it prints."""
    assert started.stdout is not None
    async with asyncio.timeout(SECONDS):
        return (await started.stdout.readline()).decode().strip()
