-- The reply-watcher decides what a message was, also where a person says so.

grant select on commands to outrider_reply_watcher;
grant update (status, http_status, body_without_people, position, decided_at, failures) on commands to outrider_reply_watcher;
create policy own_inbound on commands to outrider_reply_watcher using (service = 'reply_watcher');
