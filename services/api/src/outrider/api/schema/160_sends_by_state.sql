-- GET /sends?state=: those of any state, as those that are unknown were; it serves these too.
create index sends_state on sends (account_id, state, position desc);
drop index sends_unknown;
