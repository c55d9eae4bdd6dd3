-- Who was mailed what, so that an answer without our Message-ID can be told too. Addresses stand as keyed hashes alone.

create table contacts (
    contact_id  uuid not null,
    account_id  uuid not null,
    address_key text not null,  -- of every address that the contact has had: an answer may come from a former one
    primary key (contact_id, address_key)
);
create index contacts_address on contacts (account_id, address_key);

create table campaigns (
    campaign_id             uuid    primary key,
    stop_on_suspected_reply boolean not null
);

-- The reader begins anew: it keeps more of events that it has read already.
truncate mailboxes, deliveries;
delete from checkpoints where reader = 'reply_watcher.watching.v1';
alter table deliveries add column template_version int not null, add column started_at timestamptz not null;
create index deliveries_contact on deliveries (contact_id, started_at desc);
