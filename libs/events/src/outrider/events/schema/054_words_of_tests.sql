-- As before, and: it says whether the owner was there, so that what else would name a person is kept only with them; and
-- what became of a test send is kept only while the addresses that it went to are, and no longer.

drop function keep_words;

create function keep_words(v_owner uuid, v_there text, v_name text, v_value jsonb, v_account uuid) returns boolean
language plpgsql volatile security definer
set search_path = log, pg_temp
as $$
declare
    v_kind text;
    v_until timestamptz;
begin
    if v_name not in ('smtp_error', 'imap_error') and v_name not like 'smtp-reply-%' and v_name not like 'inbound-%'
        and not (v_name = 'outcome' and v_there = 'emails') then
        raise insufficient_privilege using message = format('%s is no name of words', v_name);
    end if;
    select kind, expires_at into v_kind, v_until from vault
    where owner = v_owner and name = v_there and account_id = v_account for key share;
    if not found then
        return false;
    end if;
    insert into vault (owner, name, account_id, kind, value, expires_at)
    values (v_owner, v_name, v_account, v_kind, v_value, v_until)
    on conflict (owner, name) do update set value = excluded.value;
    return true;
end
$$;
revoke execute on function keep_words from public;
grant execute on function keep_words to outrider_sender, outrider_reply_watcher;
