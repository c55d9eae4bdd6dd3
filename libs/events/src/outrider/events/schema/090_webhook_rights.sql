-- Where webhooks lead to, and what they sign with, is for the api alone; so is forging it.

create policy endpoints on vault as restrictive to outrider_sender, outrider_reply_watcher
    using (name <> 'endpoint') with check (name <> 'endpoint');
