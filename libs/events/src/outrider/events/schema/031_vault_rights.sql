-- What the sender and the reply-watcher may see in the vault, and keep there: not the one-time answers of the gateway
-- (they show keys), nor lists that are being imported; and they replace no person, password or text of somebody else.
-- The gateway fills the vault and the dispatcher empties it, so those two need all of it; what is sealed neither can open.

alter table vault enable row level security;

create policy keepers on vault to outrider_api, outrider_dispatcher using (true);
create policy seen on vault for select to outrider_sender, outrider_reply_watcher
    using (name not in ('answer', 'label', 'value', 'rejects') and name not like 'rows-%');
create policy added on vault for insert to outrider_sender, outrider_reply_watcher with check (
    name not in ('answer', 'label', 'value', 'rejects', 'person', 'secrets', 'server', 'name', 'emails')
    and name not like 'rows-%' and name not like 'template-%'
);
create policy replaced on vault for update to outrider_sender, outrider_reply_watcher using (
    name not in ('answer', 'label', 'value', 'rejects', 'person', 'secrets', 'server', 'name', 'emails')
    and name not like 'rows-%' and name not like 'template-%'
);
