-- Replies that only their sender and subject connect with a message of ours: shown, and counted apart from the others.

alter table replies add column suspected boolean not null default false;
alter table enrollments add column suspected boolean not null default false;  -- of replied_at
alter table campaign_counts add column suspected_replies int not null default 0;

create function count_suspected() returns trigger
language plpgsql as $$
begin
    with difference as (
        select n.campaign_id, n.batch_number,
            sum((n.replied_at is not null and n.suspected)::int - (o.replied_at is not null and o.suspected)::int) as replied
        from new_rows n
        join old_rows o using (enrollment_id)
        group by n.campaign_id, n.batch_number
    ),
    whole as (
        update campaign_counts c
        set replied = c.replied - d.replied
        from (select campaign_id, sum(replied) as replied from difference group by campaign_id) d
        where c.campaign_id = d.campaign_id and d.replied <> 0
    )
    update batches b
    set replied = b.replied - d.replied
    from difference d
    where b.campaign_id = d.campaign_id and b.batch_number = d.batch_number and d.replied <> 0;
    return null;
end
$$;

create trigger enrollments_suspected after update on enrollments
referencing old table as old_rows new table as new_rows
for each statement execute function count_suspected();

create function count_suspicions() returns trigger
language plpgsql as $$
begin
    if tg_op = 'UPDATE' or tg_op = 'DELETE' then
        update campaign_counts c
        set suspected_replies = c.suspected_replies - o.n
        from (select campaign_id, count(*) as n from old_rows where suspected group by campaign_id) o
        where c.campaign_id = o.campaign_id;
    end if;
    if tg_op = 'UPDATE' or tg_op = 'INSERT' then
        update campaign_counts c
        set suspected_replies = c.suspected_replies + n.n
        from (select campaign_id, count(*) as n from new_rows where suspected group by campaign_id) n
        where c.campaign_id = n.campaign_id;
    end if;
    return null;
end
$$;

create trigger replies_suspected_new after insert on replies
referencing new table as new_rows
for each statement execute function count_suspicions();

create trigger replies_suspected after update on replies
referencing old table as old_rows new table as new_rows
for each statement execute function count_suspicions();

create trigger replies_suspected_gone after delete on replies
referencing old table as old_rows
for each statement execute function count_suspicions();
