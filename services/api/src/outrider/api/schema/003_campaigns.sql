-- Campaigns, their credentials and batches, and the counters that a page shows: maintained, never counted when read.

create table campaigns (
    campaign_id  uuid        primary key,
    account_id   uuid        not null,
    position     bigint      not null,
    status       text        not null default 'pending',
    settings     jsonb       not null,
    steps        jsonb       not null,
    created_at   timestamptz not null,
    completed_at timestamptz,
    deleted_at   timestamptz
);
create index campaigns_account on campaigns (account_id, position desc) where deleted_at is null;

create table campaign_counts (
    campaign_id  uuid   primary key,
    pending      int    not null default 0,
    sent         int    not null default 0,
    opened       int    not null default 0,
    replied      int    not null default 0,
    bounced      int    not null default 0,
    unsubscribed int    not null default 0,
    finished     int    not null default 0,
    sends        bigint not null default 0,  -- messages accepted or refused with 5xx
    accepted     bigint not null default 0   -- messages accepted
);

create table batches (
    campaign_id   uuid not null,
    batch_number  int  not null,
    dispatched_at timestamptz,
    pending       int  not null default 0,
    sent          int  not null default 0,
    opened        int  not null default 0,
    replied       int  not null default 0,
    bounced       int  not null default 0,
    primary key (campaign_id, batch_number)
);

create table credentials (
    credential_id     uuid        primary key,
    campaign_id       uuid        not null,
    account_id        uuid        not null,
    position          bigint      not null,
    daily_limit       int         not null,
    follow_ups_exempt boolean     not null,
    mailbox_id        uuid,
    created_at        timestamptz not null,
    disabled_at       timestamptz,
    disabled_reason   text,
    removed_at        timestamptz
);
create index credentials_campaign on credentials (campaign_id, position) where removed_at is null;

create table credential_counts (
    credential_id uuid   primary key,
    sends         bigint not null default 0,
    bounces       int    not null default 0  -- enrollments that bounced through it
);

create table credential_days (
    credential_id uuid not null,
    day           date not null,  -- UTC, of the claim
    claimed       int  not null default 0,  -- counts against the limit
    accepted      int  not null default 0,
    primary key (credential_id, day)
);

create table skips (
    position      bigint      primary key,
    campaign_id   uuid        not null,
    enrollment_id uuid        not null,
    contact_id    uuid        not null,
    kind          text        not null,
    created_at    timestamptz not null
);
create index skips_campaign on skips (campaign_id, position desc);
create index skips_kind on skips (campaign_id, kind, position desc);

create table skip_counts (
    campaign_id uuid not null,
    kind        text not null,
    skips       int  not null default 0,
    primary key (campaign_id, kind)
);
