-- What a command waits for may take longer than a command may wait: an import that is to be enrolled.

grant update (expires_at) on commands to outrider_dispatcher;
