-- How many steps of an account are told or claimed and not settled: they are to come off its plan.

create index todos_under_way on todos (account_id)
    where kind = 'send_step' and done_at is null and (claimed or not_before is not null);
