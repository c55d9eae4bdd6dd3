-- Receipts: that nothing tells any more who a contact was, and how much was removed.

create table erasures (
    contact_id uuid        primary key,
    account_id uuid        not null,
    position   bigint      not null,
    erased_at  timestamptz not null,
    removed    jsonb       not null,  -- how many values of each kind
    suppressed boolean     not null   -- its address stays on the do-not-contact list, as a key
);
