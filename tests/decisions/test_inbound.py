"""What an answer records, and the name that keeps it from being recorded twice."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

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
