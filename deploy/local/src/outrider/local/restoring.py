"""`outrider restore`: what has to be done when a backup was put in the place of the log, before any service starts.

In this order: a new epoch begins, what NATS still has is brought back, what was told is forgotten, every active
campaign is paused, and each step that may have been mailed since the backup gets an outcome. It may be killed, and run
again.
"""

import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid5

from outrider.dispatcher.campaign import campaign, pause_restored
from outrider.dispatcher.erasing import erase
from outrider.dispatcher.projections import facts
from outrider.dispatcher.todos import todos
from outrider.events import vault
from outrider.events.clock import Clock, read_clock
from outrider.events.database import ROLES, Pool, Row
from outrider.events.log import Log
from outrider.events.projector import Projection, Reader, WrongLog, caught_up
from outrider.events.tokens import Keyring
from outrider.local.errors import Failed
from outrider.local.keys import role_url
from outrider.local.operating import Place
from outrider.local.rebuild import alone
from outrider.local.restoring_events import bring_back, jetstream, purge_commands
from outrider.local.restoring_sends import Marked, Sends, mailed_ids

LEAP: Final = 10_000_000
"""New events are numbered so far behind all that is known: what is lost may have had the numbers between.

Whoever asks for what follows a position of the former log would miss what got one twice.
"""
CONNECTED: Final = """
select distinct usename from pg_stat_activity where datname = current_database() and usename = any($1) order by 1
"""
UNENDED: Final = "select epoch, backup_position from log.restores where ended_at is null"
BEGIN: Final = """
insert into log.restores (epoch, backup_position)
select coalesce(max(epoch), 0) + 1, $1 from log.restores
returning epoch, backup_position
"""
END: Final = "update log.restores set ended_at = clock_timestamp() where epoch = $1"
NUMBER: Final = "select setval(pg_get_serial_sequence('log.events', 'position'), $1)"
EXPIRE: Final = """
update log.commands set expires_at = clock_timestamp() where status = 'accepted' and expires_at > clock_timestamp()
"""
ACTIVE: Final = """
select account_id, campaign_id as id from dispatcher.campaigns where status = 'active'
union
select account_id, (data ->> 'campaign_id')::uuid from log.events
where position > $1 and type = 'CampaignPaused' and data ->> 'reason' = 'restored'
"""
"""And those that were paused by the run before this one, which was killed."""
FORGOTTEN: Final = """
select account_id, type, (data ->> case type when 'ContactForgotten' then 'contact_id'
    when 'CredentialRemoved' then 'credential_id' else 'webhook_id' end)::uuid as owner
from log.events
where position > $1 and type in ('ContactForgotten', 'CredentialRemoved', 'WebhookRemoved')
"""
ADDRESS_KEYS: Final = """
select distinct data ->> 'address_key' as key from log.events
where stream = 'contact-' || $1::text and data ->> 'address_key' is not null
"""
WITHOUT_DATA: Final = """
select n.what, count(*) as count
from (values ('ContactAdded', 'contact_id', 'person', 'contacts'), ('WebhookRegistered', 'webhook_id', 'endpoint',
    'webhooks'), ('CredentialAdded', 'credential_id', 'secrets', 'mail accounts'), ('CampaignCreated', 'campaign_id',
    'template-1-1', 'campaigns')) as n (type, field, name, what)
join log.events e on e.type = n.type and e.position > $1
where not exists (select from log.vault v where v.owner = (e.data ->> n.field)::uuid and v.name = n.name)
group by n.what
order by n.what
"""
Tell = Callable[[str, int, int], object]


async def restore(
    place: Place, environment: Mapping[str, str], mailed: Sequence[str] | None, tell: Tell, *, leave: bool
) -> Mapping[str, object]:
    """The log may be gone on with: nothing that may have been mailed since the backup is mailed again by itself.

    `mailed` are lines of the mail servers' logs, None where there are none; `leave` the stream EVENTS alone. Answers
    the figures. Raises Failed where a service still runs, or where the stream does not follow the log.
    """
    secrets = _Secrets(place, environment)
    named = None if mailed is None else mailed_ids(secrets.keyring(), mailed)
    async with place.database(size=4) as owner, alone(owner), jetstream(place.nats_url) as stream:
        if rows := await owner.fetch(CONNECTED, ROLES):
            raise Failed(f"still connected: {', '.join(row['usename'] for row in rows)}; stop every service first")
        epoch, backup = await _begun(owner)
        kept = await bring_back(owner, stream, tell, leave=leave)
        reached: int = await owner.fetchval("select coalesce(max(position), 0) from log.events")
        await owner.fetchval(NUMBER, max(reached, kept.position) + LEAP)
        await purge_commands(stream)
        expired = await owner.execute(EXPIRE)
        forgotten = await _forget_again(owner, backup)
        clock = await read_clock(owner)
        await _read_on(secrets, clock, facts)
        async with secrets.role("dispatcher", "log") as its:
            active = await _paused(await owner.fetch(ACTIVE, backup), Log(its, clock), epoch, tell)
        await _read_on(secrets, clock, todos)
        async with secrets.role("sender", "log") as its:
            marked = await Sends(Log(its, clock), clock, epoch).mark(owner, active, named)
        without = {row["what"]: row["count"] for row in await owner.fetch(WITHOUT_DATA, backup)}
        until = await owner.fetchval("select recorded_at from log.events where position = $1", backup)
        await owner.execute(END, epoch)
    figures = {
        "epoch": epoch,
        "backup_position": backup,
        "backup_until": until,
        "brought_back": kept.brought_back,
        "expired_commands": int(expired.split()[-1]),
        "forgotten_again": forgotten,
        "paused": [str(one) for one in active],
        "without_data": without,
    }
    return {**figures, **_about(marked, named)}


