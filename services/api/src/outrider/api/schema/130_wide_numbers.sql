-- A number that a log holds already is read, whatever bound the commands have by now.

alter table enrollments alter column batch_number type bigint;
alter table batches alter column batch_number type bigint;
