-- Which of our messages lie in a Gmail thread: an answer that lost its references still lies there. Learnt from our own
-- copies and from answers; a server that forgets it is read again.

create table threads (
    mailbox_id  uuid not null,
    thread      text not null,
    delivery_id uuid not null,
    primary key (mailbox_id, thread, delivery_id)
);
