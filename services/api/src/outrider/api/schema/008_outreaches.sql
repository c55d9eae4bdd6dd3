-- Outreaches; their names lie in the vault. A campaign says in its settings to which one it belongs.

create table outreaches (
    outreach_id     uuid        primary key,
    account_id      uuid        not null,
    position        bigint      not null,
    unique_contacts boolean     not null,
    created_at      timestamptz not null
);
create index outreaches_account on outreaches (account_id, position desc);
create index campaigns_outreach on campaigns ((settings ->> 'outreach_id'), position desc) where deleted_at is null;
