-- What every service schema has: where its reader stands, and its to-dos.

create table checkpoints (
    reader   text     not null,
    shards   int4range not null default int4range(0, 64),
    position bigint   not null default 0,
    epoch    int      not null default 0,
    cause    uuid,     -- of the event at `position`: another log than the one that was read is noticed
    primary key (reader, shards)
);

create table todos (
    kind       text        not null,
    key        text        not null,
    account_id uuid        not null,
    owner      uuid,                    -- what it is about: cancelled and closed by it
    scope      uuid,                    -- what holds it: a campaign
    lane       uuid,                    -- what is used up by it: a credential
    ordinal    int         not null default 0,  -- within the owner: the lowest open one goes first
    due_at     timestamptz not null,    -- business time
    data       jsonb       not null default '{}',
    held       boolean     not null default false,
    attempts   int         not null default 0,
    not_before timestamptz,             -- real time: back-off, or the lease of who is at it
    leased_by  uuid,
    done_at    timestamptz,             -- keys stay after they are done
    dead_at    timestamptz,
    error      text,
    primary key (kind, key)
);
create index todos_due on todos (kind, due_at) where done_at is null and dead_at is null and not held;
create index todos_owner on todos (owner, kind, ordinal) where done_at is null;
create index todos_scope on todos (scope, kind) where done_at is null;
create index todos_lane on todos (lane, kind, due_at) where done_at is null and dead_at is null and not held;
