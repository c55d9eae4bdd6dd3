"""How a category of streams is folded. The decisions are plain functions beside it; nothing here does I/O."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from outrider.events.message import Event

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S]):
    """A category, the state before its first event, and what each event does to that state."""

    category: str
    initial: S
    evolve: Callable[[S, Event], S]
    """Never raises: an event that it does not know leaves the state as it is."""

    def stream(self, id_: object) -> str:
        """The stream of one instance: ``category-<id>``, compound ids joined by ``+``."""
        return f"{self.category}-{id_}"

    def fold(self, events: Iterable[Event], state: S | None = None) -> S:
        """The state after these events, from the initial one or from `state`."""
        folded = self.initial if state is None else state
        for event in events:
            folded = self.evolve(folded, event)
        return folded
