-- Requests that came with an Idempotency-Key: each is carried out once, and answered alike for 24 hours.
-- A request may lead to no command, so this is no part of `commands`; what it answered lies sealed in the vault.

create table requests (
    account_id   uuid        not null,  -- the nil UUID: the operator's
    key_hash     bytea       not null,  -- the key itself is the client's own, and may be anything
    request_hash bytea,                 -- of method, path and body; null until a streamed body has ended
    request_id   uuid        not null,  -- owner of the answer in the vault
    holder       uuid,                  -- the attempt that is at work; null: answered
    held_until   timestamptz,           -- real time; whoever comes later goes on with it
    command_id   uuid,                  -- the command that it led to, noted before that is accepted
    created_at   timestamptz not null default clock_timestamp(),
    primary key (account_id, key_hash)
);
create index requests_age on requests (created_at);
grant select, insert, update, delete on requests to outrider_api;

-- Who asked: an API key, the nil UUID for the operator, null for the public. A secret is shown to nobody else.
alter table commands add column asker uuid;
alter table commands drop column idempotency_key, drop column request_hash;
