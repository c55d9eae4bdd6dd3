"""Traces: which work led to which, across processes, and how long each part of it took.

What is asked for and waited for (a call, its command, a job) is one trace. A to-do begins a trace of its own that is
linked to what led to it: one call leads to thousands of mails over weeks, too many for one trace. Every event carries
the W3C traceparent of the work that recorded it.

Spans are made only where the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT); elsewhere the traceparent is
all there is, for the log lines. OTEL_TRACES_SAMPLER decides where a trace begins; what follows from recorded work is
recorded, and what follows from other work is not. Names are few, and what a span says of its work is ids, numbers and
words of ours: an exception is told by its class.
"""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

__all__ = [
    "Span",
    "SpanKind",
    "StatusCode",
    "begun",
    "export_spans",
    "exported",
    "follows",
    "step",
    "together",
    "trace_context",
    "trace_id",
    "traced",
]
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
RECORDED: Final = 1
"""The flag of a traceparent."""
MOST_LINKS: Final = 100
TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
Count = Callable[[str, int], None]
About = Mapping[str, str] | Mapping[str, int] | Mapping[str, str | int]
_at: ContextVar[str] = ContextVar("traceparent", default="")
_ids = RandomIdGenerator()


class _Tracers(NamedTuple):
    begin: Tracer
    """Records what the operator's sampler picks."""
    follow: Tracer
    """Records everything: for what follows from recorded work."""
    close: Callable[[], None]
    """Exports what is left."""


_exporting: list[_Tracers] = []
"""One, or none where no collector is named."""


def export_spans(service: str, count: Count) -> None:
    """From now on this process's spans go to the collector that the environment names, if it names one.

    `count` is told of spans that were `exported` or `lost`. What is not exported in time is dropped: nobody waits.
    """
    if not any(map(os.environ.get, ENDPOINTS)) or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return
    from outrider.events.spans import tracers  # noqa: PLC0415  # where nothing is exported, nothing of it is loaded

    if found := tracers(service, count):
        _exporting[:] = [_Tracers(*found)]


async def exported(seconds: float) -> None:
    """What was recorded has been exported, or so many seconds have passed; nothing is recorded any more."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    closing = [one.close for one in _exporting]
    _exporting.clear()

    def close() -> None:
        for each in closing:
            each()
        with suppress(RuntimeError):  # nobody waited for so long
            loop.call_soon_threadsafe(done.set)

    if closing:  # in a thread that the process does not wait for when it ends
        threading.Thread(target=close, name="tracing.close", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await done.wait()


def trace_context() -> dict[str, str]:
    """What goes into an event's `meta` and a message's headers: the traceparent of the work at hand, if it has one."""
    return {"traceparent": trace} if (trace := _at.get()) else {}


def trace_id() -> str:
    """Of the work at hand, or ""."""
    return trace[3:35] if (trace := _at.get()) else ""


@contextmanager
def begun(traceparent: str | None, name: str, kind: SpanKind, about: About) -> Generator[Span]:
    """What a stranger asks for: his trace goes on, or one begins; the sampler decides whether it is recorded."""
    parent = _sound(traceparent)
    if not _exporting:
        with _at_hand(parent or _fresh()):
            yield INVALID_SPAN
        return
    context = _context(parent) if parent else Context()
    with _spanned(_exporting[0].begin.start_span(name, context, kind, dict(about))) as span:
        yield span


@contextmanager
def traced(traceparent: str | None, name: str, kind: SpanKind, about: About) -> Generator[Span]:
    """What we asked ourselves for: that trace goes on; within work of the same trace this is a part of it."""
    here, parent = _at.get(), _sound(traceparent)
    if here and (not parent or here[:35] == parent[:35]):
        parent = here
    if not parent:
        with begun(None, name, kind, about) as span:
            yield span
    elif _exporting and _is_recorded(parent):
        with _spanned(_exporting[0].follow.start_span(name, _context(parent), kind, dict(about))) as span:
            yield span
    else:
        with _at_hand(parent):
            yield INVALID_SPAN


@contextmanager
def step(name: str, kind: SpanKind, about: About) -> Generator[Span]:
    """A part of the work at hand, where that is recorded."""
    if _exporting and _is_recorded(here := _at.get()):
        with _spanned(_exporting[0].follow.start_span(name, _context(here), kind, dict(about))) as span:
            yield span
    else:
        yield INVALID_SPAN


@contextmanager
def follows(
    name: str, origins: Sequence[str | None], kind: SpanKind, about: About, *, apart: bool = False
) -> Generator[Span]:
    """A trace begins that is linked to what led to it, where any of that is recorded.

    Within recorded work it is a part of that; with `apart` a trace of its own, linked to that too.
    """
    here = _at.get()
    inside = bool(_exporting) and not apart and _is_recorded(here)
    links = _links([*origins, here] if apart else origins) if _exporting else []
    if inside or links:
        context = _context(here) if inside else Context()
        with _spanned(_exporting[0].follow.start_span(name, context, kind, dict(about), links)) as span:
            yield span
    else:
        yield INVALID_SPAN


@contextmanager
def together(name: str, of: Sequence[str | None], kind: SpanKind, about: About) -> Generator[Span]:
    """What is done at once for several: a part of the one trace there is, or a trace of its own, linked to each."""
    links = _links(of) if _exporting else []
    if links:
        context = set_span_in_context(NonRecordingSpan(links[0].context), Context()) if len(links) == 1 else Context()
        many = links if len(links) > 1 else []
        with _spanned(_exporting[0].follow.start_span(name, context, kind, dict(about), many)) as span:
            yield span
    else:
        yield INVALID_SPAN


@contextmanager
def _spanned(span: Span) -> Generator[Span]:
    """The span is what is at hand, and ends with the block. Of what is raised only the class is told."""
    context = span.get_span_context()
    try:
        with _at_hand(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"):
            yield span
    except Exception as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


@contextmanager
def _at_hand(traceparent: str) -> Generator[None]:
    token = _at.set(traceparent)
    try:
        yield
    finally:
        _at.reset(token)


def _fresh() -> str:
    return f"00-{_ids.generate_trace_id():032x}-{_ids.generate_span_id():016x}-00"


def _sound(traceparent: str | None) -> str:
    return traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else ""


def _is_recorded(traceparent: str) -> bool:
    return bool(traceparent) and bool(int(traceparent[-2:], 16) & RECORDED)


def _span_context(traceparent: str) -> SpanContext:
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _context(traceparent: str) -> Context:
    return set_span_in_context(NonRecordingSpan(_span_context(traceparent)), Context())


def _links(traces: Sequence[str | None]) -> list[Link]:
    """To each recorded one, once, as far as a span may have them."""
    found = [one for one in dict.fromkeys(traces) if one and _is_recorded(one)]
    return [Link(_span_context(one)) for one in found[:MOST_LINKS]]
