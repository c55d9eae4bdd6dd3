-- Which events moved the steps of an enrollment: one moves up to 250, and a plan's stream is long.

create table retimings (
    enrollment_id uuid   not null,
    position      bigint not null,  -- of the event
    primary key (enrollment_id, position)
);
