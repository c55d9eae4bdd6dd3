"""Answering a request that has an Idempotency-Key: from memory, by going on where another stopped, or by doing it."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Message, Send

from outrider.api.gateway import Call
from outrider.api.idempotency import Held, Reply
from outrider.api.problems import Answered, BadRequest

KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
Run = Callable[[Send], Awaitable[None]]
"""Carries the request out; its answer goes to this `send`."""
Outcome = Callable[[Call, UUID], Awaitable[Answered]]
"""How the command of a request stands, as the request would have been answered."""


@dataclass(slots=True)
class Keyed:
    """An Idempotency-Key, and what it stands for."""

    key_hash: bytes
    request_hash: bytes


def keyed(headers: Mapping[str, str], method: str, target: bytes, body: bytes) -> Keyed | None:
    """The request's key, if it has one. Raises BadRequest for one that is not 1 to 255 visible ASCII characters."""
    key = headers.get("idempotency-key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise BadRequest(reason="Idempotency-Key must be 1 to 255 visible ASCII characters")
    digest = hashlib.sha256(b"%s %s\n" % (method.encode(), target))
    digest.update(body)
    return Keyed(hashlib.sha256(key.encode()).digest(), digest.digest())


async def answer_once(call: Call, key: Keyed, run: Run, outcome: Outcome, send: Send) -> None:
    """The request is answered; every other one with its key is answered alike, byte for byte."""
    store = call.gateway.idempotency
    taken = await store.take(call.account_id, key.key_hash, key.request_hash, call.gateway.clock.real())
    if isinstance(taken, Reply):
        reply = replace(taken, headers=[*taken.headers, ("idempotency-replayed", "true")])
    else:
        async with taken.kept_up():
            reply = await _carried_out(call, taken, run, outcome)
            await store.settle(taken, key.request_hash, reply)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    await send(HTTPResponseStartEvent(type="http.response.start", status=reply.status, headers=headers))
    await send(HTTPResponseBodyEvent(type="http.response.body", body=reply.body, more_body=False))


async def _carried_out(call: Call, held: Held, run: Run, outcome: Outcome) -> Reply:
    """What it led to before, if it got so far; else what it leads to now."""
    heard = _Heard()
    if held.command_id is None or await held.withdraw():
        call.held = held
        await run(heard)
        return heard.reply()
    said = await outcome(call, held.command_id)
    content = b"" if said.status == 204 else said.content()  # noqa: PLR2004  # No Content
    headers = {"content-type": said.media_type, "content-length": str(len(content)), **said.headers, **call.headers}
    return Reply(said.status, [(name.lower(), value) for name, value in headers.items()], content)


class _Heard:
    """A `send` that keeps what it is told."""

    def __init__(self) -> None:
        self._start: HTTPResponseStartEvent | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            self._body += message["body"]

    def reply(self) -> Reply:
        if self._start is None:
            raise RuntimeError("nothing was answered")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self._start["headers"]]
        return Reply(self._start["status"], headers, bytes(self._body))
