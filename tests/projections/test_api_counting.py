"""What is counted where: who was refused at once, what came back, how far an enrollment came, and rates."""

from collections.abc import Mapping

from outrider.api.paging import NEWEST
from outrider.api.queries_campaigns import BOUNCES, ONE, RECENT_BOUNCES, rates
from outrider.api.sends import OF_STATE
from tests.support.api_events import ACCOUNT, CAMPAIGN, CREDENTIAL, at, contact, enrollment, facts


async def test_whose_first_message_was_refused_is_sent_and_bounced_and_not_pending(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(2)
        await found.dispatch(range(2))
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["pending"], row["sent"]) == (2, 0), "who is scheduled is pending still"
        await found.settle(0, 1, "bounced")
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["pending"], row["sent"], row["bounced"]) == (1, 1, 1)
        assert (row["sends"], row["accepted"]) == (1, 0)
        one = await found.row("select status, sent_at from enrollments where enrollment_id = $1", enrollment(0))
        assert (one["status"], one["sent_at"]) == ("bounced", at(0))
        marked = await found.row("select bounced_at, bounce_reason from contacts where contact_id = $1", contact(0))
        assert (marked["bounced_at"] is not None, marked["bounce_reason"]) == (True, "user_unknown")


async def test_a_soft_bounce_counts_everywhere_and_does_not_mark_the_contact(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(1)
        await found.dispatch(range(1))
        await found.settle(0, 1)
        await found.come_back(0, 1)
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["bounced"], rates(row)["bounce_rate"]) == (1, 100.0)
        counted = await found.row("select bounces from credential_counts where credential_id = $1", CREDENTIAL)
        assert counted["bounces"] == 1
        one = await found.row("select status, bounce_kind from enrollments where enrollment_id = $1", enrollment(0))
        assert tuple(one.values()) == ("bounced", "soft")
        marked = await found.row("select bounced_at, bounce_reason from contacts where contact_id = $1", contact(0))
        assert tuple(marked.values()) == (None, None)


async def test_a_status_is_the_furthest_that_came_and_sent_at_the_first_message(urls: Mapping[str, str]) -> None:
    query = "select status, sent_at, steps_sent from enrollments where enrollment_id = $1"
    async with facts(urls) as found:
        await found.begin(1)
        seen: list[tuple[object, ...]] = []

        async def look() -> None:
            await found.catch_up()
            seen.append(tuple((await found.row(query, enrollment(0))).values()))

        await look()
        await found.dispatch(range(1))
        await look()
        await found.settle(0, 1)
        await look()
        await found.open(0)
        await look()
        await found.settle(0, 2)
        await look()
        await found.reply(0, 2)
        await found.open(0)
        await look()
    assert seen == [
        ("pending", None, 0),
        ("scheduled", None, 0),
        ("sent", at(0), 1),
        ("opened", at(0), 1),
        ("opened", at(0), 2),
        ("replied", at(0), 2),
    ]


async def test_recent_bounces_are_the_20_newest(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(22)
        await found.dispatch(range(22))
        for number in range(22):
            await found.settle(number, 1, "bounced" if number < 21 else "sent")
        await found.come_back(21, 1)
        await found.catch_up()
        rows = await found.tables.fetch(BOUNCES, CAMPAIGN, RECENT_BOUNCES)
        assert [row["enrollment_id"] for row in rows] == [enrollment(number) for number in range(21, 1, -1)]


def test_rates_have_one_decimal_and_are_zero_of_nothing() -> None:
    of_three = {"bounced": 1, "sends": 3, "opened": 2, "replied": 1, "sent": 3}
    assert rates(of_three) == {"bounce_rate": 33.3, "open_rate": 66.7, "reply_rate": 33.3}
    assert set(rates(dict.fromkeys(of_three, 0)).values()) == {0.0}


async def test_sends_of_one_state_are_found_without_looking_at_the_others(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        values = (ACCOUNT, NEWEST, 101, None, "failed")
        plan = await found.tables.fetch(f"explain {OF_STATE}", *values)
        text = "\n".join(row["QUERY PLAN"] for row in plan)
        assert "sends_state" in text, text
        assert "state = 'failed'" in text.partition("Index Cond")[2].splitlines()[0], text
