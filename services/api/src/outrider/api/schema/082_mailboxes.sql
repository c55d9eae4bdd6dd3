-- Since when a mailbox refuses the log-in of its credential.

alter table credentials add column imap_refused_at timestamptz;
