-- A service sees and decides its own commands alone: the gateway accepts all of them, and reads every verdict.

alter table commands enable row level security;

create policy gateway on commands to outrider_api using (true);
create policy own on commands to outrider_dispatcher using (service = 'dispatcher');
create policy own_tests on commands to outrider_sender using (service = 'sender_tests');
