-- A number that a log holds already is read, whatever bound the commands have by now.

alter table enrollments alter column batch_number type bigint;
alter table accounts alter column monthly_limit type bigint;
alter table account_months alter column sends type bigint;
