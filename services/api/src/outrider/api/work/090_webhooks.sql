-- What the webhooks process remembers of its endpoints; a delivery is a row of `todos`: its lane is the endpoint, its
-- owner the enrollment at that endpoint, its ordinal the event's position.

create table endpoints (
    webhook_id           uuid    primary key,
    account_id           uuid    not null,
    event_filters        text[]  not null,
    enabled              boolean not null default true,
    consecutive_failures int     not null default 0,
    failing_since        timestamptz,  -- real time of the first failure after the last success
    rests_until          timestamptz   -- real time: what fails again and again is asked less often
);
create index endpoints_account on endpoints (account_id) where enabled;
create index todos_deliveries on todos (lane, ordinal desc) where kind = 'deliver_webhook';
create index todos_delivered on todos (done_at) where kind = 'deliver_webhook';
