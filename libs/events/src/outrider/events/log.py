"""The append-only log: the only place where facts are kept, and the only way to add one."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from outrider.events.aggregate import Aggregate
from outrider.events.clock import Clock
from outrider.events.database import Pool, Row, passing
from outrider.events.errors import Conflict
from outrider.events.ids import shard
from outrider.events.message import Event
from outrider.events.reading import Reading
from outrider.events.telemetry import APPENDS
from outrider.events.tracing import SpanKind, together, trace_context

S = TypeVar("S")
EVENTS_A_CALL = 500
TRIES = 10
APPEND = "select grp, verdict, last, moved from log.append_groups($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)"


@dataclass(frozen=True, slots=True)
class Write:
    """Events for one stream, given that it stands at `after` (0: it does not exist; None: wherever it stands)."""

    stream: str
    after: int | None
    events: Sequence[Event]
    cause: UUID


@dataclass(frozen=True, slots=True)
class Expect:
    """The stream must stand at `version`; nothing is written to it."""

    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class Appended:
    """This very call recorded the group."""

    position: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """Every write's cause stood already: nothing was recorded. Never a permission to act again."""

    position: int


@dataclass(frozen=True, slots=True)
class Transacted(Generic[S]):
    """What a decision led to, now or when its cause was carried out first."""

    state: S
    """After the events of this cause, with whatever followed them."""
    events: Sequence[Event]
    """What this cause recorded, so that an answer made of it is the same every time."""
    position: int
    """Of the last of `events`; 0 when the decision recorded nothing."""
    repeated: bool
    version: int


@dataclass(slots=True)
class _Group:
    account: UUID
    parts: Sequence[Write | Expect]
    verdict: "asyncio.Future[Appended | Repeated]"
    meta: dict[str, str]
    streams: frozenset[str] = field(init=False)
    writes: frozenset[str] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.streams = frozenset(part.stream for part in self.parts)
        self.writes = frozenset(part.stream for part in self.parts if isinstance(part, Write))
        self.size = sum(len(part.events) for part in self.parts if isinstance(part, Write))


