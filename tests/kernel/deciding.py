"""A dispatcher of one kind of command, and the gateway that asks it, each with a connection of its own."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from outrider.events.account import ChangePlan
from outrider.events.bus import COMMANDS_STREAM, Bus
from outrider.events.commands import Answer, Commands
from outrider.events.errors import Refused
from outrider.events.message import Event
from tests.support.kernel import ACCOUNT, Kernel, changed, counter, kernel


class OddLimit(Refused, status=422, code="odd_limit"):
    """The limit is odd."""


async def everything_seen(_: int) -> bool:
    """Nothing is awaited."""
    return True


async def nothing() -> None:
    """Nothing comes in between."""


@dataclass
class Decider:
    """One replica that decides."""

    kernel: Kernel
    bus: Bus
    commands: Commands
    begun: list[UUID] = field(default_factory=list[UUID])
    """Each time that a handler was called."""
    before: Callable[[], Awaitable[None]] = nothing
    """Comes before what is recorded."""
    after: Callable[[], Awaitable[None]] = nothing
    """Comes between what is recorded and the verdict."""

    async def change_plan(self, command: ChangePlan) -> Answer:
        """Even limits are accepted."""
        self.begun.append(command.command_id)
        await self.before()
        if (command.monthly_limit or 0) % 2:
            raise OddLimit(limit=command.monthly_limit)
        done = await self.kernel.log.transact(
            command.account_id,
            counter,
            command.account_id,
            lambda _: [changed(command.monthly_limit or 0)],
            cause=command.command_id,
        )
        await self.after()
        return Answer({"limit": command.monthly_limit, "recorded": len(done.events)}, position=done.position)

    async def events(self, account: UUID = ACCOUNT) -> list[Event]:
        """What the account's stream holds."""
        return [item.event for item in await self.kernel.log.read_stream(account, counter.stream(account))]


@asynccontextmanager
async def decider(
    urls: Mapping[str, str],
    nats_url: str,
    *,
    start: bool = True,
    reach: Callable[[int], Awaitable[bool]] = everything_seen,
) -> AsyncGenerator[Decider]:
    """It consumes, or does once its bus is started."""
    async with kernel(urls) as k:
        commands = Commands(k.pool, k.clock)
        found = Decider(k, Bus(nats_url, commands, "decider"), commands)
        found.bus.serve("dispatcher", {ChangePlan: found.change_plan}, reach)
        if start:
            await found.bus.start()
        try:
            yield found
        finally:
            await found.bus.stop()


@asynccontextmanager
async def gateway(urls: Mapping[str, str], nats_url: str, *, start: bool = True) -> AsyncGenerator[Bus]:
    """The bus of an api."""
    async with kernel(urls, "api") as api:
        bus = Bus(nats_url, Commands(api.pool, api.clock), "gateway")
        if start:
            await bus.start()
        try:
            yield bus
        finally:
            await bus.stop()


def change(limit: int, account: UUID = ACCOUNT, command_id: UUID | None = None) -> ChangePlan:
    """A command; odd limits are refused."""
    return ChangePlan(command_id=command_id or uuid4(), account_id=account, monthly_limit=limit)


async def redeliver(bus: Bus, command: ChangePlan, times: int = 1) -> None:
    """The command's message comes again."""
    for _ in range(times):
        await bus.broker.publish(str(command.command_id), "cmd.dispatcher", stream=COMMANDS_STREAM, timeout=5)
