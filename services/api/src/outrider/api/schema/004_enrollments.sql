-- Enrollments, their planned steps, messages and replies. Columns hold facts; what follows from them is generated.

create table enrollments (
    enrollment_id   uuid        primary key,
    account_id      uuid        not null,
    campaign_id     uuid        not null,
    contact_id      uuid        not null,
    credential_id   uuid,
    batch_number    int         not null,
    position        bigint      not null,
    created_at      timestamptz not null,
    scheduled_at    timestamptz,
    steps_sent      int         not null default 0,  -- accepted by a server
    sent_at         timestamptz,  -- the first message, accepted or refused with 5xx
    opened_at       timestamptz,
    replied_at      timestamptz,
    bounced_at      timestamptz,
    bounce_kind     text,
    bounce_code     text,
    bounce_reason   text,
    unsubscribed_at timestamptz,
    skip_kind       text,
    stop_reason     text,
    completed_at    timestamptz,  -- every step was sent
    ended_at        timestamptz,  -- no step is left, for whatever reason
    status          text        not null generated always as (
        case
            when skip_kind is not null then 'skipped'
            when bounced_at is not null then 'bounced'
            when unsubscribed_at is not null then 'unsubscribed'
            when replied_at is not null then 'replied'
            when stop_reason = 'failed' then 'failed'
            when stop_reason is not null then 'stopped'
            when opened_at is not null then 'opened'
            when sent_at is not null then 'sent'
            when scheduled_at is not null then 'scheduled'
            else 'pending'
        end
    ) stored,
    waits boolean not null generated always as (sent_at is null and ended_at is null) stored
);
create index enrollments_campaign on enrollments (campaign_id, position desc);
create index enrollments_batch on enrollments (campaign_id, batch_number, position desc);
create index enrollments_status on enrollments (campaign_id, status, position desc);
create index enrollments_contact on enrollments (contact_id);
create index enrollments_bounced on enrollments (campaign_id, bounced_at desc, position desc) where bounced_at is not null;

create table planned_steps (
    enrollment_id uuid        not null,
    step_position int         not null,
    campaign_id   uuid        not null,
    credential_id uuid        not null,
    at            timestamptz not null,  -- business time
    open          boolean     not null default true,
    primary key (enrollment_id, step_position)
);

create table sends (
    delivery_id   uuid        primary key,
    account_id    uuid        not null,
    enrollment_id uuid        not null,
    campaign_id   uuid        not null,
    contact_id    uuid        not null,
    credential_id uuid        not null,
    step_position int         not null,
    position      bigint      not null,
    attempt       int         not null,
    state         text        not null,  -- started, sent, bounced, deferred, failed, unknown
    day           date        not null,  -- whose quota and month it belongs to
    at            timestamptz not null,
    status_code   text,
    accepted      boolean     not null generated always as (state in ('sent', 'unknown')) stored,
    is_send       boolean     not null generated always as (state in ('sent', 'unknown', 'bounced')) stored
);
create index sends_campaign on sends (campaign_id, position desc);

create table replies (
    enrollment_id uuid        primary key,
    campaign_id   uuid        not null,
    contact_id    uuid        not null,
    position      bigint      not null,
    inbound       uuid        not null,  -- names subject and snippet in the vault
    delivery_id   uuid,
    step_position int,
    replied_at    timestamptz not null
);
create index replies_campaign on replies (campaign_id, position desc);
