"""The operator's commands, each a process of its own as at a terminal, on a system that runs."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from outrider.events import vault
from outrider.events.database import connect
from outrider.local.rebuild import PROJECTIONS
from outrider.local.serving import OK, call
from tests.kernel.todos import KIND, Notes, put, row, todo
from tests.support.kernel import ACCOUNT, kernel
from tests.support.story import Story
from tests.support.system import System

PEOPLE = 12
ADA = ACCOUNT
"""An owner of entries in the vault."""


async def outrider(environment: Mapping[str, str], *words: str, code: int = 0) -> str:
    """Run the command to its end, with nothing but this environment; answer what it printed."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("OUTRIDER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outrider.local", *words),
        env={**others, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(240):
        out, err = await process.communicate()
    assert process.returncode == code, out.decode() + err.decode()
    return out.decode() + (err.decode() if code else "")


async def rows(environment: Mapping[str, str], *words: str, code: int = 0) -> Any:  # noqa: ANN401  # JSON
    """Answer what it says to a script."""
    return json.loads(await outrider(environment, *words, "--json", code=code))


def reach(system: System, tmp_path: Path) -> Mapping[str, str]:
    """What a shell has to know of this system."""
    return {
        "OUTRIDER_HOME": str(tmp_path),
        "OUTRIDER_DATABASE_URL": system.site.database_url,
        "OUTRIDER_URL": system.url,
        "OUTRIDER_OPERATOR_TOKEN": system.operator_token,
    }


async def test_an_account_is_opened_with_a_key_that_works_and_listed(calm_system: System, tmp_path: Path) -> None:
    where = reach(calm_system, tmp_path)
    opened = await rows(where, "account", "create", "Zoë & Söhne", "--monthly-limit", "7")
    key = opened["api_key"]["plaintext"]
    assert call(int(calm_system.url.rpartition(":")[2]), "GET", "/account", {"Authorization": f"Bearer {key}"})[0] == OK
    [listed] = [one for one in await rows(where, "account", "list") if one["id"] == opened["id"]]
    assert (listed["name"], listed["monthly_limit"], listed["keys"]) == ("Zoë & Söhne", 7, 1)
    assert listed["sends_this_month"] == 0
    shown = await outrider(where, "account", "list")
    assert "Zoë & Söhne" in shown
    assert key not in shown
    assert "ok_live_" in await outrider(where, "account", "create", "Another")


async def test_what_the_runner_wrote_for_shells_is_enough(calm_system: System, tmp_path: Path) -> None:
    known = reach(calm_system, tmp_path)
    (tmp_path / "env").write_text("".join(f"{name}='{value}'\n" for name, value in known.items()))
    assert await rows({"OUTRIDER_HOME": str(tmp_path)}, "account", "list") == await rows(known, "account", "list")


async def test_without_a_system_it_says_where_one_may_be(tmp_path: Path) -> None:
    said = await outrider({"OUTRIDER_HOME": str(tmp_path / "nothing")}, "doctor", code=2)
    assert said.startswith("failed: OUTRIDER_DATABASE_URL is not set")


async def test_the_doctor_finds_what_is_wrong_and_says_what_to_do(calm_system: System, tmp_path: Path) -> None:
    where = reach(calm_system, tmp_path)
    found = {one["check"]: one for one in await rows(where, "doctor", code=1)}
    readers = {name.removeprefix("reader ") for name in found if name.startswith("reader ")}
    assert readers >= {*PROJECTIONS, "dispatcher.todos.v1", "sender.settling.v1"}
    assert {name for name, one in found.items() if one["state"] == "bad"} == {"durability"}  # a test's server is hasty
    assert "fsync" in found["durability"]["says"]
    assert found["durability"]["advice"]
    assert (found["clock"]["state"], found["commands"]["state"], found["to-dos"]["state"]) == ("ok", "ok", "ok")
    assert "Postgres" in await outrider(where, "doctor", code=1)
    away = {**where, "OUTRIDER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    gone = await rows(away, "doctor", code=1)
    assert [(one["check"], one["state"]) for one in gone if one["state"] == "bad"] == [("database", "bad")]


async def test_the_doctor_sees_a_reader_that_stands_still_and_a_command_that_nobody_decides(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    owner = await connect(urls["owner"], "log", size=1)
    try:
        await owner.execute("insert into api.checkpoints (reader, position) values ('api.v1', 0)")
        await owner.execute(
            "insert into log.events (shard, account_id, stream, version, type, type_version, data, cause, ordinal, "
            "business_at, recorded_at, meta) values (1, $1, 'account-1', 1, 'AccountOpened', 1, '{}', $1, 0, now(), "
            "now() - interval '1 hour', '{}')",
            ACCOUNT,
        )
        await owner.execute(
            "insert into log.commands (command_id, account_id, kind, service, target, request, created_at) "
            "values ($1, $1, 'PauseCampaign', 'dispatcher', 'campaign-1', '{}', now() - interval '2 minutes')",
            ACCOUNT,
        )
    finally:
        owner.terminate()
    where = {"OUTRIDER_HOME": str(tmp_path), "OUTRIDER_DATABASE_URL": urls["owner"]}
    found = {one["check"]: one for one in await rows(where, "doctor", code=1)}
    assert found["reader api.v1"]["state"] == "warn"
    assert found["reader api.v1"]["says"].startswith("1 events, 360")
    assert found["reader api.v1"]["says"].endswith("next 1 (AccountOpened)")
    assert found["commands"]["state"] == "warn"
    assert found["commands"]["says"].startswith("1 wait for dispatcher")


async def test_dead_todos_are_listed_and_tried_again(urls: Mapping[str, str], tmp_path: Path) -> None:
    where = {"OUTRIDER_HOME": str(tmp_path), "OUTRIDER_DATABASE_URL": urls["owner"]}
    assert await rows(where, "dead", "list") == []
    async with kernel(urls) as k:
        await put(k, todo("one"), todo("two"))
        await k.work.execute("update todos set dead_at = now(), attempts = 20, error = 'it broke'")
        listed = await rows(where, "dead", "list", code=1)
        assert {(one["service"], one["kind"], one["key"], one["attempts"], one["error"]) for one in listed} == {
            ("dispatcher_work", KIND, key, 20, "it broke") for key in ("one", "two")
        }
        await outrider(where, "dead", "retry", code=2)
        assert await rows(where, "dead", "retry", KIND, "two") == {"retried": 1}
        notes = Notes()
        assert await notes.drain(k).once() == 1
        assert notes.keys == ["two"]
        assert (await row(k, "one"))["dead_at"] is not None
        assert "1 to be tried again" in await outrider(where, "dead", "retry", "--all")
        assert await notes.drain(k).once() == 1
    assert "nothing is dead" in await outrider(where, "dead", "list")


@pytest.mark.parametrize("written", ["Zoë O'Brien-Müller", "zoë o'brien-müller", "Zoe\u0308 O'Brien-Mu\u0308ller"])
async def test_the_audit_names_every_place_where_a_text_stands_until_it_is_gone(
    urls: Mapping[str, str], tmp_path: Path, written: str
) -> None:
    where = {"OUTRIDER_HOME": str(tmp_path), "OUTRIDER_DATABASE_URL": urls["owner"]}
    person = {"first_name": "Zoë O'Brien-Müller", "custom": {"notes": ["none", 'said "Zoë O\'Brien-Müller"']}}
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "api.log").write_text("one line\nanother with Zoë O'Brien-Müller in it\n")
    async with kernel(urls) as k:
        await vault.put(k.pool, [vault.Entry(ADA, "person", ACCOUNT, "contact", person)])
        await put(k, todo("Zoë O'Brien-Müller"))
        found = {
            (one["where"], one["column"], one["key"])
            for one in await rows(where, "audit", "--contains", written, code=1)
        }
        vaulted = f"owner={ADA}, name=person"
        assert found == {
            ("log.vault", "value.first_name", vaulted),
            ("log.vault", "value.custom.notes[1]", vaulted),
            ("dispatcher_work.todos", "key", f"kind={KIND}, key=Zoë O'Brien-Müller"),
            (str(tmp_path / "log" / "api.log"), "line", "2"),
        }
        await vault.forget(k.pool, [ADA])
        await k.work.execute("delete from todos")
    (tmp_path / "log" / "api.log").unlink()
    assert await rows(where, "audit", "--contains", written) == []
    assert "it stands nowhere" in await outrider(where, "audit", "--contains", written)


async def test_the_audit_reads_bytes_and_keys_too(urls: Mapping[str, str], tmp_path: Path) -> None:
    owner = await connect(urls["owner"], "log", size=1)
    try:
        await owner.execute("create schema strange")
        await owner.execute('create table strange."A table" (raw bytea, words text[])')
        await owner.execute("insert into strange.\"A table\" values ('ada@example.com', '{x,ada@example.com}')")
    finally:
        owner.terminate()
    where = {"OUTRIDER_HOME": str(tmp_path), "OUTRIDER_DATABASE_URL": urls["owner"]}
    found = await rows(where, "audit", "--contains", "ADA@example", code=1)
    assert [(one["where"], one["column"], one["key"]) for one in found] == [
        ("strange.A table", "raw", "ctid=(0,1)"),
        ("strange.A table", "words", "ctid=(0,1)"),
    ]


async def test_a_running_system_goes_on_while_every_projection_is_rebuilt(calm_story: Story, tmp_path: Path) -> None:
    story = calm_story
    where = reach(story.system, tmp_path)
    campaign = story.dispatched(story.people(PEOPLE), 0, 0, wait_seconds=1)
    story.client.until(campaign, "begun", lambda shown: shown.emails_sent > 0)
    for name in PROJECTIONS:
        figures = await rows(where, "rebuild", name)
        assert figures["reader"] == name
        assert figures["events"] > PEOPLE
    shown = story.client.until(campaign, "completed", lambda shown: shown.completed_at is not None)
    assert (shown.totals.sent, shown.emails_sent) == (PEOPLE, 2 * PEOPLE)
    assert len(story.letters()) == 2 * PEOPLE
    await story.assert_nothing_doubled_or_lost(campaign)
    assert "was held for" in await outrider(where, "rebuild", "api.v1")
    assert story.client.show(campaign).totals == shown.totals
    found = {one["check"]: one["state"] for one in await rows(where, "doctor", code=1)}
    assert {name for name, state in found.items() if state == "bad"} == {"durability"}
