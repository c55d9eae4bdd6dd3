-- What may name a person beside the person's own values, few among all of them: looked through whenever a contact is
-- deleted, erased, or gets another address. Answers are sealed: nothing can be found in them.

create index vault_copies on vault (account_id)
    where kind not in ('import', 'contact', 'answer') and (expires_at is not null or name in ('smtp_error', 'imap_error'));
