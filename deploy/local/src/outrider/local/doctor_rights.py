"""The doctor's look at the database roles: what each must be able to do, and what it must not."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from outrider.events.database import ROLES, Pool
from outrider.local.finding import BAD, OK, Finding

ROLE: Final = """
select rolcanlogin as "may log in", rolsuper as "is a superuser", rolcreaterole as "may create roles",
    rolcreatedb as "may create databases", rolbypassrls as "is above row-level security",
    exists (select from pg_auth_members m where m.member = r.oid) as "is a member of another role"
from pg_roles r where rolname = $1
"""
NEEDED: Final = """
select what from (values
    ('use schema log', has_schema_privilege($1, 'log', 'usage')),
    ('read log.events', has_table_privilege($1, 'log.events', 'select')),
    ('append to the log', (select coalesce(bool_and(has_function_privilege($1, p.oid, 'execute')), false) from pg_proc p
        where p.pronamespace = 'log'::regnamespace and p.proname = 'append_groups')),
    ('use schema ' || $2, has_schema_privilege($1, $2, 'usage, create')),
    ('use schema ' || $2 || '_work', has_schema_privilege($1, $2 || '_work', 'usage, create'))
) as n (what, may)
where not may
"""
FORBIDDEN: Final = """
select what from (
    select 'write log.' || c.relname as what
    from pg_class c
    where c.oid in ('log.events'::regclass, 'log.owners'::regclass, 'log.migrations'::regclass, 'log.clock'::regclass)
        and has_table_privilege($1, c.oid, 'insert, update, delete, truncate')
    union all
    select format('use schema %s', n.nspname)
    from pg_namespace n
    where n.nspname = any($2) and has_schema_privilege($1, n.oid, 'usage')
    union all
    select 'create tables in schema log' where has_schema_privilege($1, 'log', 'create')
) f
order by what
"""
OPEN_TABLES: Final = """
select 'log.' || c.relname as name from pg_class c
where c.oid in ('log.commands'::regclass, 'log.vault'::regclass) and not c.relrowsecurity
"""
STRANGERS: Final = "select category, role from log.owners where role <> all($1)"
AGAIN: Final = "`outrider migrate` makes it anew"


async def rights(pool: Pool) -> AsyncGenerator[Finding]:
    """One finding for each login role, and one for what separates them within a table."""
    for role in ROLES:
        trouble = await _of(pool, role)
        says = "; ".join(trouble) or "may do its part, and no more"
        yield Finding(f"role {role}", BAD if trouble else OK, says, _advice(trouble))
    open_ = [f"{row['name']} has no row-level security" for row in await pool.fetch(OPEN_TABLES)]
    strange = [f"{row['category']} is written by {row['role']}" for row in await pool.fetch(STRANGERS, ROLES)]
    trouble = [*open_, *strange]
    says = "; ".join(trouble) or "each category has one writer, and each service its own rows"
    advice = (
        "somebody changed it by hand: put it back as libs/events/src/outrider/events/schema says" if trouble else ""
    )
    yield Finding("rights", BAD if trouble else OK, says, advice)


async def _of(pool: Pool, role: str) -> list[str]:
    row = await pool.fetchrow(ROLE, role)
    if row is None:
        return ["is not there"]
    member = role.removeprefix("outrider_")
    others = [name for one in ROLES if one != role for name in _schemas(one)]
    found = [] if row["may log in"] else ["may not log in"]
    found += [what for what, so in row.items() if so and what != "may log in"]
    found += [f"may not {one['what']}" for one in await pool.fetch(NEEDED, role, member)]
    return found + [f"may {one['what']}" for one in await pool.fetch(FORBIDDEN, role, others)]


def _schemas(role: str) -> Sequence[str]:
    member = role.removeprefix("outrider_")
    return (member, f"{member}_work")


def _advice(trouble: Sequence[str]) -> str:
    if not trouble:
        return ""
    if trouble == ["is not there"]:
        return f"{AGAIN}, with its password"
    return "give and revoke as the owner; services are kept apart by these rights alone"