async def _begun(owner: Pool) -> tuple[int, int]:
    """The epoch, and the position of the newest event in the backup: of a run that was killed, if there is one."""
    row = await owner.fetchrow(UNENDED)
    if row is None:
        newest = await owner.fetchval("select coalesce(max(position), 0) from log.events")
        row = await owner.fetchrow(BEGIN, newest)
    return (row["epoch"], row["backup_position"]) if row else (0, 0)


def _about(marked: Marked, named: Collection[UUID] | None) -> Mapping[str, object]:
    return {
        "marked_sent": marked.sent,
        "marked_unknown": marked.unknown,
        "go_out_when_resumed": marked.open,
        "named_and_not_open": sorted(str(one) for one in set(named or ()) - marked.met),
    }


async def _forget_again(owner: Pool, backup: int) -> int:
    """Who was forgotten after the backup is so again; how many they were."""
    rows = await owner.fetch(FORGOTTEN, backup)
    for row in rows:
        if row["type"] == "ContactForgotten":
            keys = [one["key"] for one in await owner.fetch(ADDRESS_KEYS, str(row["owner"]))]
            await erase(owner, row["account_id"], row["owner"], keys, ())
        else:
            await vault.forget(owner, [row["owner"]])
    return len(rows)


async def _paused(rows: Sequence[Row], log: Log, epoch: int, tell: Tell) -> Sequence[UUID]:
    """No campaign that is not completed is active any more, for the reason `restored`; which were."""
    found: list[UUID] = []
    for done, row in enumerate(rows, 1):
        decide, cause = partial(pause_restored, row["id"]), uuid5(row["id"], f"restored-{epoch}")
        decided = await log.transact(row["account_id"], campaign, row["id"], decide, cause=cause)
        found += [row["id"]] if decided.state.status == "paused" else []
        tell("campaigns looked at", done, len(rows))
    return found


async def _read_on(secrets: "_Secrets", clock: Clock, projection: Projection) -> None:  # pragma: allowlist secret
    """The tables of this reader of the dispatcher are those that the log leads to."""
    schema = "dispatcher_work" if projection is todos else "dispatcher"
    async with secrets.role("dispatcher", "log") as its, secrets.role("dispatcher", schema) as tables:
        try:
            await caught_up(Reader(projection, Log(its, clock), tables))
        except WrongLog as error:
            raise Failed(f"{error}: restore the services' database to the same moment as the log's") from error


class _Secrets:
    """What it takes to write as a service: passwords of roles, and the key that signs Message-IDs."""

    def __init__(self, place: Place, environment: Mapping[str, str]) -> None:
        """Of the environment, else of this machine's runner."""
        file = place.home.path / "keys.json"
        self._place = place
        self._environment = environment
        self._kept: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def keyring(self) -> Keyring:
        """Raises Failed."""
        try:
            return Keyring.parse(self._environment.get("OUTRIDER_HASH_KEY") or self._kept.get("hash_key", ""))
        except ValueError as error:
            raise Failed("OUTRIDER_HASH_KEY is needed to read Message-IDs, as the services have it") from error

    @asynccontextmanager
    async def role(self, member: str, schema: str) -> AsyncGenerator[Pool]:
        """Connect as this service's login role: each category of the log has one writer. Raises Failed."""
        name = f"outrider_{member}"
        variable = f"OUTRIDER_ROLE_PASSWORD_{member.upper()}"
        password = self._environment.get(variable) or self._kept.get("passwords", {}).get(name)
        if not password:
            raise Failed(f"{variable} is not set")
        url = role_url(self._place.database_url, name, password)
        async with replace(self._place, database_url=url).database(schema, size=8) as pool:
            yield pool
