"""The doctor on real servers: what is not as declared is named, with what to mend."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import nats
import pytest
from nats.js.api import StreamConfig

from outrider.dispatcher.mx import MxResolver
from outrider.events import vault
from outrider.events.database import connect
from outrider.events.streams import differences
from outrider.events.vault import Entry
from outrider.local import certificate
from outrider.local.doctor import examine
from outrider.local.doctor_outside import domains, hosts, judged
from outrider.local.doctor_rights import rights
from outrider.local.finding import BAD, OK, WARN, Finding
from outrider.local.home import Home
from outrider.local.operating import Place
from tests.support.kernel import ACCOUNT, kernel
from tests.support.story_dns import name_server

GOOD = {"x.example": ["v=spf1 include:mail.example -all", "other"], "_dmarc.x.example": ["v=DMARC1; p=none"]}


async def of_rights(urls: Mapping[str, str]) -> dict[str, Finding]:
    pool = await connect(urls["owner"], "log", size=1)
    try:
        return {one.check: one async for one in rights(pool)}
    finally:
        pool.terminate()


async def as_owner(urls: Mapping[str, str], *statements: str) -> None:
    owner = await asyncpg.connect(urls["owner"])
    for statement in statements:
        await owner.execute(statement)
    await owner.close()


async def test_roles_are_as_migrated_until_somebody_gives_or_takes(urls: Mapping[str, str]) -> None:
    assert {one.state for one in (await of_rights(urls)).values()} == {OK}
    await as_owner(
        urls,
        "grant insert on log.events to outrider_sender",
        "grant usage on schema api to outrider_reply_watcher",
        "revoke select on log.events from outrider_api",
        "alter table log.vault disable row level security",
        "update log.owners set role = 'somebody' where category = 'plan'",
    )
    found = await of_rights(urls)
    assert found["role outrider_sender"].says == "may write log.events"
    assert found["role outrider_reply_watcher"].says == "may use schema api"
    assert found["role outrider_api"].says == "may not read log.events"
    assert found["role outrider_dispatcher"].state == OK
    assert found["rights"].says == "log.vault has no row-level security; plan is written by somebody"
    assert all(one.advice for one in found.values() if one.state == BAD)


async def test_a_log_that_lies_elsewhere_is_no_backup_that_was_restored(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    await as_owner(urls, "insert into sender.checkpoints (reader, position, cause) values ('x', 7, gen_random_uuid())")
    found = await examine(Place(Home(tmp_path), urls["owner"], "", ""), {})
    told = [one for one in found if str(one["check"]).startswith(("log", "reader"))]
    assert [(one["check"], one["says"]) for one in told] == [("log", "is empty here, and readers have read one")]


async def test_streams_are_as_declared_until_somebody_changes_them(bus_url: str) -> None:
    assert await differences(bus_url) == []
    client = await nats.connect(bus_url)
    stream = client.jetstream()
    await stream.delete_consumer("COMMANDS", "sender-7")
    await stream.update_stream(StreamConfig(name="EVENTS", subjects=["evt.>", "more.>"], max_age=3600))
    assert await differences(bus_url) == [
        "stream EVENTS: subjects is ['evt.>', 'more.>'], not ['evt.>']",
        "stream EVENTS: max_age is 3600.0, not 2592000.0",
        "consumer sender-7 is not there",
    ]
    await stream.delete_stream("COMMANDS")
    assert "stream COMMANDS is not there" in await differences(bus_url)
    await client.close()


@asynccontextmanager
async def tls(folder: Path, name: str) -> AsyncGenerator[tuple[int, Path]]:
    """A server with a certificate for this name, and the certificate."""
    pem, key = certificate.make(folder, name)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate.server_context(pem, key))
    async with server:
        yield server.sockets[0].getsockname()[1], pem


async def of_hosts(environment: Mapping[str, str]) -> dict[str, Finding]:
    return {one.check: one async for one in hosts(environment)}


async def test_a_certificate_is_looked_at_as_a_client_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with tls(tmp_path, "localhost") as (port, authority):
        url = f"https://localhost:{port}"
        found = await of_hosts({"OUTRIDER_URL": url, "OUTRIDER_TRUST_CA": str(authority)})
        assert (found["API host"].state, found["API certificate"].state) == (OK, OK)
        assert found["API certificate"].says.endswith("364 days")
        assert (await of_hosts({"OUTRIDER_URL": url}))["API certificate"].state == BAD, "its authority is not known"
        monkeypatch.setattr(certificate, "VALID", timedelta(days=10))
        async with tls(tmp_path / "young", "localhost") as (young, its):
            urls = {"OUTRIDER_PUBLIC_URL": f"https://localhost:{young}", "OUTRIDER_TRUST_CA": str(its)}
            assert (await of_hosts(urls))["tracking certificate"].state == WARN
    gone = await of_hosts({"OUTRIDER_URL": url, "OUTRIDER_PUBLIC_URL": "https://nobody.invalid"})
    assert (gone["API certificate"].state, gone["tracking host"].state) == (BAD, BAD)
    assert list(await of_hosts({"OUTRIDER_URL": "http://127.0.0.1:1"})) == ["API host"], "one machine needs none"
    assert await of_hosts({}) == {}


async def test_the_domains_that_mail_is_from_are_asked_for(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "api") as k:
        for number, address in enumerate(
            ("ann@good.one", "ben@nowhere.one", "cleo@broken.one", "dora@nowhere.example"), 1
        ):
            owner = UUID(int=number)
            await vault.put(k.pool, [Entry(owner, "server", ACCOUNT, "credential", {"from_email": address})])
        with name_server() as server:
            found = [one async for one in domains(k.pool, MxResolver(server))]
    said = {(one.check, one.state) for one in found}
    assert {("resolver", OK), ("domain nowhere.one", BAD), ("domain broken.one", WARN)} <= said
    assert ("domains", OK) in said
    assert not [one for one in found if "nowhere.example" in one.check], "nobody's, and not looked at"
    async with kernel(urls, "api") as k:
        silent = [one async for one in domains(k.pool, MxResolver("127.0.0.1:1"))]
        assert [(one.check, one.state) for one in silent] == [("domains", OK), ("resolver", BAD)]


@pytest.mark.parametrize(
    ("changed", "keys", "states"),
    [
        ({}, (), [OK]),
        ({"x.example": []}, (), [WARN]),
        ({"x.example": ["v=spf1 -all", "v=spf1 ~all"]}, (), [BAD]),
        ({"x.example": ["v=spf1 +all"]}, (), [BAD]),
        ({"_dmarc.x.example": ["something"]}, (), [WARN]),
        ({"s1._domainkey.x.example": ["v=DKIM1; k=rsa; p=MIGf"]}, [("s1", "x.example")], [OK]),
        ({"s1._domainkey.x.example": ["v=DKIM1; p="]}, [("s1", "x.example")], [BAD]),
        ({"s1._domainkey.x.example": []}, [("s1", "x.example")], [BAD]),
        ({"x.example": None}, (), [WARN]),
    ],
)
def test_a_domain_is_judged_by_its_records(
    changed: Mapping[str, Sequence[str] | None], keys: Sequence[tuple[str, str]], states: Sequence[str]
) -> None:
    found = judged("x.example", "takes_mail", {**GOOD, **changed}, keys)
    assert [one.state for one in found] == states
    assert all(one.advice for one in found if one.state != OK)
    assert judged("x.example", "takes_none", GOOD, ())[0].state == BAD
