-- Which mailboxes are watched, and which message of ours an answer belongs to.

create table mailboxes (
    credential_id uuid        primary key,
    mailbox_id    uuid        not null,  -- keyed hash of (account, host, port, username): one watch for all of its credentials
    account_id    uuid        not null,
    campaign_id   uuid        not null,
    version       int         not null,  -- of the credential's stream: a later one means another password
    since         timestamptz not null   -- real time: no answer to us can be older
);
create index mailboxes_campaign on mailboxes (campaign_id);

create table deliveries (
    delivery_id   uuid     primary key,
    account_id    uuid     not null,
    enrollment_id uuid     not null,
    campaign_id   uuid     not null,
    contact_id    uuid     not null,
    credential_id uuid     not null,
    position      smallint not null
);
