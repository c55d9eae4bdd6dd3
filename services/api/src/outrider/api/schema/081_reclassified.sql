-- A verdict that was withdrawn: every counter goes back as it came.

alter table enrollments add column reclassified bigint;  -- position of what is not followed up yet

create function count_withdrawn_bounces() returns trigger
language plpgsql as $$
begin
    update credential_counts c
    set bounces = c.bounces - d.bounces
    from (
        select o.credential_id, count(*) as bounces
        from new_rows n
        join old_rows o using (enrollment_id)
        where n.bounced_at is null and o.bounced_at is not null and o.credential_id is not null
        group by o.credential_id
    ) d
    where c.credential_id = d.credential_id;
    return null;
end
$$;

create trigger enrollments_bounces_withdrawn after update on enrollments
referencing old table as old_rows new table as new_rows
for each statement execute function count_withdrawn_bounces();
