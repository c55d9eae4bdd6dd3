-- The counters follow the rows: each statement that changes facts adds the difference, in the same transaction.

create function count_new_enrollments() returns trigger
language plpgsql as $$
begin
    insert into campaign_counts as c (campaign_id, pending)
    select n.campaign_id, count(*) filter (where n.waits)
    from new_rows n
    group by n.campaign_id
    on conflict (campaign_id) do update set pending = c.pending + excluded.pending;

    insert into batches as b (campaign_id, batch_number, pending)
    select n.campaign_id, n.batch_number, count(*) filter (where n.waits)
    from new_rows n
    group by n.campaign_id, n.batch_number
    on conflict (campaign_id, batch_number) do update set pending = b.pending + excluded.pending;
    return null;
end
$$;

create trigger enrollments_counted_new after insert on enrollments
referencing new table as new_rows
for each statement execute function count_new_enrollments();

create function count_enrollments() returns trigger
language plpgsql as $$
begin
    with difference as (
        select n.campaign_id,
            sum(n.waits::int - o.waits::int) as pending,
            sum((n.sent_at is not null)::int - (o.sent_at is not null)::int) as sent,
            sum((n.opened_at is not null)::int - (o.opened_at is not null)::int) as opened,
            sum((n.replied_at is not null)::int - (o.replied_at is not null)::int) as replied,
            sum((n.bounced_at is not null)::int - (o.bounced_at is not null)::int) as bounced,
            sum((n.unsubscribed_at is not null)::int - (o.unsubscribed_at is not null)::int) as unsubscribed,
            sum((n.completed_at is not null)::int - (o.completed_at is not null)::int) as finished
        from new_rows n
        join old_rows o using (enrollment_id)
        group by n.campaign_id
    )
    update campaign_counts c
    set pending = c.pending + d.pending, sent = c.sent + d.sent, opened = c.opened + d.opened,
        replied = c.replied + d.replied, bounced = c.bounced + d.bounced,
        unsubscribed = c.unsubscribed + d.unsubscribed, finished = c.finished + d.finished
    from difference d
    where c.campaign_id = d.campaign_id;

    with difference as (
        select n.campaign_id, n.batch_number,
            sum(n.waits::int - o.waits::int) as pending,
            sum((n.sent_at is not null)::int - (o.sent_at is not null)::int) as sent,
            sum((n.opened_at is not null)::int - (o.opened_at is not null)::int) as opened,
            sum((n.replied_at is not null)::int - (o.replied_at is not null)::int) as replied,
            sum((n.bounced_at is not null)::int - (o.bounced_at is not null)::int) as bounced
        from new_rows n
        join old_rows o using (enrollment_id)
        group by n.campaign_id, n.batch_number
    )
    update batches b
    set pending = b.pending + d.pending, sent = b.sent + d.sent, opened = b.opened + d.opened,
        replied = b.replied + d.replied, bounced = b.bounced + d.bounced
    from difference d
    where b.campaign_id = d.campaign_id and b.batch_number = d.batch_number;

    insert into credential_counts as c (credential_id, bounces)
    select n.credential_id, count(*)
    from new_rows n
    join old_rows o using (enrollment_id)
    where n.bounced_at is not null and o.bounced_at is null and n.credential_id is not null
    group by n.credential_id
    on conflict (credential_id) do update set bounces = c.bounces + excluded.bounces;
    return null;
end
$$;

create trigger enrollments_counted after update on enrollments
referencing old table as old_rows new table as new_rows
for each statement execute function count_enrollments();

create function count_sends() returns trigger
language plpgsql as $$
begin
    insert into campaign_counts as c (campaign_id, sends, accepted)
    select n.campaign_id, sum(n.is_send::int - o.is_send::int), sum(n.accepted::int - o.accepted::int)
    from new_rows n
    join old_rows o using (delivery_id)
    group by n.campaign_id
    on conflict (campaign_id) do update
    set sends = c.sends + excluded.sends, accepted = c.accepted + excluded.accepted;

    insert into credential_counts as c (credential_id, sends)
    select n.credential_id, sum(n.is_send::int - o.is_send::int)
    from new_rows n
    join old_rows o using (delivery_id)
    group by n.credential_id
    on conflict (credential_id) do update set sends = c.sends + excluded.sends;

    insert into credential_days as d (credential_id, day, accepted)
    select n.credential_id, n.day, sum(n.accepted::int - o.accepted::int)
    from new_rows n
    join old_rows o using (delivery_id)
    where n.accepted <> o.accepted
    group by n.credential_id, n.day
    on conflict (credential_id, day) do update set accepted = d.accepted + excluded.accepted;

    insert into usage as u (account_id, month, sends)
    select n.account_id, date_trunc('month', n.day::timestamp)::date, sum(n.accepted::int - o.accepted::int)
    from new_rows n
    join old_rows o using (delivery_id)
    where n.accepted <> o.accepted
    group by n.account_id, date_trunc('month', n.day::timestamp)
    on conflict (account_id, month) do update set sends = u.sends + excluded.sends;
    return null;
end
$$;

create trigger sends_counted after update on sends
referencing old table as old_rows new table as new_rows
for each statement execute function count_sends();
