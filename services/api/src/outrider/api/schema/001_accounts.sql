-- Accounts, their keys, and what each sent in a month. `position` is that of the first event: newest first is by it.

create table accounts (
    account_id    uuid        primary key,
    monthly_limit bigint,     -- null: unlimited
    opened_at     timestamptz not null
);

create table api_keys (
    key_id     uuid        primary key,
    account_id uuid        not null,
    position   bigint      not null,
    key_hash   text        not null unique,
    key_prefix text        not null,
    created_at timestamptz not null,
    revoked_at timestamptz
);
create index api_keys_account on api_keys (account_id, position desc) where revoked_at is null;

create table usage (
    account_id uuid   not null,
    month      date   not null,  -- its first day, UTC
    sends      bigint not null default 0,  -- accepted by a server, by the day of the claim
    primary key (account_id, month)
);
