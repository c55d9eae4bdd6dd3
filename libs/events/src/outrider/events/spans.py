"""Spans to a collector, by OTLP over HTTP: loaded where the environment names one."""

import logging
import os
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

_log = logging.getLogger(__name__)


def tracers(service: str, count: Callable[[str, int], None]) -> tuple[Tracer, Tracer, Callable[[], None]]:
    """One that asks the sampler of the environment, one that records everything, and what exports the rest and ends.

    The queue, the batches and all waits are those of the standard variables; what does not fit is dropped.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a line a batch; ours says when it begins and ends
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"outrider-{service.replace('_', '-')}"}
    resource = Resource.create(named)
    processor = BatchSpanProcessor(_Counted(OTLPSpanExporter(), count))
    sampled = TracerProvider(resource=resource, shutdown_on_exit=False)
    all_of_them = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    for provider in (sampled, all_of_them):
        provider.add_span_processor(processor)
    name = "outrider.events"
    return sampled.get_tracer(name), all_of_them.get_tracer(name), processor.shutdown


class _Counted(SpanExporter):
    """Counts what was exported and what was lost, and says when that begins and ends."""

    def __init__(self, exporter: SpanExporter, count: Callable[[str, int], None]) -> None:
        self._exporter = exporter
        self._count = count
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        self._count("lost" if failed else "exported", len(spans))
        if failed != self._failing:
            self._failing = failed
            _log.warning("spans.lost" if failed else "spans.exported_again")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
