"""`outrider audit`: where a text stands, in any table of any schema, and in the files that the processes log to."""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from outrider.events.database import Db, Row
from outrider.local.operating import Place

COLUMNS = ("where", "column", "key")
BLOCKS = 16_384
"""So much of a table is read by one statement: it ends long before a connection's time is over."""
TABLES = """
select n.nspname as schema, c.relname as name,
    array(
        select a.attname::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
    ) as columns,
    array(
        select a.atttypid::regtype::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
    ) as types,
    pg_relation_size(c.oid) / current_setting('block_size')::int as blocks,
    array(
        select a.attname::text from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary order by a.attnum
    ) as key
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname not like 'pg_toast%' and n.nspname not like 'pg_temp%'
order by 1, 2
"""


async def audit(place: Place, text: str) -> Sequence[Mapping[str, object]]:
    """Answer every column of every row, and every line of a log file, that holds the text in any case."""
    wanted = spellings(text)
    found: list[Mapping[str, object]] = []
    async with place.database() as pool, pool.acquire() as db:
        for table in await db.fetch(TABLES):
            found += await _rows(db, table, wanted)
    return [*found, *_lines(place.home.logs, wanted)]


def spellings(text: str) -> list[str]:
    """Answer how the text may be written down: composed or not, as it is or with the escapes of JSON, in lower case."""
    forms = [unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]
    escaped = [json.dumps(form, ensure_ascii=ascii_)[1:-1] for form in forms for ascii_ in (False, True)]
    return list(dict.fromkeys(form.lower() for form in [*forms, *escaped]))


async def _rows(db: Db, table: Row, wanted: Sequence[str]) -> list[Mapping[str, object]]:
    """Answer where in this table it stands: every column, and within JSON the path."""
    query, where = _query(table), f"{table['schema']}.{table['name']}"
    found: list[Mapping[str, object]] = []
    for block in range(0, table["blocks"], BLOCKS):
        for row in await db.fetch(query, list(wanted), f"({block},0)", f"({block + BLOCKS},0)"):
            key = ", ".join(f"{name}={row['key'][name]}" for name in table["key"] or ["ctid"])
            for column, value in row["hits"].items():
                is_json = table["types"][table["columns"].index(column)] in {"json", "jsonb"}
                paths = list(_paths(json.loads(value), wanted, column)) if is_json else []
                found += [{"where": where, "column": path, "key": key} for path in paths or [column]]
    return found


def _query(table: Row) -> str:
    """Look at every column as text; bytes are read as characters."""
    names = [_quoted(name) for name in table["columns"]]
    texts = [
        f"encode({name}, 'escape')" if kind == "bytea" else f"{name}::text"
        for name, kind in zip(names, table["types"], strict=True)
    ]
    holds = [f"exists (select from unnest($1::text[]) w where strpos(lower({text}), w) > 0)" for text in texts]
    hits = ", ".join(
        f"{_literal(column)}, case when {hold} then {text} end"
        for column, text, hold in zip(table["columns"], texts, holds, strict=True)
    )
    key = ", ".join(f"{_literal(name)}, {_quoted(name)}::text" for name in table["key"] or ["ctid"])
    return (
        f"select jsonb_build_object({key}) as key, jsonb_strip_nulls(jsonb_build_object({hits})) as hits "  # noqa: S608  # names from the catalogue
        f"from {_quoted(table['schema'])}.{_quoted(table['name'])} "
        f"where ctid >= $2::text::tid and ctid < $3::text::tid and ({' or '.join(holds)})"
    )


def _paths(value: object, wanted: Sequence[str], path: str) -> Iterator[str]:
    """Answer each place within a JSON value, names included."""
    match value:
        case dict():
            for name, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
                if _holds(str(name), wanted):  # pyright: ignore[reportUnknownArgumentType]
                    yield f"{path}.{name}"
                yield from _paths(inner, wanted, f"{path}.{name}")  # pyright: ignore[reportUnknownArgumentType]
        case list():
            for place, inner in enumerate(value):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
                yield from _paths(inner, wanted, f"{path}[{place}]")  # pyright: ignore[reportUnknownArgumentType]
        case _:
            if _holds(value if isinstance(value, str) else json.dumps(value), wanted):
                yield path


def _lines(folder: Path, wanted: Sequence[str]) -> Iterator[Mapping[str, object]]:
    """Answer the lines of the log files of this machine's processes, where it runs any."""
    for file in sorted(folder.glob("*.log*")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if _holds(line, wanted):
                    yield {"where": str(file), "column": "line", "key": str(number)}


def _holds(text: str, wanted: Sequence[str]) -> bool:
    return any(one in text.lower() for one in wanted)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
