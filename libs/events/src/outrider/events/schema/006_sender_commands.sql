-- The sender decides what became of a delivery, also where a person says so.

alter policy own_tests on commands using (service in ('sender_tests', 'sender_commands'));
