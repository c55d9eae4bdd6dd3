"""`outrider dead`: to-dos that failed 20 times and wait for a person."""

from collections.abc import Mapping, Sequence

from outrider.events.database import Pool
from outrider.local.operating import Place

COLUMNS = ("service", "kind", "key", "account_id", "attempts", "dead_at", "error")
SCHEMAS = "select table_schema from information_schema.tables where table_name = 'todos' order by 1"


async def dead(place: Place) -> Sequence[Mapping[str, object]]:
    """Answer every dead to-do, the one that died first first. Raises Failed."""
    async with place.database() as pool:
        found: list[Mapping[str, object]] = []
        for schema in await _schemas(pool):
            rows = await pool.fetch(
                f"select kind, key, account_id, attempts, dead_at, error from {schema}.todos "  # noqa: S608  # from the catalogue
                "where dead_at is not null and done_at is null order by dead_at"
            )
            found += [{"service": schema.strip('"'), **row} for row in rows]
        return sorted(found, key=lambda row: str(row["dead_at"]))


async def retry(place: Place, kind: str | None, keys: Sequence[str]) -> int:
    """The dead to-dos (of this kind, with these keys, if named) have 20 tries again; answers how many."""
    async with place.database() as pool:
        count = 0
        for schema in await _schemas(pool):
            tag = await pool.execute(
                f"update {schema}.todos set dead_at = null, attempts = 0, not_before = null, leased_by = null "  # noqa: S608  # from the catalogue
                "where dead_at is not null and done_at is null and ($1::text is null or kind = $1) "
                "and ($2::text[] is null or key = any($2))",
                kind,
                list(keys) or None,
            )
            count += int(tag.split()[-1])
        return count


async def _schemas(pool: Pool) -> Sequence[str]:
    return [f'"{row["table_schema"]}"' for row in await pool.fetch(SCHEMAS)]
