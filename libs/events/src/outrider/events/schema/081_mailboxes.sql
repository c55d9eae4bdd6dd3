insert into owners (category, role) values ('mailbox', 'outrider_reply_watcher');