class Log(Reading):
    """Append, read, and decide on what was read. One append is in flight per process; later callers share the next."""

    def __init__(self, pool: Pool, clock: Clock, rung: Callable[[], None] = lambda: None) -> None:
        """`rung` is called after every append, to wake the readers."""
        super().__init__(pool)
        self._clock = clock
        self.rung = rung
        self._waiting: deque[_Group] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def append(self, account: UUID, *parts: Write | Expect) -> Appended | Repeated:
        """Record all writes of the group or none.

        Callers that come while an append is in flight share the next one. Raises Conflict if a stream does not stand
        where the group says, or if only some of its causes stand already. When it raises anything else, or is
        cancelled, it is not known whether the group was recorded: ask again with the same causes.
        """
        written = [part.stream for part in parts if isinstance(part, Write)]
        if not parts or len(set(written)) < len(written):
            raise ValueError(f"a group writes each of its streams once: {', '.join(written)}")
        loop = asyncio.get_running_loop()
        group = _Group(account, parts, loop.create_future(), trace_context())
        self._waiting.append(group)
        if self._flushing is None or self._flushing.done():
            self._flushing = loop.create_task(self._flush(), name="log.flush")
        return await group.verdict

    async def _flush(self) -> None:
        while self._waiting:
            if call := self._gather():
                await self._record(call)

    async def _record(self, call: Sequence[_Group]) -> None:
        """Give every group of one call its verdict. A call that cannot be made at all is made group by group."""
        size = sum(group.size for group in call)
        about = {"outrider.groups": len(call), "outrider.events": size}
        try:
            with together("append", [group.meta.get("traceparent") for group in call], SpanKind.CLIENT, about):
                rows = await self._pool.fetch(APPEND, *_arguments(call, self._clock))
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            if len(call) > 1 and not passing(error):  # nothing was recorded: let only the guilty hear of it
                for group in call:
                    await self._record([group])
                return
            for group in call:
                if not group.verdict.done():
                    group.verdict.set_exception(error)
            return
        for row in rows:
            number: int = row["grp"]
            _tell(call[number - 1], row)
        self.rung()

    def _gather(self) -> list[_Group]:
        """Take what may go together, in order: no stream that one group writes occurs in another, or before it.

        Whoever was cancelled while he waited is left out.
        """
        call: list[_Group] = []
        left: deque[_Group] = deque()
        written: set[str] = set()
        seen: set[str] = set()
        size = 0
        while self._waiting and size < EVENTS_A_CALL:
            group = self._waiting.popleft()
            if group.verdict.done():
                continue
            fits = not call or size + group.size <= EVENTS_A_CALL
            if fits and group.writes.isdisjoint(seen) and group.streams.isdisjoint(written):
                call.append(group)
                size += group.size
            else:
                left.append(group)
            written |= group.writes
            seen |= group.streams
        self._waiting.extendleft(reversed(left))
        return call

    async def transact(  # noqa: PLR0913  # one call says what is decided, on what, and why
        self,
        account: UUID,
        aggregate: Aggregate[S],
        id_: object,
        decide: Callable[[S], Sequence[Event]],
        *,
        cause: UUID,
        expect: Sequence[Expect] = (),
    ) -> Transacted[S]:
        """Read the stream, decide, append; on Conflict read and decide again, 10 times with jitter, then raise it.

        A repeated `cause` decides nothing: what it recorded is answered, with `repeated`. Raises Refused from `decide`,
        and Conflict at once where only one of `expect` does not hold: reading this stream again would not help.
        """
        stream = aggregate.stream(id_)
        turn = self._turns.setdefault(stream, asyncio.Lock())
        async with turn:
            for attempt in range(1, TRIES + 1):
                history = await self.read_stream(account, stream)
                state, version = aggregate.fold(item.event for item in history), len(history)
                if done := [item for item in history if item.cause == cause]:
                    return Transacted(state, [item.event for item in done], done[-1].position, True, version)  # noqa: FBT003  # repeated
                if not (events := list(decide(state))):
                    return Transacted(state, (), 0, False, version)  # noqa: FBT003  # nothing recorded, nothing repeated
                try:
                    verdict = await self.append(account, Write(stream, version, events, cause), *expect)
                except Conflict as conflict:
                    if attempt == TRIES or stream not in conflict.streams:
                        raise
                else:
                    if isinstance(verdict, Appended):
                        after = aggregate.fold(events, state)
                        return Transacted(after, events, verdict.position, False, version + len(events))  # noqa: FBT003  # not repeated
                # Another replica was quicker; if with this very cause, then what it recorded is the answer.
                await asyncio.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311  # jitter
        raise Conflict([stream])


def _arguments(call: Sequence[_Group], clock: Clock) -> tuple[object, ...]:
    """The arguments of append_groups, column by column."""
    parts = [(number, part) for number, group in enumerate(call, 1) for part in group.parts]
    events = [
        (place, ordinal, event)
        for place, (_, part) in enumerate(parts, 1)
        if isinstance(part, Write)
        for ordinal, event in enumerate(part.events)
    ]
    return (
        [group.account for group in call],
        [shard(group.account) for group in call],
        [group.meta for group in call],
        [number for number, _ in parts],
        [part.stream for _, part in parts],
        [part.after if isinstance(part, Write) else part.version for _, part in parts],
        [part.cause if isinstance(part, Write) else None for _, part in parts],
        [place for place, _, _ in events],
        [ordinal for _, ordinal, _ in events],
        [event.name for _, _, event in events],
        [event.version for _, _, event in events],
        [event.model_dump_json() for _, _, event in events],
        clock.now(),
    )


def _tell(group: _Group, row: Row) -> None:
    """Give one group its verdict."""
    APPENDS.labels(row["verdict"]).inc()
    if group.verdict.done():  # its caller was cancelled
        return
    match row["verdict"]:
        case "recorded":
            group.verdict.set_result(Appended(row["last"] or 0))
        case "repeated":
            group.verdict.set_result(Repeated(row["last"]))
        case _:
            group.verdict.set_exception(Conflict(row["moved"]))
