"""Lanes: what uses up the same thing is told no faster than it has places; what was told is closed by an event."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID, uuid4

from outrider.events.claims import Places
from outrider.events.drain import Drain
from outrider.events.todo import close, hold, move
from tests.kernel.todos import KIND, Notes, come_round, emptied, fresh, let_pass, put, row, todo
from tests.support.kernel import kernel

AGAIN_SECONDS = 600


async def test_no_lane_is_told_more_than_it_has_places(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        wide, narrow, full = fresh(3)
        for lane in (wide, narrow, full):
            await put(k, *(todo(f"{lane}:{number}", lane=lane, owner=uuid4(), ordinal=1) for number in range(5)))
        notes = Notes()
        assert await notes.drain(k, {wide: 3, narrow: 1, full: 0}, again_seconds=AGAIN_SECONDS).once() == 4
        assert [sum(key.startswith(str(lane)) for key in notes.keys) for lane in (wide, narrow, full)] == [3, 1, 0]


async def test_each_to_do_of_a_lane_is_told_by_one_of_many_workers(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        lanes = dict.fromkeys(fresh(4), 5)
        for lane in lanes:
            await put(k, *(todo(f"{lane}:{number}", lane=lane, owner=uuid4(), ordinal=1) for number in range(30)))
        notes = Notes()
        drains = [notes.drain(one, lanes, again_seconds=AGAIN_SECONDS) for one in (k, k, other, other)]
        while await k.work.fetchval("select true from todos where not_before is null limit 1"):
            await asyncio.gather(*(drain.once() for drain in drains))
        assert len(notes.keys) == len(set(notes.keys)) == 120


async def test_two_processes_do_not_fill_the_same_places(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        lane = uuid4()
        await put(k, *(todo(f"{number}", lane=lane, owner=uuid4(), ordinal=1) for number in range(40)))

        async def left() -> Mapping[UUID, Places]:
            told = await k.work.fetchval("select count(*) from todos where not_before is not null")
            await asyncio.sleep(0)  # whoever else counts now would find the same
            return {lane: Places(5 - told, 5 - told)}

        notes = Notes()
        drains = [
            Drain(KIND, notes.do, one.work, one.clock, again_seconds=AGAIN_SECONDS, lanes=left)
            for one in (k, other, k, other)
        ]
        assert sum(await asyncio.gather(*(drain.once() for drain in drains))) == len(notes.keys) == 5


async def test_first_steps_leave_the_places_of_follow_ups_free(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        lane = uuid4()
        await put(k, *(todo(f"first {number}", lane=lane, owner=uuid4(), ordinal=1) for number in range(9)))
        await put(k, *(todo(f"second {number}", lane=lane, owner=uuid4(), ordinal=2) for number in range(2)))

        async def free() -> Mapping[UUID, Places]:
            return {lane: Places(9, 1)}

        notes = Notes()
        await Drain(KIND, notes.do, k.work, k.clock, again_seconds=AGAIN_SECONDS, lanes=free).once()
        assert sorted(key.split()[0] for key in notes.keys) == ["first", "second", "second"]


async def test_of_an_owner_the_lowest_open_step_goes_first(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        lane, owner = fresh(2)
        await put(k, *(todo(f"{step}", lane=lane, owner=owner, ordinal=step) for step in (3, 1, 2)))
        notes = Notes()
        drain = notes.drain(k, {lane: 20}, again_seconds=AGAIN_SECONDS)
        for step in (1, 2, 3):
            assert await drain.once() == 1
            assert await drain.once() == 0
            async with k.work.acquire() as db:
                await close(db, KIND, [f"{step}"])
        assert notes.keys == ["1", "2", "3"]


async def test_follow_ups_go_before_first_steps(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        lane = uuid4()
        await put(k, *(todo(f"first {number}", lane=lane, owner=uuid4(), ordinal=1) for number in range(4)))
        await put(k, *(todo(f"second {number}", lane=lane, owner=uuid4(), ordinal=2) for number in range(2)))
        notes = Notes()
        assert await notes.drain(k, {lane: 3}, again_seconds=AGAIN_SECONDS).once() == 3
        assert sorted(notes.keys)[1:] == ["second 0", "second 1"]


async def told(urls: Mapping[str, str], lane: UUID) -> Notes:
    """One row, told."""
    notes = Notes()
    async with kernel(urls) as k:
        await put(k, todo("step", lane=lane, scope=lane, owner=uuid4(), ordinal=1))
        assert await emptied(notes.drain(k, {lane: 1}, again_seconds=AGAIN_SECONDS)) == 1
        stands = await row(k, "step")
        assert stands["done_at"] is None
        assert 590 < (stands["not_before"] - k.clock.real()).total_seconds() < 601
    return notes


async def test_what_was_told_comes_again_unless_an_event_closes_it(urls: Mapping[str, str]) -> None:
    lane = uuid4()
    notes = await told(urls, lane)
    async with kernel(urls) as k:
        drain = notes.drain(k, {lane: 1}, again_seconds=AGAIN_SECONDS)
        await come_round(k)
        assert await emptied(drain) == 1
        assert (await row(k, "step"))["attempts"] == 0
        async with k.work.acquire() as db:
            await close(db, KIND, ["step"])
        await come_round(k)
        assert await emptied(drain) == 0
        assert notes.keys == ["step", "step"]


async def test_what_was_told_and_moved_is_told_again_at_its_new_time(urls: Mapping[str, str]) -> None:
    lane = uuid4()
    notes = await told(urls, lane)
    async with kernel(urls) as k:
        drain = notes.drain(k, {lane: 1}, again_seconds=AGAIN_SECONDS)
        async with k.work.acquire() as db:
            await move(db, KIND, ["step"], [k.clock.now() + timedelta(days=1)])
        assert await emptied(drain) == 0
        await let_pass(k, timedelta(days=1))
        assert await emptied(drain) == 1


async def test_what_was_told_held_and_released_is_told_again_at_once(urls: Mapping[str, str]) -> None:
    lane = uuid4()
    notes = await told(urls, lane)
    async with kernel(urls) as k:
        drain = notes.drain(k, {lane: 1}, again_seconds=AGAIN_SECONDS)
        for held, claimed in ((True, 0), (False, 1)):
            async with k.work.acquire() as db:
                await hold(db, KIND, [lane], held=held)
            assert await emptied(drain) == claimed


async def test_an_event_that_comes_while_a_row_is_told_has_the_last_word(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        lane = uuid4()
        keys = ["closed", "moved"]
        await put(k, *(todo(key, lane=lane, owner=uuid4(), ordinal=1) for key in keys))
        notes = Notes()
        notes.until.clear()
        drain = notes.drain(k, {lane: 2}, again_seconds=AGAIN_SECONDS)
        telling = asyncio.create_task(drain.once())
        await notes.begun.wait()
        tomorrow = k.clock.now() + timedelta(days=1)
        async with k.work.acquire() as db:
            await close(db, KIND, ["closed"])
            await move(db, KIND, ["moved"], [tomorrow])
        notes.until.set()
        assert await telling == 2
        assert (await row(k, "closed"))["done_at"] is not None
        stands = await row(k, "moved")
        assert (stands["not_before"], stands["due_at"]) == (None, tomorrow)
        assert await emptied(drain) == 0
