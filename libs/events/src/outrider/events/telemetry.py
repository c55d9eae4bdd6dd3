"""Structured logs, one JSON object a line, and the figures that a process counts."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import cast

import structlog
from prometheus_client import Counter, Gauge, Histogram

from outrider.events.tracing import export_spans, trace_id

APPENDS = Counter("outrider_append_groups_total", "Groups given to the log, by verdict.", ["verdict"])
READER_LAG = Gauge("outrider_reader_lag_events", "Events that a reader has not applied yet.", ["reader"])
READER_LAG_SECONDS = Gauge("outrider_reader_lag_seconds", "Since the first of them was recorded.", ["reader"])
READER_STOPPED = Gauge("outrider_reader_stopped", "1: a bug has stopped this process's reader.", ["reader"])
TODOS_DUE = Gauge("outrider_todos_due", "To-dos that are due and nobody is at; counted up to 10,000.", ["kind"])
TODOS_LATE_SECONDS = Gauge("outrider_todos_late_seconds", "Business time for which the first is due.", ["kind"])
TODOS_DEAD = Gauge("outrider_todos_dead", "To-dos that were given up, until someone retries them.", ["kind"])
RELAYED = Counter("outrider_relayed_total", "Events published to NATS, by category.", ["category"])
TODOS = Counter("outrider_todos_total", "To-dos carried out, by kind and outcome.", ["kind", "outcome"])
ENGAGEMENTS_LEFT_OUT = Counter(
    "outrider_engagements_left_out_total", "Opens and clicks of messages that have as many recorded already.", ["kind"]
)
SENDS = Counter("outrider_sends_total", "Claimed messages whose outcome this process recorded, by event.", ["outcome"])
QUOTA_MESSAGES = Gauge("outrider_quota_messages", "Today's, of mail accounts that sent any: used, and limit.", ["of"])
QUOTA_CREDENTIALS = Gauge("outrider_quota_credentials", "Those mail accounts, by the share that is used.", ["share"])
MAILBOX_STATES = Gauge(
    "outrider_mailboxes", "Mailboxes by state: watched by this process, late, refused, unwatched.", ["state"]
)
MAILBOX_AGE_SECONDS = Gauge(
    "outrider_mailbox_scan_age_seconds", "Since the last scan of the one for which it is longest."
)
INBOUND = Counter(
    "outrider_inbound_total", "Messages that answer one of ours, by the event recorded of them.", ["kind"]
)
WEBHOOK_LATE_SECONDS = Gauge(
    "outrider_webhook_late_seconds", "Since when a delivery is due to an endpoint that is well."
)
WEBHOOK_FIRST_SECONDS = Histogram(
    "outrider_webhook_first_attempt_seconds",
    "From the recording of an event to the first attempt to deliver it.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
WEBHOOK_ATTEMPTS = Counter(
    "outrider_webhook_attempts_total", "Attempts by outcome: taken, failed, given_up.", ["outcome"]
)
MESSAGES_DEAD = Counter(
    "outrider_messages_dead_total", "Messages of NATS that failed 20 times, by what took them.", ["what"]
)
COMMANDS = Counter("outrider_commands_total", "Commands decided, by kind and HTTP status.", ["kind", "status"])
SPANS = Counter("outrider_spans_total", "Spans for the collector of traces: exported, or lost.", ["outcome"])


def configure(service: str, level: str = "INFO") -> None:
    """Every log line of this process is from now on one JSON object on standard error that names the service.

    Its spans go to a collector where the environment names one.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_trace,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(service))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    export_spans(service, lambda outcome, spans: SPANS.labels(outcome).inc(spans))


class _Json(logging.Formatter):
    """What other packages log, as one JSON object too."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: structlog.typing.EventDict = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "module": record.name,
            "service": self._service,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(_with_trace(None, "", line))


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for one module; ids, never addresses or bodies."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(module=name))


def _with_trace(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if found := trace_id():
        line["trace_id"] = found
    return line
