"""A run of the whole product with a Prometheus beside it, and what that answers to the queries of a dashboard."""

import json
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.pictures.drawing import Line
from tests.support.client import until
from tests.support.collector import Collector
from tests.support.story import Story

SCRAPE_SECONDS: Final = 2
POINTS: Final = 60
"""Of a line."""
EVERY_SECONDS: Final = 25
"""Another campaign."""
DAILY: Final = 12
"""The limit of one mail account, which it reaches."""


def tell(story: Story, collector: Collector, seconds: float) -> None:
    """Campaigns with all kinds of people, one after the other, for so long; webhooks hear of them."""
    story.client.post("/webhooks", {"webhook": {"url": f"{collector.url}/hook", "event_filters": ["*"]}})
    story.client.post("/webhooks", {"webhook": {"url": "http://127.0.0.1:9/", "event_filters": ["enrollment.sent"]}})
    began, number = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        tags = ("", "", "", "+open", "+reply1", "+away1", "+refused", "+grey", "+bounce1")
        people = [story.person(f"c{number}n{n}{tags[n % len(tags)]}") for n in range(27)]
        few = {"daily_limit": DAILY} if number == 0 else {"imap_password": "wrong"} if number == 1 else {}
        credentials = [story.credential(f"ann{number}", **few), story.credential(f"ben{number}")]
        story.dispatched(people, 0, 0, wait_seconds=1, credentials=credentials)
        number += 1
        _wait_until(began + number * EVERY_SECONDS)


def _wait_until(moment: float) -> None:
    until("the next campaign's time", lambda: time.monotonic() > moment)


@contextmanager
def prometheus(folder: Path, port: int, targets: Mapping[str, int]) -> Generator[str]:
    """It scrapes these ports by name, as the chart's ServiceMonitor has it done; its URL."""
    jobs = [{"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]} for name, at in targets.items()]
    config = {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    url = f"http://127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # constants
            [  # noqa: S607  # Debian's
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until("prometheus is ready", lambda: _ready(url))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def lines(url: str, board: Mapping[str, Any], began: float, ended: float) -> dict[int, Sequence[Line]]:
    """What each panel shows, by its id."""
    return {
        panel["id"]: [
            line
            for target in panel["targets"]
            for line in _asked(url, target["expr"], target["legendFormat"], began, ended)
        ]
        for panel in board["panels"]
    }


def _asked(url: str, query: str, legend: str, began: float, ended: float) -> list[Line]:
    step = (ended - began) / POINTS
    asked = {"query": query, "start": str(began), "end": str(ended), "step": f"{step:.3f}"}
    answer = httpx.get(f"{url}/api/v1/query_range", params=asked, timeout=60, trust_env=False).json()
    assert answer["status"] == "success", answer
    return [
        Line(_named(legend, found["metric"]), [(at - began, float(value)) for at, value in found["values"]])
        for found in answer["data"]["result"]
    ]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        legend = legend.replace("{{" + name + "}}", value)
    return legend


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False
