-- Dead to-dos are counted whenever health or metrics are asked, among all that were ever done.

create index todos_dead on todos (kind) where dead_at is not null and done_at is null;
