-- The log: the one place where facts are kept. Nobody holds INSERT on it; append_groups is the only way in.

create table events (
    shard        smallint    not null,  -- crc32(account) % 64, from the first day, so that the log can be split later
    position     bigint      not null generated always as identity,  -- commit order: append_groups holds one lock
    account_id   uuid        not null,
    stream       text        not null,  -- <category>-<id>
    version      int         not null,  -- 1, 2, 3 ... within the stream
    type         text        not null,
    type_version smallint    not null,
    data         jsonb       not null,  -- ids, numbers, enums and times only: people live in the vault
    cause        uuid        not null,  -- the command, message or timer that led to it
    ordinal      int         not null,  -- 0, 1, 2 ... within (cause, stream)
    business_at  timestamptz not null,  -- the business clock, which a dev clock may speed up
    recorded_at  timestamptz not null default clock_timestamp(),
    meta         jsonb       not null,  -- traceparent
    primary key (shard, position),
    unique (position),  -- a reader over all shards reads by it
    unique (shard, stream, version),
    unique (shard, cause, stream, ordinal)
);

create table owners (
    category text primary key,
    role     name not null  -- the one login role that writes streams of this category
);

create function append_groups(
    g_account  uuid[],         -- a group is all or nothing; its number is its place here, from 1
    g_shard    smallint[],
    g_meta     jsonb[],
    w_group    int[],          -- a write, or (without cause) an expectation, about one stream of a group
    w_stream   text[],
    w_after    int[],          -- the version at which the stream must stand; null: whatever it stands at
    w_cause    uuid[],
    e_write    int[],          -- an event of a write
    e_ordinal  int[],
    e_type     text[],
    e_version  smallint[],
    e_data     jsonb[],
    at         timestamptz
) returns table (grp int, verdict text, last bigint, moved text[])
language plpgsql volatile security definer
set search_path = log, pg_temp
as $$
declare
    stranger text;
begin
    -- First the lock, then the look: in READ COMMITTED the next statement sees all that the former holder committed.
    perform pg_advisory_xact_lock(6091845621);

    select w.stream into stranger
    from unnest(w_stream, w_cause) as w (stream, cause)
    where w.cause is not null
      and not exists (
          select from owners o where o.category = split_part(w.stream, '-', 1) and o.role = session_user
      )
    limit 1;
    if found then
        raise insufficient_privilege using message = format('%s may not write %s', session_user, stranger);
    end if;

    return query
    with looked as materialized (
        select w.ord::int as write, w.grp, w.stream, w.after, w.cause, g.account, g.shard, g.meta,
            coalesce((
                select e.version from events e
                where e.shard = g.shard and e.stream = w.stream
                order by e.version desc limit 1
            ), 0) as stands_at,
            (
                select max(e.position) from events e
                where e.shard = g.shard and e.cause = w.cause and e.stream = w.stream
            ) as recorded_before
        from unnest(w_group, w_stream, w_after, w_cause) with ordinality as w (grp, stream, after, cause, ord)
        join unnest(g_account, g_shard, g_meta) with ordinality as g (account, shard, meta, ord) on g.ord = w.grp
    ),
    judged as materialized (
        select l.grp,
            case
                when bool_and(l.recorded_before is not null) filter (where l.cause is not null) then 'repeated'
                when bool_or(l.recorded_before is not null or l.stands_at <> l.after) then 'conflict'
                else 'recorded'
            end as verdict,
            max(l.recorded_before) as before,
            array_agg(l.stream) filter (where l.recorded_before is not null or l.stands_at <> l.after) as moved
        from looked l
        group by l.grp
    ),
    inserted as (
        insert into events
            (shard, account_id, stream, version, type, type_version, data, cause, ordinal, business_at, meta)
        select l.shard, l.account, l.stream, l.stands_at + 1 + e.ordinal, e.type, e.version, e.data, l.cause, e.ordinal,
            append_groups.at, l.meta
        from unnest(e_write, e_ordinal, e_type, e_version, e_data) with ordinality
            as e (write, ordinal, type, version, data, ord)
        join looked l on l.write = e.write
        join judged j on j.grp = l.grp and j.verdict = 'recorded'
        order by e.ord
        returning stream, cause, position
    ),
    written as (
        select l.grp, max(i.position) as last
        from inserted i
        join looked l on l.stream = i.stream and l.cause = i.cause
        group by l.grp
    )
    select j.grp, j.verdict, coalesce(w.last, j.before), j.moved
    from judged j
    left join written w on w.grp = j.grp;
end
$$;

create table commands (
    command_id          uuid        primary key,
    account_id          uuid        not null,
    kind                text        not null,
    service             text        not null,  -- who decides it
    target              text        not null,  -- commands of one target are carried out in order of `accepted`
    accepted            bigint      not null generated always as identity,
    request             jsonb       not null,  -- ids, numbers, vault references: no person, no secret
    request_hash        bytea,
    idempotency_key     text,
    seen                bigint      not null default 0,
    status              text        not null default 'accepted' check (status in ('accepted', 'succeeded', 'rejected')),
    http_status         smallint,
    body_without_people jsonb,
    position            bigint,
    meta                jsonb       not null default '{}',
    created_at          timestamptz not null default clock_timestamp(),
    told_at             timestamptz not null default clock_timestamp(),
    decided_at          timestamptz,
    expires_at          timestamptz,            -- null: waits for ever
    unique (account_id, idempotency_key)
);
create index commands_undecided on commands (target, accepted) where status = 'accepted';
create index commands_told on commands (told_at) where status = 'accepted';

create table vault (
    owner      uuid        not null,
    name       text        not null,
    account_id uuid        not null,
    kind       text        not null,  -- contact, credential, campaign ...: what the owner is
    value      jsonb       not null,
    expires_at timestamptz,           -- null: as long as its owner
    primary key (owner, name)
);
create index vault_account on vault (account_id);
create index vault_expiry on vault (expires_at) where expires_at is not null;

create table clock (
    one       boolean     primary key default true check (one),
    spec      text        not null,   -- '' or <RFC 3339 start>@<speed>
    started   timestamptz not null,   -- real time at which the business clock stood at `virtual`
    virtual   timestamptz not null,
    speed     double precision not null check (speed > 0)
);

create table leases (
    name       text        primary key,
    holder     uuid        not null,
    until      timestamptz not null   -- real time
);
