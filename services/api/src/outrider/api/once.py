"""Answering a request that has an Idempotency-Key: from memory, by going on where another stopped, or by doing it."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Message, Send

from outrider.api.gateway import Call
from outrider.api.idempotency import SERVER_ERRORS, Held, Reply
from outrider.api.problems import Answered, BadRequest, ClientGone
from outrider.api.uploads import Upload

KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
Run = Callable[[Send], Awaitable[None]]
"""Carries the request out; its answer goes to this `send`."""
Outcome = Callable[[Call, UUID], Awaitable[Answered]]
"""How the command of a request stands, as the request would have been answered."""


class Keyed:
    """An Idempotency-Key, and what it stands for."""

    def __init__(self, key: str, request: bytes, body: bytes | Upload) -> None:
        """`request` is all of the request but its body."""
        self.key_hash = hashlib.sha256(key.encode()).digest()
        self._digest = hashlib.sha256(request)
        self._upload = body if isinstance(body, Upload) else None
        if isinstance(body, Upload):
            body.heard = self._digest.update
        else:
            self._digest.update(body)

    @property
    def request_hash(self) -> bytes | None:
        """None while a streamed body has not ended."""
        return None if self._upload and not self._upload.has_ended else self._digest.digest()


def keyed(headers: Mapping[str, str], method: str, target: bytes, body: bytes | Upload) -> Keyed | None:
    """The request's key, if it has one. Raises BadRequest for one that is not 1 to 255 visible ASCII characters."""
    key = headers.get("idempotency-key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise BadRequest(reason="Idempotency-Key must be 1 to 255 visible ASCII characters")
    return Keyed(key, b"%s %s\n" % (method.encode(), target), body)


async def answer_once(call: Call, key: Keyed, run: Run, outcome: Outcome, send: Send) -> None:
    """The request is answered; every other one with its key is answered alike, byte for byte."""
    store = call.gateway.idempotency
    taken = await store.take(call.account_id, key.key_hash, key.request_hash, call.gateway.clock.real())
    if isinstance(taken, Reply):
        await _compare(call, key)
        reply = replace(taken, headers=[*taken.headers, ("idempotency-replayed", "true")])
    else:
        taken.request_hash = lambda: key.request_hash
        async with taken.kept_up():
            reply = await _carried_out(call, key, taken, run, outcome)
            if (request_hash := key.request_hash) is not None:
                await store.settle(taken, request_hash, reply)
            else:  # of a body that nobody heard to its end nobody can say whether another one is the same
                await store.release(taken)
        if call.upload and call.upload.is_broken:
            raise ClientGone
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    await send(HTTPResponseStartEvent(type="http.response.start", status=reply.status, headers=headers))
    await send(HTTPResponseBodyEvent(type="http.response.body", body=reply.body, more_body=False))


async def _compare(call: Call, key: Keyed) -> None:
    """A streamed body is the one that came with this key before. Raises IdempotencyKeyReused."""
    if call.upload is not None:
        await call.upload.drain()
        if (request_hash := key.request_hash) is not None:
            await call.gateway.idempotency.compare(call.account_id, key.key_hash, request_hash)


async def _carried_out(call: Call, key: Keyed, held: Held, run: Run, outcome: Outcome) -> Reply:
    """What it led to before, if it got so far and that is an answer to keep; else what it leads to now."""
    said = None
    if held.command_id is not None and not await held.withdraw():
        said = await outcome(call, held.command_id)
    if said is None or said.status >= SERVER_ERRORS:  # failed or expired: nothing was recorded, nor ever will be
        heard = _Heard()
        call.held = held
        await run(heard)
        return heard.reply()
    try:
        await _compare(call, key)
    except Exception:
        await call.gateway.idempotency.release(held)
        raise
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
