-- The do-not-contact list; what address or domain a row is about lies in the vault.

create table suppressions (
    suppression_id uuid        primary key,
    account_id     uuid        not null,
    address_key    text        not null,
    position       bigint      not null,
    created_at     timestamptz not null
);
create index suppressions_account on suppressions (account_id, position desc);
