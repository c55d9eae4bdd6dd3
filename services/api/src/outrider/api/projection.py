"""The one projection of the api service; its handlers stand in the `projections_*` modules, by what they show."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from outrider.events.message import Event, Recorded
from outrider.events.projector import Projection

E = TypeVar("E", bound=Event)
tables = Projection("api.v1")


def first_of(events: Iterable[Recorded[E]], key: Callable[[E], Hashable]) -> list[Recorded[E]]:
    """The first event of every key, in order: one statement must not touch a row twice."""
    found: dict[Hashable, Recorded[E]] = {}
    for item in events:
        found.setdefault(key(item.event), item)
    return list(found.values())


def last_of(events: Iterable[Recorded[E]], key: Callable[[E], Hashable]) -> list[Recorded[E]]:
    """The last event of every key, in the order of the keys' first events."""
    return list({key(item.event): item for item in events}.values())
