"""Given facts, when a decision, then facts, or a refusal. For tests of decisions; needs no server."""

from collections.abc import Callable, Sequence
from typing import Generic, Self, TypeVar

from outrider.events.aggregate import Aggregate
from outrider.events.errors import Refused
from outrider.events.message import Event

S = TypeVar("S")


class given(Generic[S]):  # noqa: N801  # reads as a sentence
    """A history, as `given(campaign, CREATED).when(partial(pause, PAUSE)).then(PAUSED)`."""

    def __init__(self, aggregate: Aggregate[S], *events: Event) -> None:
        """Fold the history."""
        self.state = aggregate.fold(events)
        self._aggregate = aggregate
        self._got: Sequence[Event] | Refused = ()

    def when(self, decide: Callable[[S], Sequence[Event]]) -> Self:
        """Take the decision on the folded state; what it records becomes history for a further `when`."""
        try:
            self._got = decide(self.state)
            self.state = self._aggregate.fold(self._got, self.state)
        except Refused as refusal:
            self._got = refusal
        return self

    def then(self, *expected: Event) -> Self:
        """Raise AssertionError unless exactly these events were decided."""
        if isinstance(self._got, Refused) or list(self._got) != list(expected):
            raise AssertionError(f"expected {list(expected)!r}, got {self._got!r}")
        return self

    def refused(self, refusal: type[Refused]) -> Self:
        """Raise AssertionError unless the decision was refused for this reason."""
        if type(self._got) is not refusal:
            raise AssertionError(f"expected {refusal.__name__}, got {self._got!r}")
        return self
