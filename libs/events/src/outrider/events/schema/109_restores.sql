-- Each time that a backup was put in the place of this log. The newest epoch is that of what is published from then on.

create table restores (
    epoch           int         primary key,
    backup_position bigint      not null,  -- of the newest event in the backup
    begun_at        timestamptz not null default clock_timestamp(),
    ended_at        timestamptz            -- null: it was killed, and is to be run again before any service starts
);
grant select on restores to outrider_api, outrider_dispatcher, outrider_sender, outrider_reply_watcher;
