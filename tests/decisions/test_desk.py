"""A credential whose host cannot be reached rests, longer each time, and goes on as soon as it can be."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from outrider.sender.composing import Mailer
from outrider.sender.desk import Desk, Line
from outrider.sender.smtp import Connections, Server

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def desk() -> Desk:
    server = Server("mail.example.com", 587, "starttls")
    return Desk(UUID(int=1), Line(1, Mailer(server, "ann@example.com", None, None), Connections(server)))


def test_rests_double_up_to_ten_minutes(desk: Desk) -> None:
    rests: list[float] = []
    now = NOW
    for _ in range(7):
        desk.missed(now)
        assert desk.rests_until is not None
        rests.append((desk.rests_until - now).total_seconds())
        now = desk.rests_until
    assert rests == [30, 60, 120, 240, 480, 600, 600]


def test_what_the_other_slot_met_counts_once(desk: Desk) -> None:
    desk.missed(NOW)
    desk.missed(NOW + timedelta(seconds=1))
    assert desk.rests_until == NOW + timedelta(seconds=30)


def test_an_answer_ends_the_rest(desk: Desk) -> None:
    desk.missed(NOW)
    desk.reached()
    assert desk.rests_until is None
    desk.missed(NOW)
    assert desk.rests_until == NOW + timedelta(seconds=30)
