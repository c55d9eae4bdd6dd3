-- First steps of a lane are found beside any number of others, and none at once where there is none.

create index todos_lane_first on todos (lane, kind, due_at)
    where ordinal <= 1 and done_at is null and dead_at is null and not held;

-- A row is looked up by its key first: before statistics exist, one of a kind is as good a guess to the planner as one
-- of a key, and it looked through all of a kind for every row that it was asked for.
alter table todos drop constraint todos_pkey;
alter table todos add primary key (key, kind);
