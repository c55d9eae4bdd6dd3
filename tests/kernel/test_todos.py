"""To-dos: at least once each, by any number of workers; what fails comes again, and at last is dead."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from outrider.events import lookout as kernel_lookout
from outrider.events.claims import Places
from outrider.events.drain import TRIES, Drain, each
from outrider.events.errors import NotYet, Unavailable
from outrider.events.figures import Gauging
from outrider.events.lookout import Lookout
from outrider.events.todo import Todo, cancel, close, hold, move
from tests.kernel.todos import KIND, LONG_AGO, Notes, come_round, emptied, put, row, todo
from tests.kernel.until import line, process, running, until
from tests.support.kernel import ACCOUNT, kernel

HOLDING = """
import asyncio, sys
from outrider.events.clock import real_clock
from outrider.events.database import connect
from outrider.events.drain import Drain

async def do(todos):
    print(*(todo.key for todo in todos), flush=True)
    await asyncio.Event().wait()

async def main():
    work = await connect(sys.argv[1], "dispatcher_work")
    await Drain("note_it", do, work, real_clock(), lease_seconds=float(sys.argv[2])).once()

asyncio.run(main())
"""


async def test_each_to_do_is_claimed_by_one_of_many_workers(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        await put(k, *(todo(f"{number}") for number in range(200)))
        notes = Notes()
        drains = [notes.drain(one, batch=7) for one in (k, k, k, other, other, other)]
        claimed = await asyncio.gather(*(emptied(drain) for drain in drains))
        assert sum(claimed) == len(notes.keys) == 200
        assert len(set(notes.keys)) == 200


async def test_what_a_killed_worker_held_is_taken_up_when_its_lease_is_over(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await put(k, todo("held by the dead"))
        notes = Notes()
        drain = notes.drain(k)
        async with process(HOLDING, urls["outrider_dispatcher"], "3") as worker:
            assert await line(worker) == "held by the dead"
            assert await drain.once() == 0
            worker.kill()
        assert await drain.once() == 0  # nobody knows that it is dead
        async with running(drain.follow(), Lookout([drain], k.work, k.clock).follow()):
            await until("the lease is over", lambda: notes.keys == ["held by the dead"])


async def test_a_worker_that_was_slower_than_its_lease_does_not_close_what_another_one_took(
    urls: Mapping[str, str],
) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        await put(k, todo("slow"))
        slow, quick = Notes(), Notes()
        slow.until.clear()
        working = asyncio.create_task(slow.drain(k, lease_seconds=0).once())
        await slow.begun.wait()
        quick.until.clear()
        taking = asyncio.create_task(quick.drain(other).once())
        await quick.begun.wait()
        slow.until.set()
        await working
        assert (await row(k, "slow"))["done_at"] is None
        quick.until.set()
        await taking
        assert (await row(k, "slow"))["done_at"] is not None


async def test_what_is_slow_is_begun_by_nobody_else(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        await put(k, todo("slow"))
        slow, quick = Notes(), Notes()
        slow.until.clear()
        working = asyncio.create_task(slow.drain(k, lease_seconds=2).once())
        await slow.begun.wait()
        first = (await row(k, "slow"))["not_before"]

        async with asyncio.timeout(180):
            while (await row(k, "slow"))["not_before"] == first:  # noqa: ASYNC110  # the condition lies in Postgres
                await asyncio.sleep(0.05)
        assert await quick.drain(other).once() == 0
        slow.until.set()
        await working
        assert (await row(k, "slow"))["done_at"] is not None
        assert quick.keys == []


async def test_a_to_do_whose_key_stood_already_is_not_added_again(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        notes = Notes()
        await put(k, todo("once"), todo("cancelled", owner=ACCOUNT))
        async with k.work.acquire() as db:
            await cancel(db, KIND, [ACCOUNT])
        assert await emptied(notes.drain(k)) == 1
        await put(k, todo("once"), todo("cancelled", owner=ACCOUNT))
        assert await emptied(notes.drain(k)) == 0
        assert notes.keys == ["once"]
        assert (await row(k, "cancelled"))["error"] == "cancelled"


async def test_a_failure_sends_back_the_guilty_alone_and_later_each_time(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        notes = Notes(fails={"bad": ArithmeticError("no")})
        await put(k, todo("good"), todo("bad"), todo("better"))
        drain = notes.drain(k)
        delays: list[float] = []
        for attempt in range(3):
            assert await drain.once() == (3 if attempt == 0 else 1)
            stands = await row(k, "bad")
            assert (stands["attempts"], stands["error"]) == (attempt + 1, "ArithmeticError: no")
            delays.append((stands["not_before"] - k.clock.real()).total_seconds())
            assert await drain.once() == 0
            await come_round(k)
        assert sorted(notes.keys) == ["better", "good"]
        assert [round(delay) for delay in delays] == [5, 10, 20]
        notes.fails.clear()
        assert await emptied(drain) == 1
        assert notes.keys[-1] == "bad"


async def test_after_twenty_failures_a_to_do_is_dead(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        notes = Notes(fails={"hopeless": ArithmeticError("no")})
        await put(k, todo("hopeless"))
        drain = notes.drain(k)
        for _ in range(TRIES):
            assert await drain.once() == 1
            await come_round(k)
        assert await drain.once() == 0
        stands = await row(k, "hopeless")
        assert (stands["attempts"], stands["done_at"]) == (TRIES, None)
        assert stands["dead_at"] is not None


@pytest.mark.parametrize("failure", [NotYet(30), Unavailable("nats"), ConnectionRefusedError(), TimeoutError()])
async def test_what_only_has_to_wait_does_not_count_as_a_failure(urls: Mapping[str, str], failure: Exception) -> None:
    async with kernel(urls) as k:
        notes = Notes(fails={"later": failure})
        await put(k, todo("later"))
        assert await notes.drain(k).once() == 1
        stands = await row(k, "later")
        assert (stands["attempts"], stands["error"], stands["done_at"]) == (0, None, None)
        assert stands["not_before"] > k.clock.real()
        notes.fails.clear()
        await come_round(k)
        assert await notes.drain(k).once() == 1


async def test_what_is_held_waits_until_it_is_released(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        held, free = uuid4(), uuid4()
        await put(k, todo("a", scope=held), todo("b", scope=free), todo("c", scope=held))
        notes = Notes()
        drain = notes.drain(k)
        async with k.work.acquire() as db:
            await hold(db, KIND, [held], held=True)
        assert await emptied(drain) == 1
        assert await drain.once("a", "c") == 0
        async with k.work.acquire() as db:
            await hold(db, KIND, [held], held=False)
        assert await emptied(drain) == 2
        assert notes.keys == ["b", "a", "c"]


async def test_a_to_do_closed_by_an_event_is_not_carried_out(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await put(k, todo("proved"), todo("open"))
        async with k.work.acquire() as db:
            await close(db, KIND, ["proved"])
        notes = Notes()
        assert await emptied(notes.drain(k)) == 1
        assert notes.keys == ["open"]


async def test_nothing_is_carried_out_before_it_is_due_and_then_at_once(
    urls: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_lookout, "POLL_SECONDS", 60.0)
    async with kernel(urls) as k:
        due = k.clock.now() + timedelta(seconds=0.5)
        await put(k, Todo(KIND, "soon", ACCOUNT, due), Todo(KIND, "not soon", ACCOUNT, due + timedelta(days=1)))
        notes = Notes()
        drain = notes.drain(k)
        assert await drain.once() == 0
        lookout = Lookout([drain], k.work, k.clock)
        async with running(drain.follow(), lookout.follow()):
            await until("it is due", lambda: notes.keys == ["soon"])
            assert k.clock.now() >= due
            async with k.work.acquire() as db:
                await move(db, KIND, ["not soon"], [LONG_AGO])
            lookout.ring()
            await until("it was moved", lambda: notes.keys == ["soon", "not soon"])


async def test_a_drain_goes_on_whatever_fails_and_says_so_meanwhile(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        notes = Notes()
        lane, failing = uuid4(), True

        async def free() -> Mapping[UUID, Places]:
            if failing:
                raise ArithmeticError("the lanes cannot be told")
            return {lane: Places(1, 1)}

        drain = Drain(KIND, notes.do, k.work, k.clock, lanes=free)
        await put(k, todo("waiting", lane=lane))
        async with running(drain.follow()):
            await until("it says so", lambda: isinstance(drain.failed, ArithmeticError))
            failing = False
            drain.ring()
            await until("it goes on", lambda: notes.keys == ["waiting"])
            await until("it says so", lambda: drain.failed is None)


async def test_a_lookout_says_when_it_has_to_look_again(urls: Mapping[str, str]) -> None:
    """When the next row falls due of those kinds that do not look for themselves, and a second later at the latest."""
    async with kernel(urls) as k:
        notes = Notes()
        other = Drain("another", notes.do, k.work, k.clock)
        lookout = Lookout([notes.drain(k, {}), other], k.work, k.clock)
        now = k.clock.now()
        await put(k, todo("left to its drain"), replace(todo("later"), kind="another", due_at=now + timedelta(days=1)))
        assert await lookout.look() == kernel_lookout.POLL_SECONDS
        await put(k, replace(todo("soon"), kind="another", due_at=now + timedelta(seconds=0.5)))
        assert await lookout.look() <= 0.5


async def test_a_lookout_goes_on_whatever_fails_and_says_so_meanwhile(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        notes = Notes()
        drain = notes.drain(k)
        lookout = Lookout([drain], k.work, k.clock)
        await put(k, todo("waiting"))
        await k.work.execute("alter table todos rename to elsewhere")
        async with running(drain.follow(), lookout.follow()):
            await until("both say so", lambda: lookout.failed is not None and drain.failed is not None)
            await k.work.execute("alter table elsewhere rename to todos")
            await until("it goes on", lambda: notes.keys == ["waiting"])
            await until("both say so", lambda: lookout.failed is None and drain.failed is None)


async def test_what_is_due_and_how_late_is_shown(urls: Mapping[str, str]) -> None:
    """What waits, is held, done, or somebody is at, is not due; what was given up is counted apart."""
    async with kernel(urls) as k:
        drain = Notes().drain(k)
        gauging = Gauging(k.log, k.work, k.clock, [], [drain])
        assert (await gauging.measure())["todos"] == [{"kind": KIND, "due": 0, "late_seconds": 0.0}]
        hour = timedelta(hours=1)
        now = k.clock.now()
        await put(k, *(replace(todo(name), due_at=now - hour) for name in ("late", "held", "taken", "done", "dead")))
        await put(k, replace(todo("now"), due_at=now), replace(todo("later"), due_at=now + hour))
        for name, change in (
            ("held", "held = true"),
            ("taken", "not_before = now() + interval '1 hour'"),
            ("done", "done_at = now()"),
            ("dead", "dead_at = now()"),
        ):
            await k.work.execute(f"update todos set {change} where key = $1", name)  # noqa: S608  # constants
        [shown] = (await gauging.measure())["todos"]
        assert (shown["kind"], shown["due"]) == (KIND, 2)
        assert 3600 <= float(shown["late_seconds"]) < 7200
        assert REGISTRY.get_sample_value("outrider_todos_due", {"kind": KIND}) == 2
        assert REGISTRY.get_sample_value("outrider_todos_dead", {"kind": KIND}) == 1


async def test_one_by_one_a_failure_leaves_the_others_done(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        done: list[str] = []

        async def do(one: Todo) -> None:
            if one.key == "bad":
                raise ArithmeticError
            done.append(one.key)

        await put(k, todo("a"), todo("bad"), todo("c"))
        await emptied(Drain(KIND, each(do), k.work, k.clock, batch=1))
        assert sorted(done) == ["a", "c"]
        assert (await row(k, "bad"))["attempts"] == 1
