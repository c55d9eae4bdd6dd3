-- One writer a category (DESIGN "Who owns what"), and what each service's role may do in this schema.

insert into owners (category, role) values
    ('account', 'outrider_dispatcher'),
    ('contact', 'outrider_dispatcher'),
    ('import', 'outrider_dispatcher'),
    ('address', 'outrider_dispatcher'),
    ('outreach', 'outrider_dispatcher'),
    ('outreachContact', 'outrider_dispatcher'),
    ('campaign', 'outrider_dispatcher'),
    ('plan', 'outrider_dispatcher'),
    ('credential', 'outrider_dispatcher'),
    ('enrollment', 'outrider_dispatcher'),
    ('credentialDay', 'outrider_sender'),
    ('delivery', 'outrider_sender'),
    ('inbound', 'outrider_reply_watcher'),
    ('engagement', 'outrider_api'),
    ('webhook', 'outrider_api');

grant usage on schema log to outrider_api, outrider_dispatcher, outrider_sender, outrider_reply_watcher;
grant select on events, clock to outrider_api, outrider_dispatcher, outrider_sender, outrider_reply_watcher;
revoke execute on function append_groups from public;
grant execute on function append_groups to outrider_api, outrider_dispatcher, outrider_sender, outrider_reply_watcher;

grant select, insert on commands to outrider_api;
grant update (told_at, status, http_status, body_without_people, decided_at) on commands to outrider_api;
grant select on commands to outrider_dispatcher;
grant update (status, http_status, body_without_people, position, decided_at) on commands to outrider_dispatcher;

grant select, insert, update, delete on vault to outrider_api, outrider_dispatcher;
grant select on vault to outrider_sender, outrider_reply_watcher;
grant insert, update on vault to outrider_reply_watcher, outrider_sender;  -- a reply's snippet, a server's words
grant select, insert, update, delete on leases to outrider_dispatcher, outrider_sender, outrider_reply_watcher, outrider_api;
