-- What keeps send_step rows from being told, and how far a told one has come.

alter table todos add column claimed boolean not null default false;  -- the sender has the claim for this attempt

create table holds (
    id     uuid not null,  -- a campaign or a credential
    reason text not null,  -- paused, disabled, deleted, or retiming:<key of the to-do that releases it>
    primary key (id, reason)
);

create index todos_open on todos (lane, kind) where done_at is null;  -- held ones too
create index todos_told on todos (lane, kind) where done_at is null and not_before is not null;
