-- What is due in a lane is told in the order of its time: those behind a first step before the first steps.

create index todos_lane_later on todos (lane, kind, due_at)
    where ordinal > 1 and done_at is null and dead_at is null and not held;
