-- How far each folder has been read. It moves after what was found is recorded: a scan that is cut short runs again,
-- and records nothing twice, because the cause of a record names the message.

create table cursors (
    mailbox_id   uuid   not null,
    folder       text   not null,
    uid_validity bigint not null,
    uid          bigint not null,  -- the highest one that was looked at
    primary key (mailbox_id, folder)
);

-- Where each message was found first, which gives it its cause. A server that numbers anew, a move to another folder or
-- a copy in a colleague's mailbox gives it another place, and it is one answer all the same.

create table findings (
    account_id uuid  not null,
    message    bytea not null,  -- hash of its Message-ID, or of all of it, and of the delivery that it answers
    cause      uuid  not null,
    primary key (account_id, message)
);
