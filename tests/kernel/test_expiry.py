"""A command that nobody carried out in time is rejected for good, and stands in nobody's way."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from outrider.events.account import ChangePlan, PlanChanged
from outrider.events.bus import Bus
from outrider.events.campaign import PauseCampaign
from outrider.events.commands import LOCK, Commands, Verdict
from outrider.events.contact import UnsubscribeContact
from outrider.events.errors import NotYet
from tests.kernel.deciding import change, decider, everything_seen, gateway, redeliver
from tests.kernel.until import running
from tests.support.kernel import ACCOUNT, changed, counter, kernel


async def accepted(bus: Bus, *commands: ChangePlan) -> None:
    """They are kept, in this order; nobody is told yet who could decide them."""
    for command in commands:
        assert (await bus.ask(command, "dispatcher", 0, 0)).status == "accepted"


async def outwait(urls: Mapping[str, str], *commands: UUID, minutes: int = 15) -> None:
    """So much of their 15 minutes is over."""
    owner = await asyncpg.connect(urls["owner"])
    try:
        await owner.execute(
            "update log.commands set created_at = created_at - $2::interval, "
            "expires_at = expires_at - $2::interval where command_id = any($1)",
            list(commands),
            timedelta(minutes=minutes),
        )
    finally:
        await owner.close()


async def verdict(commands: Commands, command_id: UUID) -> Verdict:
    found = await commands.verdict(command_id)
    assert found is not None
    return found


def assert_expired(found: Verdict) -> None:
    assert (found.status, found.http_status, found.position) == ("rejected", 504, 0)
    assert found.body is not None
    assert (found.body["code"], found.body["status"]) == ("expired", 504)
    assert found.body["details"]["command_id"] == str(found.command_id)
    assert found.body["details"]["accepted_at"] < found.body["details"]["expired_at"]


async def test_a_command_that_comes_too_late_is_rejected_and_never_carried_out(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        command = change(4)
        await accepted(bus, command)
        await outwait(urls, command.command_id)
        await d.bus.start()
        await redeliver(bus, command)
        found = await bus.ask(command, "dispatcher", 0, 30)
        assert_expired(found)
        await redeliver(bus, command, 2)
        assert (await bus.ask(change(6), "dispatcher", 0, 30)).status == "succeeded"
        assert await bus.ask(command, "dispatcher", 0, 30) == found
        assert command.command_id not in d.begun
        assert len(await d.events()) == 1


async def test_a_dead_service_leaves_no_command_open_for_ever(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, kernel(urls, "api") as api:
        commands = Commands(api.pool, api.clock)
        late, later, young = change(2), change(4, uuid4()), change(6)
        await accepted(bus, late, later, young)
        await outwait(urls, late.command_id, later.command_id)
        async with running(bus.expire()):
            for command in (late, later):
                assert_expired(await bus.ask(command, "dispatcher", 0, 30))
        assert (await verdict(commands, young.command_id)).status == "accepted"
        assert await commands.expire() == []


async def test_an_expired_command_blocks_no_younger_one_of_its_target(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        old = [change(2), change(8)]
        young = change(4)
        await accepted(bus, *old, young)
        await outwait(urls, *(command.command_id for command in old))
        handlers = {ChangePlan.__name__: d.change_plan}

        async def reach(_: int) -> bool:
            return True

        assert await d.commands.carry_out(young.command_id, handlers, reach)
        assert (await verdict(d.commands, young.command_id)).status == "succeeded"
        for command in old:
            assert_expired(await verdict(d.commands, command.command_id))
        assert d.begun == [young.command_id]


async def test_a_command_that_is_just_being_decided_is_not_rejected(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, kernel(urls, "api") as api, kernel(urls) as dispatcher:
        command = change(4)
        await accepted(bus, command)
        await outwait(urls, command.command_id)
        async with dispatcher.pool.acquire() as deciding, deciding.transaction():
            await deciding.execute(LOCK, command.command_id)
            assert await Commands(api.pool, api.clock).expire() == []
        assert await Commands(api.pool, api.clock).expire() == [command.command_id]


async def test_what_was_recorded_before_its_decidingwas_killed_is_answered_however_late(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        command = change(4)
        await accepted(bus, command)
        await d.kernel.log.transact(ACCOUNT, counter, ACCOUNT, lambda _: [changed(4)], cause=command.command_id)
        await outwait(urls, command.command_id)
        assert await d.commands.expire() == []
        await d.bus.start()
        await redeliver(bus, command)
        assert (await bus.ask(command, "dispatcher", 0, 30)).status == "succeeded"
        assert [type(event) for event in await d.events()] == [PlanChanged]


@pytest.mark.parametrize("for_long", [True, False])
async def test_a_command_that_waits_for_what_goes_on_does_not_expire_meanwhile(
    urls: Mapping[str, str], bus_url: str, *, for_long: bool
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        command = change(4)
        await accepted(bus, command)

        async def wait() -> None:
            raise NotYet(1, for_long=for_long)

        d.before = wait
        for _ in range(2):
            await outwait(urls, command.command_id, minutes=8)
            with suppress(NotYet):
                await d.commands.carry_out(command.command_id, {ChangePlan.__name__: d.change_plan}, everything_seen)
        assert (await verdict(d.commands, command.command_id)).status == ("accepted" if for_long else "rejected")


async def test_a_pause_and_an_opt_out_never_expire(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, kernel(urls, "api") as api:
        commands = Commands(api.pool, api.clock)
        for lasting in (
            PauseCampaign(command_id=uuid4(), account_id=ACCOUNT, campaign_id=uuid4()),
            UnsubscribeContact(command_id=uuid4(), account_id=ACCOUNT, contact_id=uuid4()),
        ):
            assert (await bus.ask(lasting, "dispatcher", 0, 0)).status == "accepted"
            await outwait(urls, lasting.command_id)
            assert await commands.expire() == []
            assert (await verdict(commands, lasting.command_id)).status == "accepted"


@pytest.mark.parametrize("member", ["api", "dispatcher"])
async def test_both_the_gateway_and_the_decidingmay_reject(urls: Mapping[str, str], bus_url: str, member: str) -> None:
    async with gateway(urls, bus_url) as bus, kernel(urls, member) as k:
        command = change(4)
        await accepted(bus, command)
        await outwait(urls, command.command_id)
        assert await Commands(k.pool, k.clock).expire() == [command.command_id]
