"""One mail and one webhook in one connected trace; nothing of a person or a secret in it; a collector that hangs."""

from collections.abc import Generator
from typing import Final, cast

import httpx
import pytest

from tests.support.client import Json, until
from tests.support.collector import Collector, Told, collecting, ways
from tests.support.story import Begin, Story
from tests.support.system import StartSystem, System

SERVICES: Final = ("sender", "dispatcher", "api", "webhooks")
DISPATCH: Final = "POST /campaigns/{campaign_id}/dispatch"
WAY: Final = [
    ("outrider-api", DISPATCH),
    ("outrider-api", "tell dispatcher"),
    ("outrider-dispatcher", "take dispatcher"),
    ("outrider-dispatcher", "decide DispatchBatch"),
    ("outrider-dispatcher", "todo plan_batch"),
    ("outrider-dispatcher", "send_step"),
    ("outrider-dispatcher", "tell SendStep"),
    ("outrider-sender", "take SendStep"),
    ("outrider-sender", "settle"),
    ("outrider-webhooks", "POST webhook"),
]
OK: Final = 200
MARK: Final = "Zq7mark"
"""In everything that is somebody's: names, addresses, words, secrets, paths that a caller chose."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Generator[Collector]:
    """Every process that is started tells it of its spans."""
    with collecting() as one:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        yield one


async def test_a_dispatch_can_be_followed_to_the_mail_and_the_webhook(
    collector: Collector, start_system: StartSystem, begin: Begin
) -> None:
    system = await start_system(services=SERVICES)
    story = begin(system)
    webhook = {"url": f"{collector.url}/hook/{MARK}", "event_filters": ["enrollment.sent"]}
    secret = str(cast("Json", story.client.post("/webhooks", {"webhook": webhook}).body)["secret"])
    mailed(story, MARK)
    story.client.get(f"/campaigns/{MARK}")
    story.client.web.get(f"/{MARK}")

    way = until("all of the way to the webhook", lambda: _way(collector, "POST webhook"))
    assert [(span.service, span.name) for span in way] == WAY
    assert [span.began for span in way] == sorted(span.began for span in way)
    names = [span.name for span in collector.spans() if span.parent == way[-3].id]
    assert names == ["claim", "SMTP", "settle"]
    assert way[0].trace == way[3].trace, "a call and its command are one trace"
    assert way[5].trace == way[8].trace, "all about a mail is one trace"
    assert way[9].about["http.response.status_code"] == OK
    until("the refused one", lambda: {"Accepted", "Rejected"} <= {_outcome(span) for span in collector.spans()})
    stages = {span.stages for span in collector.spans() if span.name == "SMTP"}
    assert ("connected", "greeted", "logged in") in {one[:3] for one in stages}
    assert ("MAIL", "RCPT", "DATA") in {one[-3:] for one in stages}

    told = b"".join(collector.bodies)
    secrets = (secret, secret.removeprefix("whsec_"), system.api_key, system.operator_token, "sandbox")
    for mark in (MARK, MARK.lower(), story.from_domain, story.to_domain, *secrets):
        assert mark.encode() not in told, mark

    asked = {name: metrics(system, name) for name in SERVICES}
    for outcome, count in (("EmailSent", 1), ("EmailBounced", 1), ("DeliveryUnknown", 0)):
        assert f'outrider_sends_total{{outcome="{outcome}"}} {count}.0' in asked["sender"]
    assert 'outrider_messages_dead_total{what="SendStep"} 0.0' in asked["sender"], "an alert cannot see a series begin"
    assert 'outrider_commands_total{kind="DispatchBatch",status="200"} 1.0' in asked["dispatcher"]
    assert 'outrider_append_groups_total{verdict="recorded"}' in asked["dispatcher"]
    assert 'outrider_quota_messages{of="used"}' in asked["dispatcher"]
    assert 'outrider_webhook_attempts_total{outcome="taken"}' in asked["webhooks"]
    assert "outrider_webhook_first_attempt_seconds_count 0.0" not in asked["webhooks"]
    assert "outrider_webhook_late_seconds 0.0" in asked["webhooks"]

    collector.hangs.set()
    mailed(story, "others")
    system.stop(120)
    for name in SERVICES:
        assert "service.stopped" in (system.folder / f"{name}.log").read_text(), name


def mailed(story: Story, name: str) -> None:
    """Both people of a campaign were mailed; one is unknown to his server."""
    people = [story.person(f"{name}a", company=name), story.person(f"{name}b+refused")]
    campaign = story.dispatched(people, credentials=[story.credential(name.lower(), from_name=name)])
    story.client.until(campaign, "mailed", lambda shown: shown.totals.sent == len(people))


def metrics(system: System, name: str) -> str:
    """What a process shows."""
    return httpx.get(f"http://127.0.0.1:{system.site.ports[f'{name} health']}/metrics", trust_env=False).text


def _way(collector: Collector, name: str) -> list[Told]:
    spans = collector.spans()
    found = [way for span in spans if span.name == name for way in ways(spans, span, DISPATCH)]
    return found[0] if found else []


def _outcome(span: Told) -> object:
    return span.about.get("outrider.outcome")
