"""JetStream delivers at least once: before, during and after a command is carried out, to several replicas."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import pytest

from outrider.events import bus as kernel_bus
from outrider.events import commands as kernel_commands
from outrider.events.account import PlanChanged
from outrider.events.bus import COMMANDS_STREAM
from outrider.events.message import UnknownCommand, UnknownEvent
from tests.kernel.deciding import change, decider, gateway, redeliver
from tests.kernel.until import line, process, running, until

HANGING = """
import asyncio, sys
from tests.kernel.deciding import decider

async def main():
    async with decider({"outrider_dispatcher": sys.argv[1]}, sys.argv[2], start=False) as d:
        async def hang():
            print("recorded", flush=True)
            await asyncio.Event().wait()

        d.after = hang
        await d.bus.start()
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(("limit", "events"), [(2, 1), (3, 0)])
async def test_a_command_redelivered_before_it_is_carried_out_is_carried_out_once(
    urls: Mapping[str, str], bus_url: str, limit: int, events: int
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        command, last = change(limit), change(4)
        assert (await bus.ask(command, "dispatcher", 0, 0)).status == "accepted"
        await redeliver(bus, command, 5)
        await d.bus.start()
        assert (await bus.ask(last, "dispatcher", 0, 30)).status == "succeeded"
        assert d.begun == [command.command_id, last.command_id]
        assert len(await d.events()) == events + 1


@pytest.mark.parametrize(("limit", "events"), [(2, 1), (3, 0)])
async def test_a_command_redelivered_while_it_is_carried_out_is_carried_out_once(
    urls: Mapping[str, str], bus_url: str, limit: int, events: int
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as one, decider(urls, bus_url) as two:
        command, go_on = change(limit), asyncio.Event()

        async def wait() -> None:
            await go_on.wait()

        one.before = two.before = wait
        asked = asyncio.create_task(bus.ask(command, "dispatcher", 0, 60))
        await until("one decides", lambda: len(one.begun) + len(two.begun) == 1)
        await redeliver(bus, command, 6)

        async def delivered() -> bool:
            stands = await bus.broker.connection.jetstream().consumer_info(COMMANDS_STREAM, "dispatcher")
            return stands.delivered is not None and stands.delivered.stream_seq >= 7

        await until("every repeat was delivered", delivered)
        go_on.set()
        verdict = await asked
        assert (await bus.ask(change(4), "dispatcher", 0, 30)).status == "succeeded"
        assert len(one.begun) + len(two.begun) == 2
        assert await one.commands.verdict(command.command_id) == verdict
        assert len(await one.events()) == events + 1


@pytest.mark.parametrize(("limit", "events"), [(2, 1), (3, 0)])
async def test_a_command_redelivered_after_its_verdict_is_not_carried_out_again(
    urls: Mapping[str, str], bus_url: str, limit: int, events: int
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        command = change(limit)
        first = await bus.ask(command, "dispatcher", 0, 30)
        await redeliver(bus, command, 3)
        assert (await bus.ask(change(8), "dispatcher", 0, 30)).status == "succeeded"  # comes behind the repeats
        assert await bus.ask(command, "dispatcher", 0, 30) == first
        assert len(d.begun) == 2
        assert len(await d.events()) == events + 1


async def test_a_decider_that_fails_between_record_and_verdict_gives_the_same_answer_again(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        command = change(4)

        async def fail_once() -> None:
            if len(d.begun) == 1:
                raise ConnectionResetError

        d.after = fail_once
        verdict = await bus.ask(command, "dispatcher", 0, 30)
        assert (verdict.status, verdict.body) == ("succeeded", {"limit": 4, "recorded": 1})
        assert len(d.begun) == 2
        assert len(await d.events()) == 1


async def test_a_command_whose_handler_always_raises_is_rejected_and_holds_up_no_younger_one(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_commands, "FAILURES", 2)
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        command, younger = change(4), change(6)

        async def raise_for_it() -> None:
            if d.begun[-1] == command.command_id:
                raise ArithmeticError

        d.before = raise_for_it
        asked = asyncio.create_task(bus.ask(command, "dispatcher", 0, 60))
        await until("it failed", lambda: len(d.begun) == 1)
        assert (await bus.ask(younger, "dispatcher", 0, 60)).status == "succeeded"
        verdict = await asked
        assert (verdict.status, verdict.http_status, verdict.position) == ("rejected", 500, 0)
        assert (verdict.body or {})["code"] == "failed"
        assert d.begun == [command.command_id] * 2 + [younger.command_id]
        assert len(await d.events()) == 1


@pytest.mark.parametrize("unknown", [UnknownEvent("CampaignPaused v2"), UnknownCommand("HoldCampaign")])
async def test_what_only_a_newer_version_can_decide_is_left_to_it_and_never_rejected(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch, unknown: Exception
) -> None:
    monkeypatch.setattr(kernel_commands, "FAILURES", 1)
    monkeypatch.setattr(kernel_commands, "NEWER_SECONDS", 0.1)
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:

        async def be_older_twice() -> None:
            if len(d.begun) < 3:
                raise unknown

        d.before = be_older_twice
        verdict = await bus.ask(change(4), "dispatcher", 0, 60)
        assert (verdict.status, len(d.begun)) == ("succeeded", 3)


async def test_what_was_recorded_is_answered_however_often_its_handler_raised(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_commands, "FAILURES", 1)
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:

        async def raise_twice() -> None:
            if len(d.begun) < 3:
                raise ArithmeticError

        d.after = raise_twice
        verdict = await bus.ask(change(4), "dispatcher", 0, 60)
        assert (verdict.status, verdict.body) == ("succeeded", {"limit": 4, "recorded": 1})
        assert (len(d.begun), len(await d.events())) == (3, 1)


async def test_what_a_killed_decider_recorded_is_answered_by_another(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_commands, "RETELL", timedelta(0))
    monkeypatch.setattr(kernel_bus, "RETELL_SECONDS", 0.1)
    async with gateway(urls, bus_url) as bus, running(bus.retell()):
        command = change(4)
        async with process(HANGING, urls["outrider_dispatcher"], bus_url) as killed:
            asked = asyncio.create_task(bus.ask(command, "dispatcher", 0, 60))
            assert await line(killed) == "recorded"
            killed.kill()
        async with decider(urls, bus_url) as d:
            verdict = await asked
            assert (verdict.status, verdict.body) == ("succeeded", {"limit": 4, "recorded": 1})
            assert (len(d.begun), len(await d.events())) == (1, 1)


async def test_what_was_not_told_is_told_again(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url, start=False) as d:
        command = change(4)
        await bus.ask(command, "dispatcher", 0, 0)
        await bus.broker.connection.jetstream().purge_stream(COMMANDS_STREAM)
        await d.bus.start()
        monkeypatch.setattr(kernel_commands, "RETELL", timedelta(0))
        monkeypatch.setattr(kernel_bus, "RETELL_SECONDS", 0.1)
        async with running(bus.retell()):
            assert (await bus.ask(command, "dispatcher", 0, 30)).status == "succeeded"
        assert len(d.begun) == 1


async def test_a_message_of_a_command_that_nobody_knows_is_laid_aside(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        await redeliver(bus, change(2))
        await bus.broker.publish("nonsense", "cmd.dispatcher", stream=COMMANDS_STREAM, timeout=5)
        assert (await bus.ask(change(4, uuid4()), "dispatcher", 0, 30)).status == "succeeded"
        assert len(d.begun) == 1
        assert not [event for event in await d.events() if not isinstance(event, PlanChanged)]
