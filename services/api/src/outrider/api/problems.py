"""What an answer that is no success looks like: one map from exceptions to application/problem+json."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from outrider.events.commands import Verdict
from outrider.events.database import passing
from outrider.events.errors import Refused, TimedOut
from outrider.events.message import Json
from outrider.events.telemetry import logger

PROBLEM = "application/problem+json"
RETRY_SECONDS = 2
DEEP = 8
"""Frames of a traceback that are logged."""
_log = logger(__name__)


class BadRequest(Refused, status=400, code="bad_request"):
    """The body is not JSON."""


class Unauthorized(Refused, status=401, code="unauthorized"):
    """This needs a valid key: Authorization: Bearer <key>."""


class NotFound(Refused, status=404, code="not_found"):
    """There is no such route."""


class CommandNotFound(Refused, status=404, code="command_not_found"):
    """There is no such command."""


class MethodNotAllowed(Refused, status=405, code="method_not_allowed"):
    """The route does not know this method."""


class PayloadTooLarge(Refused, status=413, code="payload_too_large"):
    """The body is too large."""


class UnsupportedMediaType(Refused, status=415, code="unsupported_media_type"):
    """The body's Content-Type is not one that this route takes."""


class IdempotencyKeyReused(Refused, status=422, code="idempotency_key_reused"):
    """This Idempotency-Key came with another request before."""


class IdempotencyKeyInProgress(Refused, status=409, code="idempotency_key_in_progress"):
    """The first request with this Idempotency-Key is still at work. Ask again."""


class RateLimited(Refused, status=429, code="rate_limited"):
    """The key has used up its requests for now."""


class InternalError(Refused, status=500, code="internal_error"):
    """Something is wrong on our side."""


class ServiceUnavailable(Refused, status=503, code="unavailable"):
    """Nothing can be accepted at the moment."""


class ClientGone(Exception):  # nobody is left to be answered
    """The client went away while it was sending."""


class Late(Exception):  # no error: the command is kept, its verdict comes later
    """No verdict came in time."""

    def __init__(self, command_id: UUID) -> None:
        """Name the command."""
        super().__init__(str(command_id))
        self.command_id = command_id


class Rejected(Exception):  # the deciding service's refusal, as it stands in the commands table
    """The deciding service refused."""

    def __init__(self, verdict: Verdict) -> None:
        """Keep the verdict."""
        super().__init__(str(verdict.command_id))
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Answered:
    """Status, body and headers of an answer."""

    status: int
    body: Json
    media_type: str = PROBLEM
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def content(self) -> bytes:
        """The body as it travels."""
        return msgspec.json.encode(self.body)


def answered(error: BaseException) -> Answered:
    """The answer to whatever went wrong; a bug is logged and tells nothing of itself."""
    match error:
        case Late():
            body = {"command_id": error.command_id, "status": "accepted"}
            location = {"Location": f"/commands/{error.command_id}"}
            return Answered(202, body, "application/json", location)
        case Rejected():
            return Answered(error.verdict.http_status or 422, error.verdict.body or {})
        case Refused():
            return Answered(error.status, error.problem(), headers=_headers(error))
        case ClientGone():
            return answered(BadRequest(reason="the body broke off"))
        case _ if isinstance(error, (TimedOut, TimeoutError)) or passing(error):
            return _unavailable(error)
        case _:  # without its message: a database quotes whole rows in it
            trace = "".join(traceback.format_tb(error.__traceback__)[-DEEP:])
            _log.error("request.failed", error=type(error).__name__, trace=trace)
            return Answered(500, InternalError().problem())


def _headers(error: Refused) -> dict[str, str]:
    match error:
        case Unauthorized():
            return {"WWW-Authenticate": "Bearer"}
        case MethodNotAllowed():
            return {"Allow": ", ".join(error.details["allowed"])}
        case RateLimited():
            return {"Retry-After": str(error.details["retry_after"])}
        case _:
            return {}


def _unavailable(error: BaseException) -> Answered:
    _log.warning("request.unavailable", error=type(error).__name__)
    return Answered(503, ServiceUnavailable().problem(), headers={"Retry-After": str(RETRY_SECONDS)})
