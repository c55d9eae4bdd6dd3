"""`outrider account`: open an account, list them all."""

import http.client
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from outrider.events.clock import read_clock
from outrider.local.errors import Failed
from outrider.local.operating import Place

SECONDS = 30.0
COLUMNS = ("id", "name", "monthly_limit", "sends_this_month", "keys", "opened_at")
ACCOUNTS = """
select a.account_id as id, v.value ->> 'name' as name, a.monthly_limit, coalesce(u.sends, 0) as sends_this_month,
    (select count(*) from api.api_keys k where k.account_id = a.account_id and k.revoked_at is null) as keys,
    a.opened_at
from api.accounts a
left join log.vault v on v.owner = a.account_id and v.name = 'name'
left join api.usage u on u.account_id = a.account_id and u.month = $1
order by a.opened_at, a.account_id
"""


async def accounts(place: Place) -> Sequence[Mapping[str, object]]:
    """Answer every account, the oldest first; months are those of the business clock. Raises Failed."""
    async with place.database() as pool:
        month = (await read_clock(pool)).now().date().replace(day=1)
        return [dict(row) for row in await pool.fetch(ACCOUNTS, month)]


async def create(place: Place, name: str, monthly_limit: int | None) -> Mapping[str, object]:
    """Open an account over the HTTP API; its key is in the answer, and nowhere else. Raises Failed."""
    if not place.url or not place.operator_token:
        raise Failed("OUTRIDER_URL and OUTRIDER_OPERATOR_TOKEN say where the API is and who you are: set both")
    status, text = _post(place, "/accounts", {"account": {"name": name, "monthly_limit": monthly_limit}})
    if status == HTTPStatus.CREATED:
        account: Mapping[str, object] = json.loads(text)
        return account
    if status == HTTPStatus.ACCEPTED:
        raise Failed("no service decided it in time, and its key is lost: see `outrider doctor`, then try again")
    raise Failed(f"POST /accounts answered {status}: {text[:500]}")


def _post(place: Place, path: str, body: object) -> tuple[int, str]:
    where = urlsplit(place.url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=SECONDS)
    headers = {"Authorization": f"Bearer {place.operator_token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", where.path.rstrip("/") + path, body=json.dumps(body), headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{place.url} does not answer: {error}") from error
    finally:
        connection.close()
