"""One trace from the request to the event; log lines that a machine can read."""

import json
import subprocess
import sys
from collections.abc import Mapping
from uuid import uuid4

import pytest

from outrider.events.log import Write
from outrider.events.telemetry import trace_context, traced
from tests.kernel.deciding import change, decider, gateway
from tests.support.kernel import ACCOUNT, changed, kernel

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_trace_of_a_request_is_found_in_what_it_led_to(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        with traced(PARENT):
            await bus.ask(change(2), "dispatcher", 0, 30)
        meta = await d.kernel.pool.fetchval("select meta from log.events")
        assert meta["traceparent"].split("-")[1] == PARENT.split("-")[1]
        assert meta["traceparent"] != PARENT


async def test_each_group_of_a_gathered_append_keeps_its_own_trace(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.log.append(ACCOUNT, Write("account-without", 0, [changed(1)], uuid4()))
        with traced(PARENT):
            await k.log.append(ACCOUNT, Write("account-with", 0, [changed(1)], uuid4()))
        found = await k.pool.fetch("select meta from log.events order by position")
        assert found[0]["meta"] == {}
        assert "0af7651916cd43dd8448eb211c80319c" in found[1]["meta"]["traceparent"]


@pytest.mark.parametrize("parent", [None, "", "00-short-b7ad6b7169203331-01", "nonsense", "-" * 40])
def test_without_a_readable_trace_one_begins(parent: str | None) -> None:
    assert trace_context() == {}
    with traced(parent):
        version, trace, span, flags = trace_context()["traceparent"].split("-")
        assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
    assert trace_context() == {}


def test_every_line_is_one_json_object_that_names_the_service() -> None:
    script = f"""
import logging
from outrider.events.telemetry import configure, logger, traced
configure("sender")
log = logger("outrider.sender")
with traced("{PARENT}"):
    log.info("delivery.sent", delivery_id="1")
log.debug("too much")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("reader.stopped")
logging.getLogger("nats").warning('it said "no"\\nand more')
"""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines[:2]] == ["delivery.sent", "reader.stopped"]
    assert lines[0] | {"timestamp": ""} == {
        "event": "delivery.sent",
        "delivery_id": "1",
        "service": "sender",
        "module": "outrider.sender",
        "level": "info",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "timestamp": "",
    }
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert lines[2]["event"] == 'it said "no"\nand more'
