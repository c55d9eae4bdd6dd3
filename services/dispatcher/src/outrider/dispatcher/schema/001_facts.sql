-- What decisions need to know from outside their own stream. Ids, keys, numbers and times only.

create table accounts (
    account_id    uuid primary key,
    monthly_limit int
);

create table account_months (
    account_id uuid not null,
    month      date not null,            -- its first day, UTC
    sends      int  not null default 0,  -- messages that a server accepted, or may have
    primary key (account_id, month)
);

create table imports (
    import_id  uuid    primary key,
    account_id uuid    not null,
    deleted    boolean not null default false
);

create table contacts (
    contact_id   uuid    primary key,
    account_id   uuid    not null,
    import_id    uuid,
    address_key  text    not null,
    added        bigint  not null,  -- position: the order in which they are enrolled
    version      int     not null,  -- of its stream
    deleted      boolean not null default false,
    unsubscribed boolean not null default false,
    bounced      boolean not null default false  -- for good, or its domain takes no mail
);
create index contacts_import on contacts (import_id, added);

create table suppressions (
    suppression_id uuid primary key,
    account_id     uuid not null,
    address_key    text not null
);
create index suppressions_key on suppressions (account_id, address_key);

create table campaigns (
    campaign_id uuid  primary key,
    account_id  uuid  not null,
    status      text  not null,  -- pending, active, paused, deleted
    settings    jsonb not null,
    steps       jsonb not null
);

create table credentials (
    credential_id     uuid    primary key,
    campaign_id       uuid    not null,
    account_id        uuid    not null,
    daily_limit       int     not null,
    follow_ups_exempt boolean not null,
    usable            boolean not null default true,
    removed           boolean not null default false,
    enabled_at        timestamptz not null,     -- business time: the bounce rule counts from here
    sends             int     not null default 0,
    bounces           int     not null default 0
);
create index credentials_campaign on credentials (campaign_id);

create table credential_days (
    credential_id uuid    not null,
    day           date    not null,            -- UTC
    counted       int     not null default 0,  -- claims that count against the limit
    held          boolean not null default false,  -- the server takes no more today
    primary key (credential_id, day)
);

create table enrollments (
    enrollment_id uuid    primary key,
    campaign_id   uuid    not null,
    account_id    uuid    not null,
    contact_id    uuid    not null,
    batch_number  int     not null,
    priority      boolean not null,
    ordinal       int     not null,
    created       bigint  not null,  -- position
    version       int     not null,  -- of its stream
    status        text    not null default 'pending',  -- pending, scheduled, ended
    credential_id uuid,
    dispatch_id   uuid
);
create index enrollments_contact on enrollments (contact_id);
create index enrollments_batch on enrollments (campaign_id, batch_number);
create index enrollments_pending on enrollments (campaign_id, batch_number, priority desc, ordinal, created)
    where status = 'pending';
create index enrollments_running on enrollments (campaign_id) where status <> 'ended';

create table steps (
    enrollment_id uuid        not null,
    position      int         not null,
    campaign_id   uuid        not null,
    credential_id uuid        not null,
    due_at        timestamptz not null,                 -- business time
    state         text        not null default 'open',  -- open, started, sent, unknown, bounced, failed, cancelled
    settled_at    timestamptz,                          -- business time
    bounced       boolean     not null default false,   -- now or later
    primary key (enrollment_id, position)
);
create index steps_open on steps (campaign_id) where state = 'open';
create index steps_started on steps (campaign_id) where state = 'started';
create index steps_sent on steps (campaign_id, settled_at) where state in ('sent', 'unknown');
