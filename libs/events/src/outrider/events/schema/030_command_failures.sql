-- How often a command's handler raised what is a bug: after some times it is rejected, and holds up nobody any more.

alter table commands add column failures smallint not null default 0;
grant update (failures) on commands to outrider_dispatcher, outrider_sender;
