-- What a server or a person said is kept for as long as its owner is: whoever keeps it holds the owner's row meanwhile, so
-- that forgetting waits for it, and removes it with the rest. Two statements: the second sees who was forgotten meanwhile.
-- A lock asks for the right to change the row, which the sender and the reply-watcher do not have; hence a function.

create function keep_words(v_owner uuid, v_there text, v_name text, v_value jsonb, v_account uuid) returns void
language plpgsql volatile security definer
set search_path = log, pg_temp
as $$
declare
    v_kind text;
begin
    if v_name not in ('smtp_error', 'imap_error') and v_name not like 'smtp-reply-%' and v_name not like 'inbound-%' then
        raise insufficient_privilege using message = format('%s is no name of words', v_name);
    end if;
    select kind into v_kind from vault where owner = v_owner and name = v_there and account_id = v_account
    for key share;
    if found then
        insert into vault (owner, name, account_id, kind, value) values (v_owner, v_name, v_account, v_kind, v_value)
        on conflict (owner, name) do update set value = excluded.value;
    end if;
end
$$;
revoke execute on function keep_words from public;
grant execute on function keep_words to outrider_sender, outrider_reply_watcher;
