"""The log: all or nothing per group, one order, one verdict for each caller."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import pytest

from outrider.events.contact import AddressReserved, ContactAdded
from outrider.events.database import Forbidden
from outrider.events.errors import Conflict
from outrider.events.log import Appended, Expect, Repeated, Write
from tests.support.kernel import ACCOUNT, changed, counter, kernel

STREAM = counter.stream(ACCOUNT)


async def test_a_group_is_recorded_on_all_its_streams_or_on_none(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        contact, key = uuid4(), "a" * 32
        added = ContactAdded(contact_id=contact, import_id=None, address_key=key)
        reserved = AddressReserved(address_key=key, contact_id=contact)
        cause = uuid4()
        verdict = await k.log.append(
            ACCOUNT, Write(f"contact-{contact}", 0, [added], cause), Write(f"address-{key}", 0, [reserved], cause)
        )
        assert isinstance(verdict, Appended)
        other = uuid4()
        with pytest.raises(Conflict) as conflict:
            await k.log.append(
                ACCOUNT,
                Write(f"contact-{other}", 0, [added], uuid4()),
                Write(f"address-{key}", 0, [reserved], uuid4()),
            )
        assert conflict.value.streams == (f"address-{key}",)
        assert await k.log.read_stream(ACCOUNT, f"contact-{other}") == []
        assert [item.event for item in await k.log.read_stream(ACCOUNT, f"contact-{contact}")] == [added]


async def test_a_repeated_cause_records_nothing_and_says_so(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        cause = uuid4()
        first = await k.log.append(ACCOUNT, Write(STREAM, 0, [changed(1), changed(2)], cause))
        again = await k.log.append(ACCOUNT, Write(STREAM, 0, [changed(1), changed(2)], cause))
        assert again == Repeated(first.position)
        assert len(await k.log.read_stream(ACCOUNT, STREAM)) == 2


async def test_a_group_of_which_only_some_causes_stand_is_a_conflict(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        cause = uuid4()
        await k.log.append(ACCOUNT, Write(STREAM, 0, [changed(1)], cause))
        with pytest.raises(Conflict) as conflict:
            await k.log.append(
                ACCOUNT, Write(STREAM, 1, [changed(1)], cause), Write("account-other", 0, [changed(1)], cause)
            )
        assert conflict.value.streams == (STREAM,)


async def test_an_expectation_is_asserted_and_nothing_is_written_to_it(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.log.append(ACCOUNT, Write(STREAM, 0, [changed(1)], uuid4()))
        await k.log.append(ACCOUNT, Write("account-a", 0, [changed(1)], uuid4()), Expect(STREAM, 1))
        with pytest.raises(Conflict):
            await k.log.append(ACCOUNT, Write("account-b", 0, [changed(1)], uuid4()), Expect(STREAM, 0))
        assert len(await k.log.read_stream(ACCOUNT, STREAM)) == 1
        assert await k.log.read_stream(ACCOUNT, "account-b") == []


async def test_only_the_stale_caller_of_a_gathered_append_is_in_conflict(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        writes = [Write(f"account-{number}", 0, [changed(number)], uuid4()) for number in range(50)]
        stale = Write("account-stale", 7, [changed(0)], uuid4())
        verdicts = await asyncio.gather(
            *(k.log.append(ACCOUNT, write) for write in [*writes[:25], stale, *writes[25:]]), return_exceptions=True
        )
        assert [type(verdict) for verdict in verdicts if not isinstance(verdict, Appended)] == [Conflict]
        assert isinstance(verdicts[25], Conflict)


async def test_two_groups_of_one_stream_never_share_a_call(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        verdicts = await asyncio.gather(
            k.log.append(ACCOUNT, Write("account-warm", 0, [changed(1)], uuid4())),
            k.log.append(ACCOUNT, Write(STREAM, 0, [changed(1)], uuid4())),
            k.log.append(ACCOUNT, Write("account-x", 0, [changed(1)], uuid4()), Expect(STREAM, 0)),
            k.log.append(ACCOUNT, Write(STREAM, 1, [changed(2)], uuid4())),
            return_exceptions=True,
        )
        assert [type(verdict) for verdict in verdicts] == [Appended, Appended, Conflict, Appended]


async def test_twenty_racing_commands_on_one_aggregate_are_each_carried_out_once(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as one, kernel(urls) as two:
        causes = [uuid4() for _ in range(20)]

        async def race(number: int) -> int:
            log = (one if number % 2 else two).log
            done = await log.transact(ACCOUNT, counter, ACCOUNT, lambda _: [changed(number)], cause=causes[number])
            assert not done.repeated
            return done.position

        positions = await asyncio.gather(*(race(number) for number in range(20)))
        assert len(set(positions)) == 20
        history = await one.log.read_stream(ACCOUNT, STREAM)
        assert sorted(item.cause for item in history) == sorted(causes)
        assert counter.fold(item.event for item in history).changes == 20


async def test_a_repeated_transaction_decides_nothing_and_answers_what_was_recorded(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        cause = uuid4()
        first = await k.log.transact(ACCOUNT, counter, ACCOUNT, lambda _: [changed(5)], cause=cause)
        await k.log.transact(ACCOUNT, counter, ACCOUNT, lambda _: [changed(6)], cause=uuid4())
        again = await k.log.transact(ACCOUNT, counter, ACCOUNT, lambda _: [changed(99)], cause=cause)
        assert (again.repeated, again.events, again.position) == (True, first.events, first.position)
        assert again.state.changes == 2


async def test_a_stream_of_another_service_is_refused(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "sender") as k:
        with pytest.raises(Forbidden):
            await k.log.append(ACCOUNT, Write(STREAM, 0, [changed(1)], uuid4()))
        assert await k.log.read_stream(ACCOUNT, STREAM) == []


@pytest.mark.parametrize("member", ["api", "dispatcher", "sender", "reply_watcher"])
async def test_nobody_may_insert_update_or_delete_events(urls: Mapping[str, str], member: str) -> None:
    async with kernel(urls, member) as k:
        for statement in (
            "insert into log.events (shard) values (1)",
            "update log.events set data = '{}'",
            "delete from log.events",
            "truncate log.events",
        ):
            with pytest.raises(Forbidden):
                await k.pool.execute(statement)


async def test_positions_rise_in_commit_order_while_processes_race(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as one, kernel(urls) as two:
        seen: list[int] = []
        done = asyncio.Event()

        async def read() -> None:
            position = 0
            while True:
                last_round = done.is_set()
                events, position, _ = await one.log.read_after(position, {"PlanChanged"}, 50)
                seen.extend(item.position for item in events)
                if last_round and not events:
                    return

        async def write(log_number: int) -> None:
            log = (one, two)[log_number % 2].log
            for _ in range(20):
                await log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(1)], uuid4()))

        reading = asyncio.create_task(read())
        await asyncio.gather(*(write(number) for number in range(10)))
        done.set()
        await reading
        recorded = await one.pool.fetch("select position from log.events order by position")
        assert seen == [row["position"] for row in recorded]
        assert len(seen) == 200
