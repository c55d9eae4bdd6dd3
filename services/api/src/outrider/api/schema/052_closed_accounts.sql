-- An account that is gone: its figures stay.
alter table accounts add column closed_at timestamptz;
