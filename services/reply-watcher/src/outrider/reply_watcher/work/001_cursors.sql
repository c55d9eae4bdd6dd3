-- How far each folder has been read. It moves after what was found is recorded: a scan that is cut short runs again,
-- and records nothing twice, because the cause of a record names the message.

create table cursors (
    mailbox_id   uuid   not null,
    folder       text   not null,
    uid_validity bigint not null,
    uid          bigint not null,  -- the highest one that was looked at
    primary key (mailbox_id, folder)
);
