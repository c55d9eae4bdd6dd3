"""The small form of `make bench-bulk`: more than a handler carries out by itself, and another account beside it."""

from tests.bulk.__main__ import MOST_GROWN
from tests.bulk.measuring import measured
from tests.support.story import Begin
from tests.support.system import System

MANY = 5500
HOUR = 60


async def test_thousands_are_enrolled_and_planned_while_ten_mails_of_another_account_go_out(
    calm_system: System, begin: Begin
) -> None:
    found = await measured(begin(calm_system), begin(calm_system), MANY, delay_minutes=HOUR)
    assert (found.enrolled, found.accepted, found.scheduled) == (MANY, MANY, MANY)
    assert max(found.grown.values()) < MOST_GROWN
