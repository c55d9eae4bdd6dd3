"""What an answer records, and the name that keeps it from being recorded twice."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from outrider.events.gates import effect
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    InboundEvent,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.message import Event
from outrider.reply_watcher.classifying import (
    AutomaticReply,
    Bounce,
    DeliveryNotice,
    FeedbackReport,
    HumanReply,
    OptOut,
    Verdict,
)
from outrider.reply_watcher.glancing import subject_matches
from outrider.reply_watcher.inbound import Match, cause_name, observe, stream

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
MATCH = Match(UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4), UUID(int=5), 2)


@pytest.mark.parametrize(
    ("verdict", "recorded"),
    [
        (HumanReply("Re: Hi", "Yes, please"), ReplyReceived),
        (AutomaticReply(date(2026, 2, 1)), AutoReplyReceived),
        (Bounce(("bob@example.com",), "hard", "5.1.1", "user_unknown"), BounceReceived),
        (OptOut(), OptOutReceived),
        (FeedbackReport("bob@example.com"), ComplaintReceived),
    ],
)
def test_each_verdict_records_one_event_about_the_message_answered(
    verdict: Verdict, recorded: type[InboundEvent]
) -> None:
    (event,) = observe(verdict, MATCH, AT)
    assert type(event) is recorded
    assert (event.delivery_id, event.enrollment_id, event.position, event.received_at) == (
        MATCH.delivery_id,
        MATCH.enrollment_id,
        2,
        AT,
    )
    assert Event.load(event.name, event.version, event.as_json()) == event


@pytest.mark.parametrize(("stops", "reason"), [(True, "replied"), (False, None)])
def test_a_suspected_reply_closes_the_gate_if_the_campaign_wants_it(
    stops: bool,  # noqa: FBT001  # a parameter of the test
    reason: str | None,
) -> None:
    suspected = replace(MATCH, suspected=True)
    (event,) = observe(HumanReply("Re: Hi", "Yes"), suspected, AT, stops_on_suspicion=stops)
    assert isinstance(event, ReplyReceived)
    assert (event.suspected, event.stops) == (True, stops)
    assert effect(event) == reason
    (sure,) = observe(HumanReply("Re: Hi", "Yes"), MATCH, AT, stops_on_suspicion=stops)
    assert effect(sure) == "replied"


def test_a_report_that_is_only_suspected_records_nothing() -> None:
    suspected = replace(MATCH, suspected=True)
    assert observe(Bounce(("bob@example.com",), "hard", "5.1.1", "user_unknown"), suspected, AT) == ()
    assert observe(FeedbackReport("bob@example.com"), suspected, AT) == ()


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("Re: Hello Bob", "Hello Bob", True),
        ("AW: WG: [EXTERN] hello  BOB", "Re: Hello Bob", True),
        ("Re[2]: Hello Bob", "Hello Bob", True),
        ("回复\uff1aHello Bob", "Hello Bob", True),
        ("Automatic reply: Hello Bob", "Hello Bob", True),
        ("Hello Bob!", "Hello Bob", False),
        ("Re:", "Re: ", False),
        ("Anything", "", False),
    ],
)
def test_a_subject_answers_another_whatever_programs_put_before_it(
    theirs: str,
    ours: str,
    same: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    assert subject_matches(theirs, ours) is same


def test_a_delivery_notice_records_nothing() -> None:
    assert observe(DeliveryNotice("delayed"), MATCH, AT) == ()


def test_nothing_that_a_person_wrote_is_recorded() -> None:
    (event,) = observe(HumanReply("My secret subject", "my secret words"), MATCH, AT)
    assert "secret" not in event.model_dump_json()


def test_a_message_has_one_name_for_ever() -> None:
    assert cause_name("imap.example.com:993/ann", "inbox", 7, 12) == "imap.example.com:993/ann/INBOX/7/12"
    assert cause_name("imap.example.com:993/ann", "Junk", 7, 12) != cause_name(
        "imap.example.com:993/ann", "Junk", 8, 12
    )


def test_an_enrollment_has_one_stream() -> None:
    assert stream(MATCH) == f"inbound-{MATCH.enrollment_id}"
