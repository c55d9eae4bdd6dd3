-- Deliveries are found by their endpoint, and by when they ended, and by nothing else: an index that only asks for their
-- kind was taken, before statistics exist, to look through all of them for each one whose key was given.

drop index todos_deliveries;
create index todos_deliveries on todos (lane, ordinal desc) where kind = 'deliver_webhook' and lane is not null;
drop index todos_delivered;
create index todos_delivered on todos (done_at) where kind = 'deliver_webhook' and done_at is not null;
