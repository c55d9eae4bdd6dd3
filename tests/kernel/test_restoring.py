"""A backup in the place of the log: what NATS still has is brought back as it was, and only if it follows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

import nats
import pytest

from outrider.api.relay.relaying import Relay
from outrider.events import vault
from outrider.events.bus import EVENTS_STREAM
from outrider.events.contact import ContactAdded, ContactForgotten
from outrider.events.database import Row, connect
from outrider.events.ids import new_id
from outrider.events.log import Write
from outrider.events.message import Event
from outrider.events.publication import Publication
from outrider.events.streams import COMMANDS_STREAM
from outrider.events.vault import Entry
from outrider.local.errors import Failed
from outrider.local.home import Home
from outrider.local.keys import Keys
from outrider.local.operating import Place
from outrider.local.restoring import LEAP, restore
from tests.kernel.until import running, until
from tests.support.kernel import ACCOUNT, changed, kernel
from tests.support.servers import Servers

EVENTS = 1300
BACKUP = 600
ROWS = "select * from log.events order by position"


async def recorded(urls: Mapping[str, str], bus_url: str, count: int) -> None:
    """So many events are in the log, and published."""
    client = await nats.connect(bus_url)
    async with kernel(urls) as k:
        for first in range(0, count, 100):
            events = [changed(limit) for limit in range(first, min(first + 100, count))]
            await k.log.append(ACCOUNT, Write(f"account-{ACCOUNT}", None, events, new_id()))
        relay = Relay(k.log, k.pool, Publication(lambda: client, bus_url))

        async def there() -> bool:
            found: int = await k.pool.fetchval("select count(*) from log.events")
            state = (await client.jetstream().stream_info(EVENTS_STREAM)).state
            return bool(state.messages == found)

        async with running(relay.run()):
            await until("published", there)
    await client.close()


async def sql(urls: Mapping[str, str], query: str) -> Sequence[Row]:
    """As the owner."""
    owner = await connect(urls["owner"], "log", size=1)
    try:
        return await owner.fetch(query)
    finally:
        owner.terminate()


def nothing_told(what: str, done: int, total: int) -> None:
    """Nobody looks."""


async def restored(
    urls: Mapping[str, str], bus_url: str, keys: Keys, tmp_path: Path, *, leave: bool = False
) -> Mapping[str, object]:
    """What the command answers."""
    place = Place(Home(tmp_path), urls["owner"], "", "", bus_url)
    passwords = {
        name.replace("outrider_", "OUTRIDER_ROLE_PASSWORD_").upper(): text for name, text in keys.passwords.items()
    }
    given = {**passwords, "OUTRIDER_HASH_KEY": keys.hash_key}
    return await restore(place, given, None, nothing_told, leave=leave)


async def test_what_nats_still_has_is_brought_back_as_it_was(
    servers: Servers, urls: Mapping[str, str], bus_url: str, tmp_path: Path
) -> None:
    await recorded(urls, bus_url, EVENTS)
    before = await sql(urls, ROWS)
    await sql(urls, "delete from log.events where position > 600")
    client = await nats.connect(bus_url)
    await client.jetstream().publish("cmd.dispatcher", b"{}")
    figures = await restored(urls, bus_url, servers.keys, tmp_path)
    assert (figures["epoch"], figures["backup_position"], figures["brought_back"]) == (1, BACKUP, EVENTS - BACKUP)
    after = await sql(urls, ROWS)
    assert [{**row, "meta": {}} for row in before] == [{**row, "meta": {}} for row in after]
    assert (await client.jetstream().stream_info(COMMANDS_STREAM)).state.messages == 0
    await client.close()
    again = await restored(urls, bus_url, servers.keys, tmp_path)
    assert (again["epoch"], again["brought_back"]) == (2, 0)
    async with kernel(urls) as k:
        done = await k.log.append(ACCOUNT, Write(f"account-{ACCOUNT}", EVENTS, [changed(1)], new_id()))
        assert done.position > EVENTS + LEAP, "nobody waits at a position that something else has now"


async def test_a_run_that_was_killed_is_gone_on_with(
    servers: Servers, urls: Mapping[str, str], bus_url: str, tmp_path: Path
) -> None:
    await recorded(urls, bus_url, 5)
    await sql(urls, "delete from log.events where position > 4")
    await sql(urls, "insert into log.restores (epoch, backup_position) values (7, 2)")
    figures = await restored(urls, bus_url, servers.keys, tmp_path)
    assert (figures["epoch"], figures["backup_position"], figures["brought_back"]) == (7, 2, 1)


async def test_who_was_forgotten_after_the_backup_is_so_again_and_what_has_no_data_is_told(
    servers: Servers, urls: Mapping[str, str], bus_url: str, tmp_path: Path
) -> None:
    gone, added = new_id(), new_id()
    person = Entry(gone, "person", ACCOUNT, "contact", {"email": "zoe@gone.example"})
    copy = Entry(new_id(), "rows-0", ACCOUNT, "import", {"rows": [{"contact_id": str(gone), "address_key": "k" * 64}]})

    async def record(contact: UUID, event: Event, after: int) -> None:
        async with kernel(urls) as k:
            await k.log.append(ACCOUNT, Write(f"contact-{contact}", after, [event], new_id()))

    await record(gone, ContactAdded(contact_id=gone, import_id=None, address_key="k" * 64), 0)
    await record(added, ContactAdded(contact_id=added, import_id=None, address_key="l" * 64), 0)
    await record(gone, ContactForgotten(contact_id=gone), 1)
    await recorded(urls, bus_url, 0)
    async with kernel(urls) as k:
        await vault.put(k.pool, [person, copy])  # as the backup has it
    await sql(urls, "delete from log.events where position > 1")
    figures = await restored(urls, bus_url, servers.keys, tmp_path)
    assert (figures["brought_back"], figures["forgotten_again"]) == (2, 1)
    assert figures["without_data"] == {"contacts": 1}
    kept = await sql(urls, "select owner, name, value from log.vault")
    assert [(row["owner"], row["name"], row["value"]) for row in kept] == [(copy.owner, "rows-0", {"rows": []})]


async def test_what_does_not_follow_is_refused_and_can_be_left_alone(
    servers: Servers, urls: Mapping[str, str], bus_url: str, tmp_path: Path
) -> None:
    await recorded(urls, bus_url, 5)
    await sql(urls, "delete from log.events where position > 3")
    await sql(urls, "update log.events set cause = gen_random_uuid() where position = 3")  # it has gone on by itself
    with pytest.raises(Failed, match="gone on by itself"):
        await restored(urls, bus_url, servers.keys, tmp_path)
    figures = await restored(urls, bus_url, servers.keys, tmp_path, leave=True)
    assert figures["brought_back"] == 0
    async with kernel(urls) as k:
        with pytest.raises(Failed, match="still connected: outrider_dispatcher; stop every service first"):
            await restored(urls, bus_url, servers.keys, tmp_path)
        done = await k.log.append(ACCOUNT, Write(f"account-{ACCOUNT}", 3, [changed(1)], new_id()))
        assert done.position > 5 + LEAP, "also behind what only NATS has"
