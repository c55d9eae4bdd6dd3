"""What is recorded of opens and clicks, and which of them may have been a person's."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from outrider.api.engagement import (
    MOST_CLICKS,
    MOST_OPENS,
    TOO_SOON,
    Engagement,
    accepted_at,
    counts,
    engagement,
    record_click,
    record_open,
)
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryEvent,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailSent,
)
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.message import Event

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ID = UUID("0190b7a4-0000-7000-8000-000000000001")
BROWSER = "Mozilla/5.0 (X11; Linux) Gecko Thunderbird"
_opened = partial(EmailOpened, delivery_id=ID, enrollment_id=ID, campaign_id=ID, contact_id=ID, position=1)
_clicked = partial(LinkClicked, delivery_id=ID, enrollment_id=ID, campaign_id=ID, contact_id=ID, position=1)

_about = partial(
    DeliveryEvent,
    delivery_id=ID,
    enrollment_id=ID,
    campaign_id=ID,
    contact_id=ID,
    credential_id=ID,
    position=1,
    attempt=1,
)


def opened(*, counts: bool) -> EmailOpened:
    return _opened(opened_at=AT, counts=counts)


def clicked(*, counts: bool) -> LinkClicked:
    return _clicked(link_number=3, clicked_at=AT, counts=counts)


def after(*events: Event) -> Engagement:
    return engagement.fold(events)


def test_a_click_is_an_open_too_unless_one_is_known() -> None:
    by_click = _opened(opened_at=AT, counts=True, by="click")
    assert record_click(clicked(counts=True), after()) == (by_click, clicked(counts=True))
    assert record_click(clicked(counts=True), after(opened(counts=False))) == (by_click, clicked(counts=True))
    assert record_click(clicked(counts=True), after(opened(counts=True))) == (clicked(counts=True),)
    assert record_click(clicked(counts=False), after()) == (clicked(counts=False),)


def test_a_machine_that_fetches_without_end_hides_no_person() -> None:
    hammered = after(*[opened(counts=False)] * MOST_OPENS, *[clicked(counts=False)] * MOST_CLICKS)
    assert record_open(opened(counts=False), hammered) == ()
    assert record_click(clicked(counts=False), hammered) == ()
    assert record_open(opened(counts=True), hammered) == (opened(counts=True),)
    assert len(record_click(clicked(counts=True), hammered)) == 2


def test_of_what_counts_twenty_are_recorded() -> None:
    state = after(*[opened(counts=True)] * MOST_OPENS, *[clicked(counts=True)] * MOST_CLICKS)
    assert record_open(opened(counts=True), state) == record_click(clicked(counts=True), state) == ()


@pytest.mark.parametrize(
    ("agent", "person"),
    [
        (BROWSER, True),
        ("", True),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15", True),
        ("Mozilla/5.0", False),
        ("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", False),
        ("YahooMailProxy; https://help.yahoo.com/", False),
        ("Barracuda Sentinel (EE)", False),
        ("Slackbot-LinkExpanding 1.0", False),
        ("python-requests/2.32", False),
    ],
)
def test_known_proxies_and_scanners_do_not_count(agent: str, person: bool) -> None:  # noqa: FBT001  # a table
    assert counts(agent, AT - timedelta(hours=1), AT) is person


def test_nobody_reads_within_two_seconds() -> None:
    assert not counts(BROWSER, AT, AT + TOO_SOON - timedelta(milliseconds=1))
    assert counts(BROWSER, AT, AT + TOO_SOON)


def test_nobody_reads_what_no_server_is_known_to_have_accepted() -> None:
    assert not counts(BROWSER, None, AT)
    later = AT + timedelta(minutes=5)
    about = _about().model_dump()
    started = DeliveryStarted(**about, claim=ID, day=AT.date(), counted=True, template_version=1, planned_at=AT)
    deferred = DeliveryDeferred(**about, by="recipient_server", status_code="451", not_before=AT, first_attempt_at=AT)
    sent = EmailSent(**about, planned_at=AT, sent_at=later, status_code="250")
    unknown = DeliveryUnknown(**about, reason="lost_after_data", at=AT)
    not_sent = DeliveryResolved(**about, outcome="not_sent", at=later)
    for waits in ([], [started], [started, deferred], [started, unknown, not_sent], [started, unknown, started]):
        assert accepted_at(waits) is None
    assert accepted_at([started, unknown]) == AT
    assert accepted_at([started, deferred, started, sent]) == accepted_at([started, unknown, sent]) == later


def test_the_rule_is_written_down() -> None:
    page = (Path(__file__).parents[2] / "docs/tracking.md").read_text("utf-8")
    for word in ("Google", "Yahoo", "Barracuda", "Safe Links", "bot", "scanner", "curl", f"{TOO_SOON.seconds} seconds"):
        assert word in page
