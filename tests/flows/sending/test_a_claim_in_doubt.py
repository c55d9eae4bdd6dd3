"""The connection is lost while a claim is being recorded: whatever Postgres makes of it, nobody is mailed by it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4, uuid5

import pytest

from outrider.events.credential import QuotaClaimed
from outrider.events.delivery import DeliveryDeferred, DeliveryStarted, EmailSent, SendStep
from outrider.events.errors import Conflict
from outrider.events.log import Write
from outrider.sender.delivery import Delivery, start
from outrider.sender.quota import day_id, quota_day
from outrider.sender.recording import Records
from tests.support.kernel import kernel
from tests.support.mail import SmtpSink
from tests.support.sending import ACCOUNT, Mailing, sender, settings, until
from tests.support.servers import Servers

APPEND_LOCK = 6091845621
WAITING = """
select count(*) from pg_locks l join pg_database d on d.oid = l.database
where d.datname = current_database() and l.locktype = 'advisory' and not l.granted
"""


@dataclass
class Cable:
    """Between a client and Postgres; cut, the client has lost its connection and Postgres has not noticed yet."""

    host: str
    port: int
    clients: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])
    others: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    async def plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry both ways."""
        theirs, ours = await asyncio.open_connection(self.host, self.port)
        self.clients.append(writer)
        self.others.append(ours)
        with suppress(OSError):
            await asyncio.gather(self._carry(reader, ours), self._carry(theirs, writer))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()

    def cut(self) -> None:
        """Every client is cut off; what it had asked for goes on."""
        for client in self.clients:
            client.transport.abort()
        self.clients.clear()


@asynccontextmanager
async def cable(url: str) -> AsyncGenerator[tuple[Cable, str]]:
    """A cable, and the same database's URL through it."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    carrying = Cable(parts.hostname, parts.port)
    server = await asyncio.start_server(carrying.plug, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield carrying, parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
    finally:
        server.close()
        for writer in [*carrying.clients, *carrying.others]:
            writer.transport.abort()


@asynccontextmanager
async def appends_held(post: Mailing) -> AsyncGenerator[None]:
    """Every append waits for the lock until the block ends."""
    async with post.kernel.tables.acquire() as db:
        await db.execute("select pg_advisory_lock($1)", APPEND_LOCK)
        try:
            yield
        finally:
            await db.execute("select pg_advisory_unlock($1)", APPEND_LOCK)


async def waiting(post: Mailing, count: int) -> bool:
    return int(await post.kernel.pool.fetchval(WAITING)) >= count


async def test_a_claim_that_postgres_records_after_the_connection_was_lost_is_never_mailed(
    post: Mailing, sink: SmtpSink, servers: Servers, urls: Mapping[str, str], bus_url: str
) -> None:
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    job = await post.job(one, credential)
    async with (
        cable(urls["outrider_sender"]) as (carrying, url),
        sender(settings(urls, bus_url, servers.keys, log_url=url)),
    ):
        async with appends_held(post):
            await post.tell(job)
            await until("the claim waits for the lock", lambda: waiting(post, 1))
            carrying.cut()
            await until("its giving up waits behind it", lambda: waiting(post, 2))
            assert await post.of(job) == []
        [deferred] = await post.settled(job)
        await post.tell(job)
        await post.taken()
        assert isinstance(deferred, DeliveryDeferred)
        assert deferred.by == "not_begun"
        assert [event.name for event in await post.of(job)] == ["DeliveryStarted", "DeliveryDeferred"]
        assert await post.used(credential) == 0
        assert not sink.messages
        again = await post.job(one, credential, attempt=2)
        await post.tell(again)
        [sent] = await post.settled(again)
    assert isinstance(sent, EmailSent)
    assert len(sink.messages) == 1


Group = tuple[Write, Write]


def claimed(post: Mailing, job: SendStep) -> tuple[DeliveryStarted, Group]:
    """A claim of the job's first attempt, and the writes that record it."""
    now, cause = post.kernel.clock.now(), uuid5(job.delivery_id, "claim-1")
    claim = start(job, uuid4(), now, 1, Delivery(), counted=True)[0]
    used = QuotaClaimed(credential_id=job.credential_id, day=now.date(), deliveries=(job.delivery_id,), counted=1)
    day = quota_day.stream(day_id(job.credential_id, now.date()))
    return claim, (Write(f"delivery-{job.delivery_id}", 0, [claim], cause), Write(day, None, [used], cause))


@pytest.mark.parametrize(
    ("order", "ends"),
    [
        ("never recorded", ["DeliveryDeferred"]),
        ("recorded before", ["DeliveryStarted", "DeliveryDeferred"]),
        ("recorded after", ["DeliveryDeferred"]),
        ("another stands", ["DeliveryStarted"]),
    ],
)
async def test_giving_up_ends_its_own_attempt_and_nobody_elses(
    post: Mailing, urls: Mapping[str, str], order: str, ends: list[str]
) -> None:
    credential = await post.credential(25)
    [one] = await post.people(1, credential)
    job = await post.job(one, credential)
    mine, my_group = claimed(post, job)
    _, their_group = claimed(post, job)
    async with kernel(urls, "sender") as k:
        records = Records(k.log, k.pool, k.clock)
        if order in {"recorded before", "another stands"}:
            await k.log.append(ACCOUNT, *(my_group if order == "recorded before" else their_group))
        for _ in range(2):
            await records.give_up(ACCOUNT, mine, my_group[0].cause)
        if order == "recorded after":
            with pytest.raises(Conflict):
                await k.log.append(ACCOUNT, *my_group)
    assert [event.name for event in await post.of(job)] == ends
    assert await post.used(credential) == (1 if order == "another stands" else 0)
