"""Accounts, plans, keys: POST and PATCH are the operator's, the rest is the account's own."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api import showing_once
from outrider.api.answers import AccountOpened, AccountShown, ApiKeyIssued, ApiKeyShown, Usage
from outrider.api.auth import new_key
from outrider.api.bodies import ChangedAccountBody, NewAccountBody, NewApiKey, OwnAccountBody
from outrider.api.describing import PAGE, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import Page, as_id
from outrider.events import vault
from outrider.events.account import (
    AccountNotFound,
    ApiKeyNotFound,
    CannotRevokeLastKey,
    ChangePlan,
    CloseAccount,
    IssueApiKey,
    OpenAccount,
    RevokeApiKey,
)
from outrider.events.database import Row
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.vault import Entry

OPERATOR: Final = {"rule": {"door": "operator"}}
PAST_MONTHS: Final = 12
KEYS = """
select key_id, position, key_prefix, created_at
from api_keys
where account_id = $1 and revoked_at is null and position < $2
order by position desc
limit $3
"""


@post("/accounts", status_code=201, opt=OPERATOR | tells(AccountOpened, body=NewAccountBody))
async def open_account(request: Asked) -> Response[bytes]:
    """Open an account; its first key is in the answer, and nowhere else."""
    call = request.user
    account = call.body(NewAccountBody).account
    account_id, key_id, key = new_id(), new_id(), new_key()
    await vault.put(
        call.gateway.log_pool,
        [
            Entry(account_id, "name", account_id, "account", {"name": account.name}),
            Entry(key_id, "label", account_id, "api_key", {"label": "first key"}),
        ],
    )
    shown = {"id": str(key_id), "prefix": key.prefix, "plaintext": key.plaintext}
    answer = {"id": str(account_id), "name": account.name, "monthly_limit": account.monthly_limit, "api_key": shown}
    await showing_once.keep(call, account_id, account_id, answer)
    await call.ask(
        OpenAccount(
            command_id=new_id(),
            account_id=account_id,
            monthly_limit=account.monthly_limit,
            key_id=key_id,
            key_hash=key.hash,
            key_prefix=key.prefix,
        )
    )
    return call.answer(answer, 201)


@patch("/accounts/{account_id:str}", opt=OPERATOR | tells(AccountShown, body=ChangedAccountBody))
async def change_account(request: Asked, account_id: str) -> Response[bytes]:
    """Change an account's name or plan."""
    call, known = request.user, as_id(account_id)
    if known is None or await _account(call, known) is None:
        raise AccountNotFound
    account = call.body(ChangedAccountBody).account
    if "name" in account.model_fields_set:
        await vault.put(call.gateway.log_pool, [Entry(known, "name", known, "account", {"name": account.name})])
    if "monthly_limit" in account.model_fields_set:
        await call.ask(ChangePlan(command_id=new_id(), account_id=known, monthly_limit=account.monthly_limit))
    return call.answer(await _shown(call, known))


@delete("/accounts/{account_id:str}", opt=OPERATOR | tells(), status_code=200)
async def close_account(request: Asked, account_id: str) -> Response[bytes]:
    """Everything of it has stopped, its keys open nothing, its people and secrets are forgotten; figures stay."""
    call, known = request.user, as_id(account_id)
    if known is None or await _account(call, known) is None:
        raise AccountNotFound
    call.options()
    await call.ask(CloseAccount(command_id=new_id(), account_id=known))
    return call.done()


@get("/account", opt=tells(AccountShown))
async def show_account(request: Asked) -> Response[bytes]:
    """The account that the key belongs to."""
    request.user.options()
    return request.user.answer(await _shown(request.user, request.user.account_id))


@patch("/account", opt=tells(AccountShown, body=OwnAccountBody, asks=False))
async def change_own_account(request: Asked) -> Response[bytes]:
    """Its postal address stands in the footers of mails rendered from now on."""
    call = request.user
    account = call.body(OwnAccountBody).account
    if "postal_address" in account.model_fields_set:
        address: Json = {"postal_address": account.postal_address}
        entry = Entry(call.account_id, "postal_address", call.account_id, "account", address)
        await vault.put(call.gateway.log_pool, [entry])
    return call.answer(await _shown(call, call.account_id))


@get("/usage", opt=tells(Usage))
async def show_usage(request: Asked) -> Response[bytes]:
    """What it sent in this month and the twelve before."""
    call = request.user
    call.options()
    account = await _account(call, call.account_id)
    months = [_month(call)]
    for _ in range(PAST_MONTHS):
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    rows = await call.gateway.tables.fetch(
        "select month, sends from usage where account_id = $1 and month >= $2", call.account_id, months[-1]
    )
    sends: dict[date, int] = {row["month"]: row["sends"] for row in rows}
    periods: list[Json] = [
        {"period_start": _start(month), "period_end": _end(month), "sends_count": sends.get(month, 0)}
        for month in months
    ]
    limit = None if account is None else account["monthly_limit"]
    return call.answer({"monthly_limit": limit, "current": periods[0], "history": periods[1:]})


