-- A message belongs to the day of its claim, and so to that day's month. Of those that were claimed before this column
-- came it is not known: they were counted by when they were settled, and are taken off again by that.

alter table steps add column day date;  -- UTC, of the last claim
