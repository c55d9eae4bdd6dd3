"""`outrider doctor`: what runs, what lags, what is short, and what to do about it."""

import json
import shutil
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from time import monotonic

from outrider.dispatcher.mx import MxResolver
from outrider.events.database import Pool, Row
from outrider.events.readiness import SKEW_SECONDS
from outrider.events.streams import differences
from outrider.local.doctor_outside import domains, hosts
from outrider.local.doctor_rights import rights
from outrider.local.errors import Failed
from outrider.local.finding import BAD, OK, WARN, Finding
from outrider.local.home import is_free
from outrider.local.operating import Place
from outrider.local.status import statuses

COLUMNS = ("check", "state", "says", "advice")
LAG_SECONDS = 10.0
OPEN_FOR = timedelta(seconds=60)
GIB = 1024**3
FREE_GIB, SCARCE_GIB = 5.0, 1.0
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
SCHEMAS = "select table_schema from information_schema.tables where table_name = $1 order by 1"
BEHIND = """
select c.reader, c.position, case when c.shards <> '[0,64)' then c.shards::text else '' end as shards,
    (select coalesce(max(e.position), 0) from log.events e) - c.position as events,
    extract(epoch from clock_timestamp() - n.recorded_at)::float8 as seconds,
    c.cause is not null and c.cause is distinct from (select e.cause from log.events e where e.position = c.position)
    as strange,
    format('%s (%s)', n.position, n.type) as next
from {schema}.checkpoints c
left join lateral (
    select e.position, e.type, e.recorded_at from log.events e
    where e.position > c.position and c.shards @> e.shard::int
    order by e.position
    limit 1
) n on true
order by c.reader, lower(c.shards)
"""
ELSEWHERE = Finding(
    "log",
    BAD,
    "is empty here, and readers have read one",
    "nothing is wrong with it where OUTRIDER_LOG_URL names another server: this looks at one alone; else restore it",
)
OPEN = """
select service, count(*) as open, min(created_at) as since
from log.commands
where status = 'accepted' and created_at < clock_timestamp() - $1::interval
group by service
order by service
"""


async def examine(place: Place, environment: Mapping[str, str]) -> Sequence[Mapping[str, object]]:
    """Answer all findings, those about this machine first. Never raises Failed: that the database is away is one."""
    known = {**place.facts, **environment}
    found = [*_processes(place), *_disk(place), *[one async for one in hosts(known)], *await _streams(place)]
    try:
        async with place.database() as pool:
            found += [finding async for finding in _database(pool)]
            found += [finding async for finding in rights(pool)]
            found += [finding async for finding in domains(pool, MxResolver(known.get("OUTRIDER_DNS", "")))]
    except Failed as failed:
        found.append(Finding("database", BAD, str(failed), "start it; nothing is lost while it is away"))
    return [asdict(finding) for finding in found]


def _processes(place: Place) -> Iterator[Finding]:
    """What the runner of this folder started, and whether it listens."""
    ports = place.home.path / "ports.json"
    if not ports.exists():
        return
    runner = place.home.runner()
    if runner is None:
        yield Finding("runner", BAD, f"nothing runs on {place.home.path}", "`outrider up` starts everything")
        return
    yield Finding("runner", OK, f"process {runner} on {place.home.path}")
    for one in statuses(place.home):
        state = OK if one.state in {"ready", "running"} else BAD
        advice = "" if state == OK else f"read {place.home.logs / one.name}.log; the runner starts it again by itself"
        yield Finding(one.name, state, " ".join(filter(None, (one.state, one.note))), advice)
    for name, port in json.loads(ports.read_text(encoding="utf-8")).items():
        listens = not is_free(port)
        advice = "" if listens else "its process is down, or has not got so far yet: see above"
        yield Finding(f"port {name}", OK if listens else WARN, f"127.0.0.1:{port}", advice)


def _disk(place: Place) -> Iterator[Finding]:
    with suppress(FileNotFoundError):
        free = shutil.disk_usage(place.home.path).free / GIB
        state = BAD if free < SCARCE_GIB else WARN if free < FREE_GIB else OK
        advice = "" if state == OK else "make room: Postgres stops when its disk is full, and accepts nothing then"
        yield Finding("disk", state, f"{free:.1f} GiB free at {place.home.path}", advice)


