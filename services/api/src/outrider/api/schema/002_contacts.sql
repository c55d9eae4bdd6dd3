-- Imports and contacts, without a person: names and addresses are joined from the vault when a page is read.

create table imports (
    import_id    uuid        primary key,
    account_id   uuid        not null,
    position     bigint      not null,
    status       text        not null default 'processing',
    record_count int,        -- null while it is processing
    skipped      int         not null,
    rejected     int         not null,
    created_at   timestamptz not null,
    deleted_at   timestamptz
);
create index imports_account on imports (account_id, position desc) where deleted_at is null;

create table import_counts (  -- apart from imports: a contact may be recorded before the import's own event
    import_id uuid primary key,
    added     int  not null default 0,
    gone      int  not null default 0
);

create table contacts (
    contact_id      uuid        primary key,
    account_id      uuid        not null,
    import_id       uuid,
    address_key     text        not null,
    position        bigint      not null,
    created_at      timestamptz not null,
    unsubscribed_at timestamptz,
    bounced_at      timestamptz,
    bounce_reason   text,
    deleted_at      timestamptz
);
create index contacts_account on contacts (account_id, position desc) where deleted_at is null;
create index contacts_address on contacts (account_id, address_key) where deleted_at is null;
create index contacts_import on contacts (import_id, position desc) where deleted_at is null;
