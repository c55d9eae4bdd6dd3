"""What a route says of itself, beside its path: `opt=tells(...)`. The description of the API is made of nothing else.

Said here is what no declaration says yet: the answer's shape, the query's names, and which refusals a caller can meet.
Path parameters, bodies, summaries, keys, limits and the errors that every route can answer with follow by rule
(`description.py`). Tests hold every answer that they see against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from outrider.api.bodies import Body
from outrider.events.errors import Refused

TOLD: Final = "told"
"""The key of a handler's `opt`."""
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One name of the query."""

    name: str
    what: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Told:
    """What one route answers, and takes."""

    answer: type[BaseModel] | None
    rows: type[BaseModel] | None
    also: Mapping[int, type[BaseModel]]
    media: Sequence[str]
    body: type[Body] | None
    optional: Sequence[str]
    takes: Sequence[str]
    query: Sequence[Query]
    refuses: Sequence[type[Refused]]
    asks: bool
    status: int | None


def tells(  # noqa: PLR0913  # each by its name
    answer: type[BaseModel] | None = None,
    *,
    rows: type[BaseModel] | None = None,
    also: Mapping[int, type[BaseModel]] | None = None,
    media: Sequence[str] = (),
    body: type[Body] | None = None,
    optional: Sequence[str] = (),
    takes: Sequence[str] = (),
    query: Sequence[Query] = (),
    refuses: Sequence[type[Refused]] = (),
    asks: bool = True,
    status: int | None = None,
) -> dict[str, Told]:
    """What a handler's `opt` says of it.

    Args:
        answer: The object that is answered; neither this nor `rows` nor `media` means 204.
        rows: What is answered is an array of these.
        also: Other successes, by status.
        media: Types that are answered too, or alone, and are no JSON.
        body: What `call.body` is asked for. Of a PATCH every field is optional and has no default.
        optional: Fields that the body's model requires, and the route fills in.
        takes: Content types that are taken too, and are no JSON.
        query: What `call.options` or `call.page` is asked for.
        refuses: What can be wrong beside the ids of the path and what every route can answer.
        asks: Whether a service decides (by verb), so that the answer may be 202 and come later.
        status: The usual success, where it is neither the handler's own nor 204.
    """
    return {TOLD: Told(answer, rows, also or {}, media, body, optional, takes, query, refuses, asks, status)}


PAGE: Final = (
    Query(
        "limit",
        "At most so many rows; over 1000 is 1000.",
        {"type": "integer", "minimum": 1, "maximum": 10**18 - 1, "default": 100},
    ),
    Query("cursor", "Where the next page begins, as `Link` of the page before said."),
)
"""Of every list."""
