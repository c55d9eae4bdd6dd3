"""Commands over the real bus: one verdict, whatever is redelivered, killed or down."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from outrider.events.account import ChangePlan, PlanChanged
from outrider.events.bus import COMMANDS_STREAM, Bus
from outrider.events.commands import Answer, Commands
from outrider.events.errors import Refused
from tests.support.kernel import ACCOUNT, Kernel, changed, counter, kernel


class OddLimit(Refused, status=422, code="odd_limit"):
    """The limit is odd."""


@dataclass
class Decider:
    """A dispatcher of one kind of command, and the gateway that asks it."""

    kernel: Kernel
    gateway: Bus
    bus: Bus
    commands: Commands
    carried_out: list[UUID] = field(default_factory=list[UUID])

    async def change_plan(self, command: ChangePlan) -> Answer:
        """Even limits are accepted."""
        if (command.monthly_limit or 0) % 2:
            raise OddLimit(limit=command.monthly_limit)
        self.carried_out.append(command.command_id)
        done = await self.kernel.log.transact(
            command.account_id,
            counter,
            command.account_id,
            lambda _: [changed(command.monthly_limit or 0)],
            cause=command.command_id,
        )
        return Answer({"limit": command.monthly_limit}, position=done.position)


async def everything_seen(_: int) -> bool:
    return True


@asynccontextmanager
async def decider(urls: Mapping[str, str], nats_url: str, *, start: bool = True) -> AsyncGenerator[Decider]:
    async with kernel(urls, "api") as api, kernel(urls) as k:
        asking = Commands(api.pool, api.clock)
        deciding = Commands(k.pool, k.clock)
        found = Decider(k, Bus(nats_url, asking, "gateway"), Bus(nats_url, deciding, "decider"), deciding)
        found.bus.serve("dispatcher", {ChangePlan: found.change_plan}, everything_seen)
        await found.gateway.start()
        if start:
            await found.bus.start()
        try:
            yield found
        finally:
            await found.gateway.stop()
            await found.bus.stop()


def change(limit: int) -> ChangePlan:
    return ChangePlan(command_id=uuid4(), account_id=ACCOUNT, monthly_limit=limit)


async def test_a_command_is_answered_with_its_verdict(urls: Mapping[str, str], bus_url: str) -> None:
    async with decider(urls, bus_url) as d:
        command = change(4)
        verdict = await d.gateway.ask(command, "dispatcher", 0, 30)
        assert (verdict.status, verdict.http_status, verdict.body) == ("succeeded", 200, {"limit": 4})
        history = await d.kernel.log.read_stream(ACCOUNT, counter.stream(ACCOUNT))
        assert [item.position for item in history] == [verdict.position]
        assert [item.cause for item in history] == [command.command_id]


async def test_a_refusal_is_a_verdict_too(urls: Mapping[str, str], bus_url: str) -> None:
    async with decider(urls, bus_url) as d:
        verdict = await d.gateway.ask(change(3), "dispatcher", 0, 30)
        assert (verdict.status, verdict.http_status) == ("rejected", 422)
        assert verdict.body == {
            "type": "/errors/odd_limit",
            "status": 422,
            "code": "odd_limit",
            "message": "The limit is odd.",
            "details": {"limit": 3},
        }


async def test_a_command_redelivered_after_its_verdict_is_not_carried_out_again(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with decider(urls, bus_url) as d:
        for limit in (2, 3):
            command = change(limit)
            first = await d.gateway.ask(command, "dispatcher", 0, 30)
            before = len(d.carried_out)
            for _ in range(3):
                await d.bus.broker.publish(
                    str(command.command_id), "cmd.dispatcher", stream=COMMANDS_STREAM, timeout=5
                )
            after = await d.gateway.ask(change(8), "dispatcher", 0, 30)  # comes behind the repeats
            assert after.status == "succeeded"
            assert await d.commands.verdict(command.command_id) == first
            assert len(d.carried_out) == before + 1


async def test_many_commands_of_one_target_are_carried_out_in_the_order_accepted(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with decider(urls, bus_url, start=False) as d:
        commands = [change(2 * number) for number in range(30)]
        for command in commands:
            await Commands(d.kernel.pool, d.kernel.clock).verdict(command.command_id)
        asked = []
        for command in commands:
            asked.append(asyncio.create_task(d.gateway.ask(command, "dispatcher", 0, 60)))
            while await d.commands.verdict(command.command_id) is None:
                await asyncio.wait(asked, timeout=0.01)
        await d.bus.start()
        verdicts = await asyncio.gather(*asked)
        assert {verdict.status for verdict in verdicts} == {"succeeded"}
        history = await d.kernel.log.read_stream(ACCOUNT, counter.stream(ACCOUNT))
        limits = [item.event.monthly_limit for item in history if isinstance(item.event, PlanChanged)]
        assert limits == [2 * number for number in range(30)]


async def test_without_a_decider_the_command_is_kept_and_decided_later(urls: Mapping[str, str], bus_url: str) -> None:
    async with decider(urls, bus_url, start=False) as d:
        command = change(6)
        verdict = await d.gateway.ask(command, "dispatcher", 0, 0.2)
        assert verdict.status == "accepted"
        await d.bus.start()
        async with asyncio.timeout(60):
            while (now := await d.commands.verdict(command.command_id)) is None or now.status == "accepted":
                await d.gateway.healthy()
        assert now.status == "succeeded"
