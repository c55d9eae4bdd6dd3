# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The messages of protobuf have no types that a checker could follow.
"""A collector of traces: OTLP over HTTP on loopback, which keeps what it hears, or hangs."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, cast

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATH: Final = "/v1/traces"


@dataclass(frozen=True)
class Told:
    """A span as it arrived."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    links: tuple[bytes, ...]
    """The spans that it is linked to."""
    began: int
    ended: int
    """Nanoseconds since 1970."""
    about: dict[str, object]
    failed: bool
    stages: tuple[str, ...]
    """The events of the span, in order."""


@dataclass
class Collector:
    """What was heard."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list[bytes])
    hooks: list[bytes] = field(default_factory=list[bytes])
    """Bodies of what was posted anywhere else: it is an endpoint of webhooks too."""
    hangs: threading.Event = field(default_factory=threading.Event)
    """While it is set, spans are not answered."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Told]:
        """Everything so far, in the order in which it began."""
        return sorted((span for body in list(self.bodies) for span in _spans(body)), key=lambda span: span.began)


def ways(spans: list[Told], last: Told, first: str) -> list[list[Told]]:
    """Each way from a span of that name to `last`, over parents and links."""
    by_id = {span.id: span for span in spans}
    if last.name == first:
        return [[last]]
    before = [by_id[one] for one in dict.fromkeys((last.parent, *last.links)) if one in by_id]
    return [[*way, last] for span in before for way in ways(spans, span, first)]


@contextmanager
def collecting() -> Generator[Collector]:
    """It listens, in a thread of its own: tests may block theirs."""
    server = _Server(("127.0.0.1", 0), _Handler)
    collector = server.collector
    collector.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.over.set()
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        self.collector = Collector()
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name is the library's
        """Keep it."""
        collector = cast("_Server", self.server).collector
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != PATH:
            collector.hooks.append(body)
        elif collector.hangs.is_set():
            collector.over.wait()
        else:
            collector.bodies.append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the library's
        """Say nothing."""


def _spans(body: bytes) -> Iterator[Told]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Told(
                    service=service,
                    name=span.name,
                    trace=span.trace_id,
                    id=span.span_id,
                    parent=span.parent_span_id,
                    links=tuple(link.span_id for link in span.links),
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    about={one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes},
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    stages=tuple(event.name for event in span.events),
                )
