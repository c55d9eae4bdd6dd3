-- Who followed a link, beside who opened.

alter table enrollments add column clicked_at timestamptz;
alter table campaign_counts add column clicked int not null default 0;

create or replace function count_enrollments() returns trigger
language plpgsql as $$
begin
    with difference as (
        select n.campaign_id,
            sum(n.waits::int - o.waits::int) as pending,
            sum((n.sent_at is not null)::int - (o.sent_at is not null)::int) as sent,
            sum((n.opened_at is not null)::int - (o.opened_at is not null)::int) as opened,
            sum((n.clicked_at is not null)::int - (o.clicked_at is not null)::int) as clicked,
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
        clicked = c.clicked + d.clicked, replied = c.replied + d.replied, bounced = c.bounced + d.bounced,
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
