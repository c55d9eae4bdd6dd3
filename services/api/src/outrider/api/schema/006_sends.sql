-- GET /sends: the newest of an account first; those of one state are few, and looked for.
create index sends_account on sends (account_id, position desc);
create index sends_unknown on sends (account_id, position desc) where state = 'unknown';
