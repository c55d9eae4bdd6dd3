-- Every process looks whether the database has what its build knows, before it begins and whenever it is asked.

grant select on migrations to outrider_api, outrider_dispatcher, outrider_sender, outrider_reply_watcher;
