"""The thin layer outside Litestar: who asks, whether there is such a route, and a body that is sound JSON.

Litestar alone answers 404 and 405 before 401, HEAD with 405, a trailing slash with 200, and takes any type of body.
Precedence: 401, 429, unknown route, 405, 415, 413, 400; then the handlers: 404 of a resource, 422.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar
from urllib.parse import parse_qsl

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPReceiveMessage, HTTPRequestEvent, HTTPScope, Message, Receive, Scope, Send

from outrider.api.auth import bearer, holder_of, is_operator
from outrider.api.gateway import OPERATOR, Call, Gateway
from outrider.api.json_text import LARGE_BYTES, parse
from outrider.api.once import Keyed, Outcome, answer_once, keyed
from outrider.api.problems import (
    BadRequest,
    ClientGone,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    UnsupportedMediaType,
    answered,
)
from outrider.api.uploads import Upload
from outrider.events.tracing import Span, SpanKind, StatusCode, begun

T = TypeVar("T")
MIB: Final = 1024 * 1024
IMPORT_BYTES: Final = 256 * MIB
MOST_QUERY_FIELDS: Final = 100
MOST_DIGITS: Final = 18
"""Of a Content-Length: more of them are as much too many."""
SEND_SECONDS: Final = 60.0
"""A client that takes nothing for so long is cut off."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
INTERNAL_ERROR: Final = 500
Door = Literal["tenant", "operator", "both", "public"]
_JSON: Final = re.compile(r"application/json\s*(;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.IGNORECASE)
_CSV: Final = re.compile(r"text/csv\s*(;\s*(charset\s*=\s*\"?utf-8\"?|header\s*=\s*present)\s*)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one method of a route is guarded; a handler says it in `opt`."""

    door: Door = "tenant"
    most_bytes: int = MIB
    any_type: bool = False
    """True: the body is not JSON, and nobody reads it."""
    csv: bool = False
    """True: the body may be text/csv instead, which the handler reads while it comes: `Call.upload`."""
    stream: bool = False
    """True: the answer has no end, and the handler has to hear that the client went away."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path with its methods."""

    path: str
    """As it is written down: /campaigns/{campaign_id}."""
    pattern: re.Pattern[str]
    rules: Mapping[str, Rule]


def routes_of(app: Litestar) -> list[Route]:
    """Every route of the app, as the front knows it."""
    found: list[Route] = []
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            parts = [re.escape(part) if isinstance(part, str) else "[^/]+" for part in route.path_components]
            rules = {
                str(method): Rule(**handler.opt.get("rule", {}))
                for method, (handler, _) in route.route_handler_map.items()
                if method != "OPTIONS"
            }
            found.append(Route(route.path_format, re.compile("/" + "/".join(parts)), rules))
    return found


class Front:
    """An ASGI application around another one."""

    def __init__(self, inner: Litestar, gateway: Gateway, outcome: Outcome) -> None:
        """Take the routes from `inner`; `outcome` tells what became of a command that was asked for before."""
        self._inner: ASGIApp = inner
        self._outcome = outcome
        self._gateway = gateway
        self._routes = routes_of(inner)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever it is; never raises."""
        if scope["type"] != ScopeType.HTTP:
            return
        http = scope
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in http["headers"]}
        call = Call(self._gateway, str(http["method"]), http["path"])
        dressed = _Dressed(send, call)
        route = next((one for one in self._routes if one.pattern.fullmatch(call.path)), None)
        with begun(headers.get("traceparent"), *_described(call.method, route)) as span:
            try:
                rule, key = await self._let_in(http, headers, receive, call, route)
                http["user"] = call
                if call.method == "HEAD":
                    http["method"] = "GET"
                if key is None:
                    await self._inner(http, receive if rule.stream else _nothing_more, dressed)
                else:
                    await answer_once(call, key, partial(self._run, http, call), self._outcome, dressed)
            except ClientGone:
                return
            except Exception as error:  # noqa: BLE001  # one map for all of them
                await _tell(error, dressed)
            finally:
                _answered(span, call, dressed.status)

    async def _run(self, scope: HTTPScope, call: Call, send: Send) -> None:
        await self._inner(scope, _nothing_more, _Dressed(send, call))

    async def _let_in(  # what there is to look at
        self, scope: HTTPScope, headers: Mapping[str, str], receive: Receive, call: Call, route: Route | None
    ) -> tuple[Rule, Keyed | None]:
        """Fill in the call, or raise the first thing that is wrong with it; the rule of its route, and its key."""
        method = "GET" if call.method == "HEAD" else call.method
        rule = None if route is None else route.rules.get(method, next(iter(route.rules.values())))
        await self._authenticate(headers.get("authorization"), rule, call)
        if route is None or rule is None:
            raise NotFound
        if method not in route.rules:
            raise MethodNotAllowed(allowed=_allowed(route))
        call.query = _query(scope["query_string"])
        call.upload = _upload(receive, headers, rule) if method == "POST" else None
        is_read = call.upload is None and method not in {"GET", "DELETE"}
        body = await _read(receive, headers, rule) if is_read else b""
        changes = method != "GET" and rule.door != "public"
        target = b"%s?%s" % (call.path.encode(), scope["query_string"])
        key = await _off_loop(body, lambda: keyed(headers, method, target, call.upload or body)) if changes else None
        if rule.any_type:
            call.json = {}
        else:
            call.json, call.escaped = await _off_loop(body, lambda: (parse(body), b"\\u" in body))
        call.seen = _seen(headers.get("outrider-min-position"))
        if call.seen:
            await call.reach(call.seen)
        return rule, key

    async def _authenticate(self, header: str | None, rule: Rule | None, call: Call) -> None:
        """The call has its account. Raises Unauthorized, RateLimited. An unknown route wants any valid token."""
        if rule is not None and rule.door == "public":
            return
        token = bearer(header)
        if rule is None or rule.door in {"operator", "both"}:
            if is_operator(token, self._gateway.settings.operator_token):
                call.asker = OPERATOR
                return
            if rule is not None and rule.door == "operator":
                raise Unauthorized
        holder = await holder_of(self._gateway.tables, token)
        if holder is None:
            raise Unauthorized
        self._gateway.rate_limit.take(holder.key_id)
        call.account_id, call.asker = holder.account_id, holder.key_id


class _Dressed:
    """A `send` that adds the call's headers to the answer, and leaves out the body of an answer to HEAD."""

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call
        self.started = False
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            more = [(name.lower().encode(), value.encode("latin-1")) for name, value in self._call.headers.items()]
            fixed = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
            names = {name for name, _ in message["headers"]}
            if self._call.gateway.stopping():  # or it would come again on this connection, which is about to be closed
                fixed.append((b"connection", b"close"))
            extra = [pair for pair in fixed + more if pair[0] not in names]
            message["headers"] = [*message["headers"], *extra]
        elif message["type"] == "http.response.body" and self._call.method == "HEAD":
            message["body"] = b""
        async with asyncio.timeout(SEND_SECONDS):
            await self._send(message)


def _described(method: str, route: Route | None) -> tuple[str, SpanKind, dict[str, str | int]]:
    """Name, kind and attributes of a request's span; nothing that the caller chose goes in but a method we know."""
    known = method if method in METHODS else "_OTHER"
    about: dict[str, str | int] = {"http.request.method": known}
    if route is None:
        return known, SpanKind.SERVER, about
    return f"{known} {route.path}", SpanKind.SERVER, {**about, "http.route": route.path}


def _answered(span: Span, call: Call, status: int) -> None:
    span.set_attribute("outrider.account_id", str(call.account_id))
    if status:
        span.set_attribute("http.response.status_code", status)
    if status >= INTERNAL_ERROR:
        span.set_status(StatusCode.ERROR)


async def _tell(error: Exception, send: _Dressed) -> None:
    """The answer to what went wrong, unless an answer has begun already."""
    said = answered(error)
    if send.started:
        return
    content = said.content()
    headers = {"content-type": said.media_type, "content-length": str(len(content)), **said.headers}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": said.status, "headers": raw})
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def _nothing_more() -> HTTPReceiveMessage:
    return HTTPRequestEvent(type="http.request", body=b"", more_body=False)


async def _off_loop(body: bytes, work: Callable[[], T]) -> T:
    """What is made of a body; of a large one beside the event loop, which goes on answering others."""
    return work() if len(body) <= LARGE_BYTES else await asyncio.to_thread(work)


def _allowed(route: Route) -> list[str]:
    return sorted({*route.rules, *({"HEAD"} if "GET" in route.rules else ())})


def _query(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_QUERY_FIELDS, errors="strict")
    except ValueError:  # broken UTF-8, or too many
        raise BadRequest(reason="the query cannot be read") from None


def _seen(header: str | None) -> int:
    if header is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,18}", header):
        raise BadRequest(reason="Outrider-Min-Position must be what Outrider-Position was")
    return int(header)


def _upload(receive: Receive, headers: Mapping[str, str], rule: Rule) -> Upload | None:
    """The body, if it is one that the handler reads while it comes. Raises PayloadTooLarge."""
    if not rule.csv or not _CSV.fullmatch(headers.get("content-type", "").strip()):
        return None
    if _announced(headers) > rule.most_bytes:
        raise PayloadTooLarge(most_bytes=rule.most_bytes)
    return Upload(receive, rule.most_bytes)


def _announced(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length[:MOST_DIGITS]) if length.isdecimal() else 0


async def _read(receive: Receive, headers: Mapping[str, str], rule: Rule) -> bytes:
    """The whole body. Raises UnsupportedMediaType where there is one of another type, PayloadTooLarge, ClientGone."""
    right = rule.any_type or _JSON.fullmatch(headers.get("content-type", "").strip()) is not None
    announced = _announced(headers)
    if announced and not right:
        raise UnsupportedMediaType
    if announced > rule.most_bytes:
        raise PayloadTooLarge(most_bytes=rule.most_bytes)
    parts, size = list[bytes](), 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        size += len(message["body"])
        if size and not right:
            raise UnsupportedMediaType
        if size > rule.most_bytes:
            raise PayloadTooLarge(most_bytes=rule.most_bytes)
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)
