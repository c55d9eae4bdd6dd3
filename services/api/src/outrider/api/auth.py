"""Keys: made here, kept as their SHA-256, looked up at every request."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from outrider.events.database import Pool

PREFIX: Final = "ok_live_"
SHOWN: Final = len(PREFIX) + 4
_KEY: Final = re.compile(r"ok_live_[A-Za-z0-9_-]{43}")
_BEARER: Final = re.compile(r"bearer +([\x21-\x7e]+) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; `plaintext` is shown once and kept nowhere."""

    plaintext: str
    hash: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a valid key belongs to."""

    account_id: UUID
    key_id: UUID


def new_key() -> NewKey:
    """A fresh key: 32 random bytes behind a prefix that tells what it is."""
    plaintext = PREFIX + secrets.token_urlsafe(32)
    return NewKey(plaintext, key_hash(plaintext), plaintext[:SHOWN])


def key_hash(plaintext: str) -> str:
    """Hex SHA-256 of the key: 256 random bits need no salt."""
    return hashlib.sha256(plaintext.encode()).hexdigest()


def bearer(header: str | None) -> str | None:
    """The token of an Authorization header, or None. RFC 6750."""
    found = _BEARER.fullmatch(header or "")
    return found[1] if found else None


def is_operator(token: str | None, operator_token: str) -> bool:
    """Whether it is the operator's; nothing is where none is configured."""
    if not token or not operator_token:
        return False
    return hmac.compare_digest(key_hash(token), key_hash(operator_token))


async def holder_of(tables: Pool, token: str | None) -> Holder | None:
    """Whose key it is; None where it is malformed, unknown or revoked."""
    if token is None or not _KEY.fullmatch(token):
        return None
    row = await tables.fetchrow(
        "select account_id, key_id from api_keys where key_hash = $1 and revoked_at is null", key_hash(token)
    )
    return None if row is None else Holder(row["account_id"], row["key_id"])


async def valid_keys(tables: Pool, key_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the keys that are not revoked; an account that is closed has none."""
    rows = await tables.fetch(
        "select key_id from api_keys where key_id = any($1) and revoked_at is null", list(key_ids)
    )
    return {row["key_id"] for row in rows}
