-- Test sends are the sender's: it carries out the command, and remembers that it did.

insert into owners (category, role) values ('testSend', 'outrider_sender');

grant select on commands to outrider_sender;
grant update (status, http_status, body_without_people, position, decided_at) on commands to outrider_sender;
