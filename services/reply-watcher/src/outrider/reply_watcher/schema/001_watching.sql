-- Which mailboxes are watched, and which message of ours an answer belongs to.

create table mailboxes (
    credential_id uuid        primary key,
    mailbox_id    uuid,                  -- keyed hash of (account, host, port, username): one watch for all of its credentials; null: none
    account_id    uuid        not null,
    campaign_id   uuid        not null,
    changed       bigint      not null,  -- position of its last change: a later one may mean another password
    since         timestamptz not null   -- real time at which the credential was added: no answer to us can be older
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
