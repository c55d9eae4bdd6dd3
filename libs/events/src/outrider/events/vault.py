"""People and secrets: the only place where a name, an address, a body or a password is kept. Never in the log."""

import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox

from outrider.events.database import Db, Pool, Row
from outrider.events.message import Json

KEY_BYTES = 32
PUT = """
insert into log.vault (owner, name, account_id, kind, value, expires_at)
select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::jsonb[], $6::timestamptz[])
on conflict (owner, name) do update set value = excluded.value, expires_at = excluded.expires_at
where vault.account_id = excluded.account_id
"""


class Unsealable(Exception):
    """The sealed text was not made for this key or this owner."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of one owner."""

    owner: UUID
    name: str
    account_id: UUID
    kind: str
    """What the owner is: contact, credential, campaign, import, account."""
    value: Json
    expires_at: datetime | None = None
    """Real time after which it may be swept; None: as long as its owner."""


async def put(db: Db | Pool, entries: Sequence[Entry]) -> None:
    """Each value stands under (owner, name); a former one is replaced, by the last where several are given.

    Raises LookupError, with nothing of another account replaced, where an owner is another account's.
    """
    if entries := list({(entry.owner, entry.name): entry for entry in entries}.values()):
        tag = await db.execute(
            PUT,
            [entry.owner for entry in entries],
            [entry.name for entry in entries],
            [entry.account_id for entry in entries],
            [entry.kind for entry in entries],
            [entry.value for entry in entries],
            [entry.expires_at for entry in entries],
        )
        if int(tag.split()[-1]) < len(entries):
            raise LookupError("an owner is another account's")


async def get(db: Db | Pool, account_id: UUID, owner: UUID, name: str) -> Json | None:
    """One value, or None where it was never put, or forgotten, or belongs to another account."""
    value: Json | None = await db.fetchval(
        "select value from log.vault where owner = $1 and name = $2 and account_id = $3", owner, name, account_id
    )
    return value


async def get_many(db: Db | Pool, account_id: UUID, owners: Sequence[UUID], name: str) -> Mapping[UUID, Json]:
    """The value of each owner that has one: one query for a whole page or batch, none for nobody."""
    if not owners:
        return {}
    rows: Sequence[Row] = await db.fetch(
        "select owner, value from log.vault where owner = any($1) and name = $2 and account_id = $3",
        list(owners),
        name,
        account_id,
    )
    return {row["owner"]: row["value"] for row in rows}


async def get_all(
    db: Db | Pool, account_id: UUID, owners: Sequence[UUID], names: Sequence[str]
) -> Mapping[UUID, Mapping[str, Json]]:
    """What there is of these names, by owner and name: one query for all that a page shows. Every owner is there."""
    found: dict[UUID, dict[str, Json]] = {owner: {} for owner in owners}
    rows: Sequence[Row] = await db.fetch(
        "select owner, name, value from log.vault where owner = any($1) and name = any($2) and account_id = $3",
        list(owners),
        list(names),
        account_id,
    )
    for row in rows:
        found[row["owner"]][row["name"]] = row["value"]
    return found


@asynccontextmanager
async def locked(
    pool: Pool, account_id: UUID, owner: UUID, names: Sequence[str]
) -> AsyncGenerator[tuple[Db, Mapping[str, Json]]]:
    """What there is of these names; nobody else changes or forgets it until the block ends, and its puts are one.

    Whoever puts back what he made of it takes back nothing that was put meanwhile, and keeps nothing that is forgotten:
    where a name is missing, there is nothing to put back.
    """
    async with pool.acquire() as db, db.transaction():
        rows = await db.fetch(
            "select name, value from log.vault where owner = $1 and name = any($2) and account_id = $3 "
            "order by name for update",
            owner,
            list(names),
            account_id,
        )
        yield db, {row["name"]: row["value"] for row in rows}


async def forget(db: Db | Pool, owners: Sequence[UUID]) -> int:
    """Nothing of these owners is kept any more; how many values there were."""
    # Persons and names first: who keeps words about a person, or texts of a campaign, has that row locked, and is
    # waited for; the next statement sees what he kept, and who comes later finds nobody.
    first = await db.execute("delete from log.vault where owner = any($1) and name in ('person', 'name')", list(owners))
    tag = await db.execute("delete from log.vault where owner = any($1)", list(owners))
    return int(first.split()[-1]) + int(tag.split()[-1])


async def keep_only(db: Db | Pool, owner: UUID, name: str, field: str) -> None:
    """Of everything that is kept of this owner, this one field of this value is left."""
    await db.execute("delete from log.vault where owner = $1 and name <> $2", owner, name)
    await db.execute(
        "update log.vault set value = jsonb_build_object($3::text, value -> $3) where owner = $1 and name = $2",
        owner,
        name,
        field,
    )


async def sweep(db: Db | Pool, before: datetime) -> int:
    """Values that expired before this real time are gone; how many they were."""
    tag = await db.execute("delete from log.vault where expires_at < $1", before)
    return int(tag.split()[-1])


