-- An ordinal may be a position of the log.

alter table todos alter column ordinal type bigint;
