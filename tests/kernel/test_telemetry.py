"""One trace from the request to the event, as ids and as spans; log lines that a machine can read."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from outrider.events.drain import Drain
from outrider.events.log import Write
from outrider.events.todo import Todo, add
from outrider.events.tracing import SpanKind, begun, export_spans, exported, trace_context, traced
from tests.kernel.deciding import change, decider, gateway
from tests.support.client import until
from tests.support.collector import Collector, Told, collecting
from tests.support.kernel import ACCOUNT, changed, kernel

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALL = ("a call", SpanKind.SERVER, dict[str, str]())
SECONDS = 60


def uncounted(what: str, number: int) -> None:
    del what, number


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Collector]:
    """This process's spans go there, until the test is over."""
    with collecting() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        yield one
        await exported(SECONDS)


async def told(collector: Collector) -> dict[str, list[Told]]:
    """All spans of this process, by name."""
    await exported(SECONDS)
    spans: dict[str, list[Told]] = {}
    for span in collector.spans():
        spans.setdefault(span.name, []).append(span)
    return spans


async def test_the_trace_of_a_request_is_found_in_what_it_led_to(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        with begun(PARENT, *CALL):
            await bus.ask(change(2), "dispatcher", 0, 30)
        meta = await d.kernel.pool.fetchval("select meta from log.events")
        assert meta["traceparent"] == PARENT


async def test_each_group_of_a_gathered_append_keeps_its_own_trace(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.log.append(ACCOUNT, Write("account-without", 0, [changed(1)], uuid4()))
        with begun(PARENT, *CALL):
            await k.log.append(ACCOUNT, Write("account-with", 0, [changed(1)], uuid4()))
        found = await k.pool.fetch("select meta from log.events order by position")
        assert found[0]["meta"] == {}
        assert "0af7651916cd43dd8448eb211c80319c" in found[1]["meta"]["traceparent"]


@pytest.mark.parametrize("parent", [None, "", "00-short-b7ad6b7169203331-01", "nonsense", "-" * 40])
def test_without_a_readable_trace_one_begins(parent: str | None) -> None:
    assert trace_context() == {}
    with begun(parent, *CALL):
        version, trace, span, flags = trace_context()["traceparent"].split("-")
        assert (version, len(trace), len(span), flags) == ("00", 32, 16, "00"), "nobody records it"
        with traced(None, "a command", SpanKind.CONSUMER, {}):
            assert trace_context()["traceparent"].split("-")[1] == trace
    assert trace_context() == {}


async def test_an_append_that_two_traces_share_is_linked_to_both(urls: Mapping[str, str], collector: Collector) -> None:
    async with kernel(urls) as k:

        async def call(stream: str) -> None:
            with begun(None, *CALL):
                await k.log.append(ACCOUNT, Write(stream, 0, [changed(1)], uuid4()))

        export_spans("kernel", uncounted)
        await call("account-0")
        await asyncio.gather(call("account-1"), call("account-2"))
        spans = await told(collector)
    alone, shared = spans["append"]
    first, second, third = spans["a call"]
    assert (alone.trace, alone.parent, alone.links) == (first.trace, first.id, ())
    assert (shared.parent, set(shared.links)) == (b"", {second.id, third.id})
    assert shared.trace not in {first.trace, second.trace, third.trace}


async def test_a_to_do_is_a_trace_of_its_own_that_is_linked_to_what_led_to_it(
    urls: Mapping[str, str], collector: Collector
) -> None:
    async with kernel(urls) as k:
        traces: list[str] = []

        async def do(todos: object) -> None:
            del todos
            traces.append(trace_context()["traceparent"])

        export_spans("kernel", uncounted)
        with begun(None, *CALL):
            led = trace_context()["traceparent"]
        now = k.clock.now()
        todos = [Todo("greet", f"{number}", ACCOUNT, now, trace=led if number else None) for number in range(2)]
        async with k.work.acquire() as db:
            await add(db, todos)
        assert await Drain("greet", do, k.work, k.clock).once() == len(todos)
        spans = await told(collector)
    (call,), (todo,) = spans["a call"], spans["todo greet"]
    assert (todo.parent, todo.links, todo.about["outrider.todos"]) == (b"", (call.id,), len(todos))
    assert [trace.split("-")[1] for trace in traces] == [todo.trace.hex()]


async def test_what_the_sampler_leaves_out_leads_to_nothing_that_is_recorded(
    urls: Mapping[str, str], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    async with kernel(urls) as k:
        export_spans("kernel", uncounted)
        for stream, parent in (("account-out", None), ("account-in", PARENT)):
            with begun(parent, *CALL):
                await k.log.append(ACCOUNT, Write(stream, 0, [changed(1)], uuid4()))
        found = {stream: (await k.log.read_stream(ACCOUNT, f"account-{stream}"))[0] for stream in ("out", "in")}
        spans = await told(collector)
    assert not int(found["out"].meta["traceparent"][-2:], 16) & 1
    assert found["out"].trace is None
    assert found["in"].trace is not None
    assert {name: {span.trace.hex() for span in some} for name, some in spans.items()} == {
        "a call": {PARENT.split("-")[1]},
        "append": {PARENT.split("-")[1]},
    }


async def test_a_collector_that_hangs_holds_nothing_up(collector: Collector) -> None:
    counted: dict[str, int] = {}

    def count(outcome: str, spans: int) -> None:
        counted[outcome] = counted.get(outcome, 0) + spans

    collector.hangs.set()
    export_spans("kernel", count)
    for _ in range(5000):  # more than the queue holds
        with begun(None, *CALL):
            pass
    assert collector.bodies == []
    await exported(0.1)
    with begun(None, *CALL):
        assert trace_context()["traceparent"].endswith("-00"), "nothing is recorded any more"
    await asyncio.to_thread(until, "the time of one export is over", lambda: counted.get("lost"))
    assert "exported" not in counted


def test_every_line_is_one_json_object_that_names_the_service() -> None:
    script = f"""
import logging
from outrider.events.telemetry import configure, logger
from outrider.events.tracing import SpanKind, begun
configure("sender")
log = logger("outrider.sender")
with begun("{PARENT}", "a call", SpanKind.SERVER, {{}}):
    log.info("delivery.sent", delivery_id="1")
    logging.getLogger("nats").warning('it said "no"\\nand more')
log.debug("too much")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("reader.stopped")
"""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta() for line in lines)
    shared = {"service": "sender", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    ours = {"event": "delivery.sent", "delivery_id": "1", "module": "outrider.sender", "level": "info"}
    theirs = {"event": 'it said "no"\nand more', "module": "nats", "level": "warning"}
    assert lines[:2] == [ours | shared, theirs | shared]
    assert lines[2]["event"] == "reader.stopped"
    assert "ZeroDivisionError" in lines[2]["exception"]
