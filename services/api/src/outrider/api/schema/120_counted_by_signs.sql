-- Counters without joins: what stood is taken off and what stands is added, in one pass over the rows of a statement.
--
-- A join of the rows before with the rows after was planned by the first statements of a connection. They change a row
-- or two, so it became a nested loop, and stayed one for the batches of hundreds that follow.

drop trigger enrollments_suspected on enrollments;
drop function count_suspected();
drop trigger enrollments_bounces_withdrawn on enrollments;
drop function count_withdrawn_bounces();

create or replace function count_enrollments() returns trigger
language plpgsql as $$
begin
    with difference as materialized (
        select campaign_id, batch_number,
            sum(sign * waits::int) as pending,
            sum(sign * (sent_at is not null)::int) as sent,
            sum(sign * (opened_at is not null)::int) as opened,
            sum(sign * (clicked_at is not null)::int) as clicked,
            sum(sign * (replied_at is not null and not suspected)::int) as replied,
            sum(sign * (bounced_at is not null)::int) as bounced,
            sum(sign * (unsubscribed_at is not null)::int) as unsubscribed,
            sum(sign * (completed_at is not null)::int) as finished
        from (select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o) r
        group by campaign_id, batch_number
    ),
    whole as (
        update campaign_counts c
        set pending = c.pending + d.pending, sent = c.sent + d.sent, opened = c.opened + d.opened,
            clicked = c.clicked + d.clicked, replied = c.replied + d.replied, bounced = c.bounced + d.bounced,
            unsubscribed = c.unsubscribed + d.unsubscribed, finished = c.finished + d.finished
        from (
            select campaign_id, sum(pending) as pending, sum(sent) as sent, sum(opened) as opened,
                sum(clicked) as clicked, sum(replied) as replied, sum(bounced) as bounced,
                sum(unsubscribed) as unsubscribed, sum(finished) as finished
            from difference
            group by campaign_id
        ) d
        where c.campaign_id = d.campaign_id
            and (d.pending, d.sent, d.opened, d.clicked, d.replied, d.bounced, d.unsubscribed, d.finished)
                <> (0, 0, 0, 0, 0, 0, 0, 0)
    )
    update batches b
    set pending = b.pending + d.pending, sent = b.sent + d.sent, opened = b.opened + d.opened,
        replied = b.replied + d.replied, bounced = b.bounced + d.bounced
    from difference d
    where b.campaign_id = d.campaign_id and b.batch_number = d.batch_number
        and (d.pending, d.sent, d.opened, d.replied, d.bounced) <> (0, 0, 0, 0, 0);

    -- A bounce counts for the mail account that the enrollment had when it came, whichever it has later.
    insert into credential_counts as c (credential_id, bounces)
    select credential_id, sum(sign)
    from (
        select 1 as sign, n.credential_id
        from new_rows n
        where n.bounced_at is not null
            and n.enrollment_id not in (select o.enrollment_id from old_rows o where o.bounced_at is not null)
        union all
        select -1, o.credential_id
        from old_rows o
        where o.bounced_at is not null
            and o.enrollment_id not in (select n.enrollment_id from new_rows n where n.bounced_at is not null)
    ) r
    where credential_id is not null
    group by credential_id
    on conflict (credential_id) do update set bounces = c.bounces + excluded.bounces;
    return null;
end
$$;

create or replace function count_sends() returns trigger
language plpgsql as $$
begin
    with difference as materialized (
        select account_id, campaign_id, credential_id, day,
            sum(sign * is_send::int) as sends, sum(sign * accepted::int) as accepted
        from (select 1 as sign, n.* from new_rows n union all select -1, o.* from old_rows o) r
        group by account_id, campaign_id, credential_id, day
    ),
    by_campaign as (
        insert into campaign_counts as c (campaign_id, sends, accepted)
        select campaign_id, sum(sends), sum(accepted) from difference
        group by campaign_id
        having (sum(sends), sum(accepted)) <> (0, 0)
        on conflict (campaign_id) do update
        set sends = c.sends + excluded.sends, accepted = c.accepted + excluded.accepted
    ),
    by_credential as (
        insert into credential_counts as c (credential_id, sends)
        select credential_id, sum(sends) from difference
        group by credential_id
        having sum(sends) <> 0
        on conflict (credential_id) do update set sends = c.sends + excluded.sends
    ),
    by_day as (
        insert into credential_days as d (credential_id, day, accepted)
        select credential_id, day, sum(accepted) from difference
        group by credential_id, day
        having sum(accepted) <> 0
        on conflict (credential_id, day) do update set accepted = d.accepted + excluded.accepted
    )
    insert into usage as u (account_id, month, sends)
    select account_id, date_trunc('month', day::timestamp)::date, sum(accepted) from difference
    group by account_id, date_trunc('month', day::timestamp)
    having sum(accepted) <> 0
    on conflict (account_id, month) do update set sends = u.sends + excluded.sends;
    return null;
end
$$;
