"""The ways a thing goes wrong: refused (the caller's turn), in conflict (ours: decide again), too late."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from outrider.events.message import Json


class Refused(Exception):
    """A command breaks a rule. Nothing was changed; the docstring of the subclass is the message."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "refused"

    def __init_subclass__(cls, *, status: int, code: str, **kwargs: Any) -> None:
        """Set the whole contract on the class line: HTTP status and code."""
        super().__init_subclass__(**kwargs)
        cls.status, cls.code = status, code

    def __init__(self, **details: Any) -> None:
        """Take the details that the answer shows: ids, numbers, fields; never a secret."""
        super().__init__((self.__doc__ or self.code).strip().splitlines()[0])
        self.details: Json = details
        self.position = 0
        """The log position of what was recorded nevertheless: why somebody was skipped."""

    def problem(self) -> Json:
        """The body of the answer. RFC 9457."""
        body: Json = {"type": f"/errors/{self.code}", "status": self.status, "code": self.code, "message": str(self)}
        return {**body, "details": self.details} if self.details else body


class Expired(Refused, status=504, code="expired"):
    """Nobody carried out the command in time, and nobody will: nothing was done. Send it again."""


class Failed(Refused, status=500, code="failed"):
    """Carrying out the command failed again and again: nothing was done. This is our fault; send it again later."""


class ValidationFailed(Refused, status=422, code="validation_failed"):
    """Some fields are not as they must be."""

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        """Take every failure: its field and what is wrong there."""
        super().__init__(errors=[dict(one) for one in errors])


class Conflict(Exception):
    """A stream moved on since it was read: read it again and decide again."""

    def __init__(self, streams: Sequence[str]) -> None:
        """Name the streams that moved."""
        super().__init__(f"moved on: {', '.join(streams)}")
        self.streams = tuple(streams)


class TimedOut(Exception):
    """Nothing answered in time; whether the thing was done is not known."""


class Unavailable(Exception):
    """The database or the bus cannot be reached: nothing was accepted."""


class NotYet(Exception):
    """The handler cannot decide now (its reader is behind, a slot is taken): deliver again after `seconds`."""

    def __init__(self, seconds: float, *, for_long: bool = False) -> None:
        """Say after how many real seconds to come again; `for_long`: what is waited for goes on, and may take hours."""
        super().__init__(f"again in {seconds} s")
        self.seconds, self.for_long = seconds, for_long
