-- The kernel's to-dos hold all that the sender has to remember: settle_started, one row a claim.
select 1;
