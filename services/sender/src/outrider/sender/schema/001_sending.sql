-- What a claim looks at: the streams that can stop a message, and what a message is made of.

create table gates (
    stream  text primary key,  -- of the log
    version int  not null,     -- at which the claim asserts it
    closed  text not null default ''  -- why nothing may be claimed; '' is open
);

create table campaigns (
    campaign_id uuid  primary key,
    account_id  uuid  not null,
    settings    jsonb not null,
    steps       jsonb not null
);

create table credentials (
    credential_id     uuid    primary key,
    campaign_id       uuid    not null,
    daily_limit       int     not null,
    follow_ups_exempt boolean not null
);