@post("/api_keys", status_code=201, opt=tells(ApiKeyIssued, body=NewApiKey, refuses=[AccountNotFound]))
async def issue_api_key(request: Asked) -> Response[bytes]:
    """Another key; it is in the answer, and nowhere else."""
    call = request.user
    label = call.body(NewApiKey).label
    key_id, key = new_id(), new_key()
    entry = Entry(key_id, "label", call.account_id, "api_key", {"label": label})
    await vault.put(call.gateway.log_pool, [entry])
    shown = {"id": str(key_id), "prefix": key.prefix, "label": label, "plaintext": key.plaintext}
    await showing_once.keep(call, call.account_id, key_id, shown)
    await call.ask(
        IssueApiKey(
            command_id=new_id(),
            account_id=call.account_id,
            key_id=key_id,
            key_hash=key.hash,
            key_prefix=key.prefix,
        )
    )
    return call.answer(await issued(call, shown), 201)


@get("/api_keys", opt=tells(rows=ApiKeyShown, query=PAGE))
async def list_api_keys(request: Asked) -> Response[bytes]:
    """The keys that open the account."""
    call = request.user
    page, _ = call.page()
    rows, cursor = await _keys(call, page)
    labels = await vault.get_many(call.gateway.log_pool, call.account_id, [row["key_id"] for row in rows], "label")
    shown = [
        {
            "id": row["key_id"],
            "prefix": row["key_prefix"],
            "label": labels.get(row["key_id"], {}).get("label"),
            "created_at": row["created_at"],
        }
        for row in rows
    ]
    return call.rows(shown, cursor)


@delete("/api_keys/{key_id:str}", status_code=200, opt=tells(refuses=[AccountNotFound, CannotRevokeLastKey]))
async def revoke_api_key(request: Asked, key_id: str) -> Response[bytes]:
    """The key opens nothing any more."""
    call, known = request.user, as_id(key_id)
    if known is None:
        raise ApiKeyNotFound
    call.options()
    await call.ask(RevokeApiKey(command_id=new_id(), account_id=call.account_id, key_id=known))
    return call.done()


async def opened(call: Call, body: Json) -> Json:
    """The account of a command's answer with its first key, for the operator that opened it."""
    account: UUID = UUID(body["id"])
    return {**body, **await showing_once.kept(call, account, account)}


async def issued(call: Call, body: Json) -> Json:
    """The key of a command's answer, with its plaintext for whoever asked for it."""
    key_id: UUID = UUID(body["id"])
    created_at = await call.gateway.tables.fetchval("select created_at from api_keys where key_id = $1", key_id)
    return {**body, **await showing_once.kept(call, call.account_id, key_id), "created_at": created_at}


async def changed(call: Call, body: Json) -> Json:
    """The account of a command's answer as its GET shows it."""
    return await _shown(call, UUID(body["id"]))


async def postal_address(call: Call, account_id: UUID) -> str | None:
    """What the account has in the footers of its mails."""
    value = await vault.get(call.gateway.log_pool, account_id, account_id, "postal_address") or {}
    return value.get("postal_address")


async def _account(call: Call, account_id: UUID) -> Row | None:
    return await call.gateway.tables.fetchrow(
        "select a.monthly_limit, coalesce(u.sends, 0) as sends from accounts a "
        "left join usage u on u.account_id = a.account_id and u.month = $2 "
        "where a.account_id = $1 and a.closed_at is null",
        account_id,
        _month(call),
    )


async def _keys(call: Call, page: Page) -> tuple[Sequence[Row], str | None]:
    rows = await call.gateway.tables.fetch(KEYS, call.account_id, page.before, page.more)
    return page.cut(rows)


async def _shown(call: Call, account_id: UUID) -> Json:
    row = await _account(call, account_id)
    name = await vault.get(call.gateway.log_pool, account_id, account_id, "name") or {}
    limit, sends = (None, 0) if row is None else (row["monthly_limit"], row["sends"])
    month = _month(call)
    return {
        "id": account_id,
        "name": name.get("name"),
        "monthly_limit": limit,
        "postal_address": await postal_address(call, account_id),
        "plan": {"monthly_limit": limit},
        "current_period": {"start": _start(month), "end": _end(month), "sends_count": sends},
    }


def _month(call: Call) -> date:
    return call.gateway.clock.now().date().replace(day=1)


def _start(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def _end(month: date) -> datetime:
    """The first moment of the month after."""
    return _start((month.replace(day=28) + timedelta(days=4)).replace(day=1))


ROUTES = (
    open_account,
    change_account,
    close_account,
    show_account,
    change_own_account,
    show_usage,
    issue_api_key,
    list_api_keys,
    revoke_api_key,
)
