"""How rows of to-dos are added, and claimed by one of many workers: the SQL of todo.py."""

FIELDS = "kind, key, account_id, owner, scope, lane, ordinal, due_at, data, attempts"
ADD = """
insert into todos (kind, key, account_id, owner, scope, lane, ordinal, due_at, data, held)
select * from unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[],
    $8::timestamptz[], $9::jsonb[], $10::boolean[])
on conflict (kind, key) do nothing
"""
CLAIM = f"""
with due as (
    select kind, key from todos t
    where kind = $1 and done_at is null and dead_at is null and not held and due_at <= $2
        and (not_before is null or not_before <= $3)
    order by due_at
    limit $4
    for update skip locked
)
update todos t set leased_by = $5, not_before = $6
from due where t.kind = due.kind and t.key = due.key
returning {", ".join("t." + name for name in FIELDS.split(", "))}
"""  # noqa: S608  # constants
CLAIM_BY_LANE = f"""
with due as materialized (  -- the shape leaves the planner no choice: with young statistics a join took seconds
    select t.kind, t.key
    from unnest($4::uuid[], $7::int[]) as f (lane, places)
    cross join lateral (
        select x.kind, x.key
        from (
            select kind, key, owner, ordinal from todos
            where lane = f.lane and kind = $1 and done_at is null and dead_at is null and not held
                and due_at <= $2 and (not_before is null or not_before <= $3)
            order by (ordinal > 1) desc, due_at
        ) x
        where x.owner is null or x.ordinal = (
            select min(e.ordinal) from todos e where e.owner = x.owner and e.kind = x.kind and e.done_at is null
        )
        limit f.places
    ) t
),
locked as materialized (
    select t.kind, t.key
    from due
    cross join lateral (
        select x.kind, x.key from todos x
        where x.kind = due.kind and x.key = due.key and x.done_at is null and x.dead_at is null and not x.held
            and (x.not_before is null or x.not_before <= $3)
        for update skip locked  -- looks again at a row that somebody changed meanwhile
    ) t
)
update todos t set leased_by = $5, not_before = $6
from locked l where t.kind = l.kind and t.key = l.key
returning {", ".join("t." + name for name in FIELDS.split(", "))}
"""  # noqa: S608  # constants
NEXT = """
select min(due_at) from todos
where kind = $1 and done_at is null and dead_at is null and not held and due_at > $2
"""
