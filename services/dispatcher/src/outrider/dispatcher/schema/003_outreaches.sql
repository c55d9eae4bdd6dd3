-- Whose a contact is within an outreach.

alter table enrollments add column outreach_id uuid;  -- of the reservation that was recorded with it

create table outreach_contacts (
    outreach_id   uuid not null,
    contact_id    uuid not null,
    enrollment_id uuid not null,
    primary key (outreach_id, contact_id)
);
