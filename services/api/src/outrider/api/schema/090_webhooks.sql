-- Webhooks; where they lead to, and what they sign with, lies in the vault.

create table webhooks (
    webhook_id      uuid        primary key,
    account_id      uuid        not null,
    event_filters   text[]      not null,
    position        bigint      not null,
    created_at      timestamptz not null,
    disabled_at     timestamptz,
    disabled_reason text
);
create index webhooks_account on webhooks (account_id, position desc);
