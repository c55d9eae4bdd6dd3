-- Where webhooks lead to, and what they sign with, is for the api alone; so is forging it.

alter policy seen on vault
    using (name not in ('answer', 'label', 'value', 'rejects', 'endpoint') and name not like 'rows-%');
alter policy added on vault with check (
    name not in ('answer', 'label', 'value', 'rejects', 'endpoint', 'person', 'secrets', 'server', 'name', 'emails')
    and name not like 'rows-%' and name not like 'template-%'
);
alter policy replaced on vault using (
    name not in ('answer', 'label', 'value', 'rejects', 'endpoint', 'person', 'secrets', 'server', 'name', 'emails')
    and name not like 'rows-%' and name not like 'template-%'
);
