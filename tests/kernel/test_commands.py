"""Commands over the real bus: one verdict, in the order in which they were accepted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID, uuid4

import pytest

from outrider.events.account import PlanChanged
from outrider.events.bus import Bus
from outrider.events.campaign import DispatchBatch, EnrollContact, EnrollImport, PauseCampaign, ResumeCampaign
from outrider.events.commands import Answer, Commands, Verdict
from outrider.events.errors import NotYet, Unavailable
from outrider.events.message import Command, Event
from tests.kernel.deciding import change, decider, everything_seen, gateway, redeliver
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, counter, kernel
from tests.support.servers import Server


async def test_a_command_is_answered_with_its_verdict(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        command = change(4)
        verdict = await bus.ask(command, "dispatcher", 0, 30)
        assert (verdict.status, verdict.http_status) == ("succeeded", 200)
        assert verdict.body == {"limit": 4, "recorded": 1}
        history = await d.kernel.log.read_stream(ACCOUNT, counter.stream(ACCOUNT))
        assert [(item.position, item.cause) for item in history] == [(verdict.position, command.command_id)]


async def test_a_refusal_is_a_verdict_too(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url):
        verdict = await bus.ask(change(3), "dispatcher", 0, 30)
        assert (verdict.status, verdict.http_status, verdict.position) == ("rejected", 422, 0)
        assert verdict.body == {
            "type": "/errors/odd_limit",
            "status": 422,
            "code": "odd_limit",
            "message": "The limit is odd.",
            "details": {"limit": 3},
        }


async def test_a_command_asked_twice_is_one_command(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        command = change(4)
        verdicts = await asyncio.gather(*(bus.ask(command, "dispatcher", 0, 30) for _ in range(3)))
        assert len({verdict.position for verdict in verdicts}) == 1
        assert await bus.ask(command, "dispatcher", 0, 30) == verdicts[0]
        assert len(await d.events()) == 1


def limits(events: list[Event]) -> list[int | None]:
    return [event.monthly_limit for event in events if isinstance(event, PlanChanged)]


async def test_two_deciders_keep_the_order_in_which_the_commands_of_a_target_were_accepted(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with (
        gateway(urls, bus_url) as bus,
        decider(urls, bus_url, start=False) as one,
        decider(urls, bus_url, start=False) as two,
    ):
        commands = [change(2 * number) for number in range(24)]
        asked: list[asyncio.Task[Verdict]] = []
        for command in commands:
            asked.append(asyncio.create_task(bus.ask(command, "dispatcher", 0, 60)))
            await until("it is accepted", accepted(one.commands, command.command_id))
        for command in reversed(commands):
            await redeliver(bus, command)  # the wrong way round
        await asyncio.gather(one.bus.start(), two.bus.start())
        verdicts = await asyncio.gather(*asked)
        assert {verdict.status for verdict in verdicts} == {"succeeded"}
        assert limits(await one.events()) == [2 * number for number in range(24)]
        assert len(one.begun) + len(two.begun) == 24
        assert one.begun
        assert two.begun


def accepted(commands: Commands, command_id: UUID) -> Callable[[], Awaitable[bool]]:
    async def stands() -> bool:
        return await commands.verdict(command_id) is not None

    return stands


def decided(commands: Commands, command_id: UUID) -> Callable[[], Awaitable[bool]]:
    async def stands() -> bool:
        verdict = await commands.verdict(command_id)
        return verdict is not None and verdict.status != "accepted"

    return stands


async def test_commands_of_different_targets_do_not_wait_for_each_other(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        slow, go_on = change(2, uuid4()), asyncio.Event()

        async def wait() -> None:
            if d.begun[-1] == slow.command_id:
                await go_on.wait()

        d.before = wait
        waiting = asyncio.create_task(bus.ask(slow, "dispatcher", 0, 60))
        await until("it is being decided", lambda: d.begun == [slow.command_id])
        assert (await bus.ask(change(4, uuid4()), "dispatcher", 0, 30)).status == "succeeded"
        go_on.set()
        assert (await waiting).status == "succeeded"


async def test_a_pause_overtakes_an_import_that_is_enrolled_and_what_waits_for_it_but_no_dispatch(
    urls: Mapping[str, str], bus_url: str
) -> None:
    begun, enrolled, campaign_id = list[str](), asyncio.Event(), uuid4()
    of_it = {"account_id": ACCOUNT, "campaign_id": campaign_id}

    async def carry_out(command: Command) -> Answer:
        begun.append(command.kind)
        if isinstance(command, EnrollImport) and not enrolled.is_set():
            raise NotYet(0.1)
        return Answer({})

    async with gateway(urls, bus_url) as bus, kernel(urls) as k:
        commands = Commands(k.pool, k.clock)
        deciding = Bus(bus_url, commands, "decider")
        kinds = (EnrollImport, EnrollContact, PauseCampaign, ResumeCampaign, DispatchBatch)
        deciding.serve("dispatcher", dict.fromkeys(kinds, carry_out), everything_seen)
        await deciding.start()
        importing = EnrollImport.model_validate({**of_it, "command_id": uuid4(), "import_id": uuid4()})
        waiting = [asyncio.create_task(bus.ask(importing, "dispatcher", 0, 60))]
        await until("it is begun", lambda: bool(begun))
        at_once: tuple[type[Command], ...] = (PauseCampaign, ResumeCampaign)
        behind: tuple[type[Command], ...] = (DispatchBatch, PauseCampaign)
        for command in [kind.model_validate({**of_it, "command_id": uuid4()}) for kind in at_once]:
            assert (await bus.ask(command, "dispatcher", 0, 60)).status == "succeeded"
        one = EnrollContact.model_validate({**of_it, "command_id": uuid4(), "contact_id": uuid4()})
        waiting.append(asyncio.create_task(bus.ask(one, "dispatcher", 0, 60)))
        await until("it waits", accepted(commands, one.command_id))
        pause = PauseCampaign.model_validate({**of_it, "command_id": uuid4()})
        assert (await bus.ask(pause, "dispatcher", 0, 60)).status == "succeeded"
        for command in [kind.model_validate({**of_it, "command_id": uuid4()}) for kind in behind]:
            waiting.append(asyncio.create_task(bus.ask(command, "dispatcher", 0, 60)))
            await until("it is accepted", accepted(commands, command.command_id))
        enrolled.set()
        assert {verdict.status for verdict in await asyncio.gather(*waiting)} == {"succeeded"}
        assert [kind for kind in begun if kind != "EnrollImport"] == [
            *("PauseCampaign", "ResumeCampaign", "PauseCampaign"),
            *("EnrollContact", "DispatchBatch", "PauseCampaign"),
        ]
        assert begun.index("DispatchBatch") > max(n for n, kind in enumerate(begun) if kind == "EnrollImport")
        await deciding.stop()


async def test_nothing_is_decided_before_the_decider_has_seen_what_the_caller_saw(
    urls: Mapping[str, str], bus_url: str
) -> None:
    asked: list[int] = []

    async def reach(position: int) -> bool:
        asked.append(position)
        return len(asked) > 1

    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, reach=reach) as d:
        assert (await bus.ask(change(4), "dispatcher", 17, 30)).status == "succeeded"
        assert asked == [17, 17]
        assert len(d.begun) == 1


async def test_without_a_decider_the_command_is_kept_and_decided_later(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        command = change(6)
        assert (await bus.ask(command, "dispatcher", 0, 0.1)).status == "accepted"
        await d.bus.start()
        await until("it is decided", decided(d.commands, command.command_id))
        assert (await bus.ask(command, "dispatcher", 0, 30)).status == "succeeded"


async def test_without_nats_the_command_is_kept_and_answered_as_accepted(
    urls: Mapping[str, str], bus_url: str, nats_server: Server
) -> None:
    async with gateway(urls, bus_url) as bus:
        nats_server.kill()
        command = change(6)
        async with asyncio.timeout(60):
            assert (await bus.ask(command, "dispatcher", 0, 0.5)).status == "accepted"
        async with decider(urls, bus_url, start=False) as d:
            verdict = await d.commands.verdict(command.command_id)
            assert verdict is not None
            assert verdict.status == "accepted"
        nats_server.revive()


async def test_without_a_database_nothing_is_accepted(urls: Mapping[str, str], bus_url: str) -> None:
    async with kernel(urls, "api") as api:
        bus = Bus(bus_url, Commands(api.pool, api.clock), "gateway")
        api.pool.terminate()
        with pytest.raises(Unavailable):
            await bus.ask(change(2), "dispatcher", 0)


@pytest.mark.parametrize(
    ("service", "others"),
    [("dispatcher", "sender"), ("sender_tests", "dispatcher"), ("dispatcher", "reply_watcher")],
)
async def test_a_verdict_is_for_nobody_else_to_give(
    urls: Mapping[str, str], bus_url: str, service: str, others: str
) -> None:
    async with gateway(urls, bus_url) as bus, kernel(urls, others) as other:
        command = change(2)
        await bus.ask(command, service, 0, 0)
        commands = Commands(other.pool, other.clock)
        assert await commands.verdict(command.command_id) is None
        assert not await commands.carry_out(command.command_id, {}, everything_seen)
        assert await other.pool.execute("update log.commands set status = 'succeeded'") == "UPDATE 0"
        assert (await bus.ask(command, service, 0, 0)).status == "accepted"
