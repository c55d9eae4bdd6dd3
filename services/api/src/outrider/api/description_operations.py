"""One method of one path, as the description tells it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Final

from litestar.handlers import HTTPRouteHandler

from outrider.api.describing import TOLD, Schema, Told
from outrider.api.description_errors import OWNERS, response
from outrider.api.description_schemas import Schemas, exemplified
from outrider.api.description_text import ASKED_WITH, PARAMETERS, SUCCESSES
from outrider.api.front import Rule
from outrider.api.problems import (
    BadRequest,
    IdempotencyKeyInProgress,
    IdempotencyKeyReused,
    InternalError,
    PayloadTooLarge,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
    UnsupportedMediaType,
)
from outrider.events.errors import Expired, Refused, ValidationFailed

JSON: Final = "application/json"
NO_BODY: Final = frozenset({"GET", "DELETE"})
LATER, NO_CONTENT, ELSEWHERE = 202, 204, 302
KEYS: Final = {"tenant": ("key",), "operator": ("operator",), "both": ("key", "operator"), "public": ()}


class Undescribed(Exception):  # a bug, which a test finds
    """A route says nothing of itself: `opt=tells(...)`."""


def operations(handler: HTTPRouteHandler) -> "Iterator[Operation]":
    """Every method of every path of a handler. Raises Undescribed."""
    told = handler.opt.get(TOLD)
    if not isinstance(told, Told):
        raise Undescribed(f"{handler.fn.__module__}.{handler.fn.__name__}")
    for path in sorted(handler.paths):
        for method in sorted(handler.http_methods):
            yield Operation(handler, re.sub(r"\{(\w+):\w+\}", r"{\1}", path), str(method), told)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    handler: HTTPRouteHandler
    path: str
    method: str
    told: Told

    @cached_property
    def rule(self) -> Rule:
        """How the front guards it."""
        return Rule(**self.handler.opt.get("rule", {}))

    @property
    def name(self) -> str:
        """The handler's."""
        return str(self.handler.fn.__name__)

    @property
    def parameters(self) -> Sequence[str]:
        """The names in its path."""
        found: list[str] = re.findall(r"\{(\w+)\}", self.path)
        return found

    @property
    def tag(self) -> str:
        """The module that it stands in."""
        return str(self.handler.fn.__module__).rpartition(".")[2]

    @property
    def tag_says(self) -> str:
        """What that module is about."""
        return (import_module(self.handler.fn.__module__).__doc__ or "").strip().partition("\n\n")[0]

    @property
    def public(self) -> bool:
        """Whether nobody has to say who he is."""
        return self.rule.door == "public"

    @property
    def reads_body(self) -> bool:
        """Whether there can be a body."""
        return self.method not in NO_BODY and not self.rule.any_type

    @property
    def changes(self) -> bool:
        """Whether an Idempotency-Key is heeded."""
        return self.method != "GET" and not self.public

    @property
    def asks(self) -> bool:
        """Whether a service decides it."""
        return self.method != "GET" and self.told.asks

    @property
    def refusals(self) -> Mapping[int, Sequence[type[Refused]]]:
        """Everything that it can answer instead, by status."""
        by_status: dict[int, list[type[Refused]]] = {}
        found = [*(OWNERS[name] for name in self.parameters), *self.told.refuses, *self._common()]
        for kind in dict.fromkeys(found):
            by_status.setdefault(kind.status, []).append(kind)
        return dict(sorted(by_status.items()))

    def _common(self) -> Iterator[type[Refused]]:
        """What every route of its kind can answer."""
        yield from (BadRequest, InternalError)
        if not self.public:
            yield from (Unauthorized, ValidationFailed, ServiceUnavailable)
        if self.rule.door in {"tenant", "both"}:
            yield RateLimited
        if self.reads_body:
            yield from (UnsupportedMediaType, PayloadTooLarge)
        if self.changes:
            yield from (IdempotencyKeyReused, IdempotencyKeyInProgress)
        if self.asks:
            yield from (ServiceUnavailable, Expired)

    def described(self, schemas: Schemas) -> Schema:
        """The operation object."""
        said: Schema = {
            "operationId": self.name,
            "summary": (self.handler.fn.__doc__ or "").strip().partition("\n")[0],
            "tags": [self.tag],
            "security": [{key: []} for key in KEYS[self.rule.door]],
            "parameters": [*self._path(), *self._query(), *self._headers()],
        }
        if self.reads_body:
            said["requestBody"] = self._body(schemas)
        responses = {str(status): self._success(status, schemas) for status in self._successes()}
        responses |= {str(status): response(kinds, schemas) for status, kinds in self.refusals.items()}
        return {**said, "responses": responses}

    def _path(self) -> Iterator[Schema]:
        for name in self.parameters:
            yield {"name": name, "in": "path", "required": True, **PARAMETERS[name]}

    def _query(self) -> Iterator[Schema]:
        for query in self.told.query:
            yield {"name": query.name, "in": "query", "description": query.what, "schema": dict(query.schema)}

    def _headers(self) -> Iterator[Schema]:
        for name, said in ASKED_WITH.items():
            if name != "Idempotency-Key" or self.changes:
                yield {"name": name, "in": "header", **said}

    def _body(self, schemas: Schemas) -> Schema:
        if self.told.body is None:
            schema: Schema = {"type": "object", "additionalProperties": False}
        elif self.method == "PATCH":
            schema = schemas.change(self.told.body)
        else:
            schema = schemas.body(self.told.body, self.told.optional)
        content: Schema = {JSON: {"schema": schema, "example": exemplified(schema, schemas.found)}}
        content |= {kind: {"schema": {"type": "string"}} for kind in self.told.takes}
        return {"required": bool(schemas.resolved(schema).get("required")), "content": content}

    @property
    def _first(self) -> int:
        """The usual success."""
        nothing = self.told.answer is None and self.told.rows is None and not self.told.media
        return self.told.status or (NO_CONTENT if nothing else self.handler.status_code)

    def _successes(self) -> Sequence[int]:
        return sorted({self._first, *self.told.also, *([LATER] if self.asks else [])})

    def _success(self, status: int, schemas: Schemas) -> Schema:
        shapes = list[Schema]()
        if status in self.told.also:
            shapes.append(schemas.answer(self.told.also[status]))
        elif status == self._first and self.told.answer is not None:
            shapes.append(schemas.answer(self.told.answer))
        elif status == self._first and self.told.rows is not None:
            shapes.append({"type": "array", "items": schemas.answer(self.told.rows)})
        if status == LATER and self.asks:
            shapes.append(schemas.accepted)
        content: Schema = {}
        if shapes:
            schema = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
            content[JSON] = {"schema": schema, "example": exemplified(shapes[0], schemas.found)}
        if status == self._first:
            content |= {kind: {"schema": {"type": "string"}} for kind in self.told.media}
        headers = {name: {"$ref": f"#/components/headers/{name}"} for name in self._headers_of(status)}
        said: Schema = {"description": SUCCESSES[status], "headers": headers}
        return said | ({"content": content} if content else {})

    def _headers_of(self, status: int) -> Iterator[str]:
        if status in {LATER, ELSEWHERE}:
            yield "Location"
        if self.asks and not self.public:
            yield "Outrider-Position"
        if self.changes:
            yield "Idempotency-Replayed"
        if any(query.name in {"cursor", "after"} for query in self.told.query):
            yield "Link"
        if not self.public:
            yield "Outrider-Read-Behind"
