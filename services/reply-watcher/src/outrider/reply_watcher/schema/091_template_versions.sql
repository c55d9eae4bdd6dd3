-- The version of a text that was changed under way is a number of 63 bits, which nobody else can have taken.
alter table deliveries alter column template_version type bigint;