async def _streams(place: Place) -> Sequence[Finding]:
    """Whether nats-server has what this version declares; nothing where nobody said where it is."""
    if not place.nats_url:
        return []
    try:
        found = await differences(place.nats_url)
    except Exception as error:  # noqa: BLE001  # nats-py's own, of many kinds
        return [Finding("nats", BAD, f"does not answer: {error}", "start it; what it loses is told again")]
    advice = "`outrider migrate` declares them anew; what was told meanwhile is told again"
    return [Finding("nats", BAD, says, advice) for says in found] or [
        Finding("nats", OK, "streams and consumers are as declared")
    ]


async def _database(pool: Pool) -> AsyncGenerator[Finding]:
    row = await pool.fetchrow(
        "select current_setting('server_version') as version, pg_size_pretty(pg_database_size(current_database())) "
        "as size, (select count(*) from pg_stat_activity) as sessions, current_setting('max_connections')::int as most"
    )
    if row is not None:
        short = row["sessions"] > 0.9 * row["most"]
        says = f"Postgres {row['version']}, {row['size']}, {row['sessions']} of {row['most']} connections"
        yield Finding("database", WARN if short else OK, says, "raise max_connections" if short else "")
    hasty = [name for name in DURABLE if await pool.fetchval(f"show {name}") == "off"]
    if hasty:
        yield Finding("durability", BAD, f"off: {', '.join(hasty)}", "turn it on: accepted calls get lost in a crash")
    yield await _skew(pool)
    for finding in [*await _readers(pool), *await _commands(pool), *await _dead(pool)]:
        yield finding


async def _skew(pool: Pool) -> Finding:
    """Compare the clocks; half the round trip is taken off."""
    begun = monotonic()
    theirs: datetime = await pool.fetchval("select clock_timestamp()")
    skew = abs((theirs - datetime.now(UTC)).total_seconds() + (monotonic() - begun) / 2)
    state = BAD if skew > SKEW_SECONDS else OK
    advice = "" if state == OK else "run a time service on both machines: leases hold times of both"
    return Finding("clock", state, f"{skew:.3f} s off the database's", advice)


async def _readers(pool: Pool) -> Sequence[Finding]:
    found: list[Finding] = []
    for schema in await pool.fetch(SCHEMAS, "checkpoints"):
        rows = await pool.fetch(BEHIND.format(schema=f'"{schema["table_schema"]}"'))
        found += [_reader(row) for row in rows]
        if any(row["position"] for row in rows) and not await pool.fetchval("select exists (select from log.events)"):
            return [ELSEWHERE]
    return found


def _reader(row: Row) -> Finding:
    name, seconds = f"reader {row['reader']} {row['shards']}".strip(), row["seconds"] or 0.0
    if row["strange"]:
        advice = "a backup was restored: rebuild it, if it is a projection"
        return Finding(name, BAD, f"stands at {row['position']}, where this log has another event or none", advice)
    state = WARN if row["events"] > 0 and seconds > LAG_SECONDS else OK
    says = f"{row['events']} events, {seconds:.1f} s behind"
    if state == OK:
        return Finding(name, state, says)
    advice = "its service is down, overloaded, or stopped at a bug (its /health/ready and its log say so)"
    return Finding(name, state, f"{says}, next {row['next']}", advice)


async def _commands(pool: Pool) -> Sequence[Finding]:
    rows = await pool.fetch(OPEN, OPEN_FOR)
    if not rows:
        return [Finding("commands", OK, "none waits for longer than a minute")]
    advice = "is that service running, and are its readers up to date?"
    return [
        Finding("commands", WARN, f"{row['open']} wait for {row['service']} since {row['since']:%H:%M:%S} UTC", advice)
        for row in rows
    ]


async def _dead(pool: Pool) -> Sequence[Finding]:
    count = 0
    for schema in await pool.fetch(SCHEMAS, "todos"):
        count += await pool.fetchval(
            f'select count(*) from "{schema["table_schema"]}".todos where dead_at is not null and done_at is null'  # noqa: S608  # from the catalogue
        )
    if not count:
        return [Finding("to-dos", OK, "none is dead")]
    return [
        Finding("to-dos", BAD, f"{count} are dead", "`outrider dead list` says why, `outrider dead retry` tries again")
    ]