class Sealer:
    """Seals secrets for the services that hold the private key. libsodium sealed box: who seals cannot open."""

    def __init__(self, public_key: str) -> None:
        """`public_key` is base64url of 32 bytes. Raises ValueError."""
        self._box = SealedBox(PublicKey(_decode(public_key)))

    def seal(self, owner: UUID, secrets: Mapping[str, Any]) -> Json:
        """Each secret as a sealed text of its own, so that one can be replaced by whoever cannot open the others.

        It names its owner inside, so that it cannot be moved to another.
        """
        return _sealed(self._box, owner, secrets)


class Opener:
    """Opens what was sealed; only who has to log in with it, or to sign with it, holds its keys."""

    def __init__(self, private_keys: str) -> None:
        """`private_keys` are base64url of 32 bytes, the newest first, with commas between. Raises ValueError."""
        self._boxes = [SealedBox(PrivateKey(_decode(key.strip()))) for key in private_keys.split(",")]

    def open(self, owner: UUID, sealed: Json) -> Json:
        """The secrets of this owner, whichever of the keys they were sealed for. Raises Unsealable."""
        return {name: secret for one in self._opened(owner, sealed).values() for name, secret in one.secrets.items()}

    def resealed(self, owner: UUID, sealed: Json) -> Json:
        """The same, with each text sealed for the newest key; one that is so already stays. Raises Unsealable."""
        texts = {
            name: sealed["sealed"][name] if one.by_newest else self.seal(owner, one.secrets)["sealed"][name]
            for name, one in self._opened(owner, sealed).items()
        }
        return {**sealed, "sealed": texts}

    def _opened(self, owner: UUID, sealed: Json) -> Mapping[str, "_Opened"]:
        try:
            return {name: self._clear(owner, text) for name, text in sealed["sealed"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Unsealable("sealed for another key, or broken") from error

    def _clear(self, owner: UUID, text: str) -> "_Opened":
        """A sealed text does not say for which key it is: each is tried."""
        for box in self._boxes:
            try:
                clear: Json = json.loads(box.decrypt(base64.b64decode(text)))
            except CryptoError:
                continue
            if clear.get("owner") != str(owner):
                raise Unsealable("sealed for another owner")
            return _Opened(clear["secrets"], box is self._boxes[0])
        raise Unsealable("sealed for another key, or broken")

    def seal(self, owner: UUID, secrets: Mapping[str, Any]) -> Json:
        """As a Sealer seals them: what servers give in the place of what was sealed."""
        return _sealed(self._boxes[0], owner, secrets)


@dataclass(frozen=True, slots=True)
class _Opened:
    secrets: Json = field(repr=False)
    by_newest: bool
    """Whether the newest key opened it."""


class Box:
    """Seals what this service has to show again itself: answers. It names its owner inside, as a Sealer does."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Each key has 32 bytes; the first one seals, each of them may open."""
        self._boxes = [SecretBox(key) for key in keys]

    def seal(self, owner: UUID, value: Json) -> Json:
        """The value as nobody without the key can read it."""
        clear = json.dumps({"owner": str(owner), "value": value}).encode()
        return {"sealed": base64.b64encode(self._boxes[0].encrypt(clear)).decode()}

    def open(self, owner: UUID, sealed: Json) -> Json:
        """What was sealed for this owner. Raises Unsealable."""
        for box in self._boxes:
            try:
                clear: Json = json.loads(box.decrypt(base64.b64decode(sealed["sealed"])))
            except (CryptoError, ValueError, TypeError, KeyError):
                continue
            if clear.get("owner") == str(owner):
                value: Json = clear["value"]
                return value
        raise Unsealable("sealed for another key or owner, or broken")


def _sealed(box: SealedBox[Any], owner: UUID, secrets: Mapping[str, Any]) -> Json:
    def seal(name: str, secret: Any) -> str:  # noqa: ANN401  # a JSON value
        clear = json.dumps({"owner": str(owner), "secrets": {name: secret}}).encode()
        return base64.b64encode(box.encrypt(clear)).decode()

    return {"sealed": {name: seal(name, secret) for name, secret in secrets.items()}}


def without_secrets(words: str, *secrets: str) -> str:
    """What a server said, with none of these in it, plain or as a log-in carries them: servers do echo commands."""
    together = "\0" + "\0".join(secrets)
    forms = {form for text in (*secrets[1:], together) for form in (text, base64.b64encode(text.encode()).decode())}
    for form in sorted(forms, key=len, reverse=True):
        words = words.replace(form, "***") if form else words
    return words


def new_key_pair() -> tuple[str, str]:
    """A fresh (public, private) pair, each base64url of 32 bytes."""
    key = PrivateKey.generate()
    return _encode(bytes(key.public_key)), _encode(bytes(key))


def _encode(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("not a key")
    return key
