"""`outrider reseal`: what is sealed is sealed for the newest key, so that the former ones can be thrown away.

Each value is replaced only while it is what was read (compare and set), so whoever writes meanwhile is never undone.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from outrider.api.webhook import still_signing
from outrider.events.database import Pool, Row
from outrider.events.message import Json
from outrider.events.vault import Opener, Unsealable
from outrider.local.errors import Failed
from outrider.local.home import Home
from outrider.local.operating import Place

COLUMNS: Final = ("what", "sealed_anew", "newest_already", "unopened", "owners")
BATCH: Final = 500
MOST_PASSES: Final = 20
NIL: Final = UUID(int=0)
SEALED: Final = "name in ('secrets', 'oauth2_rotated', 'endpoint')"
"""As in schema/108_sealed.sql, whose index is used only for these very words."""
COUNT: Final = f"select count(*) from log.vault where {SEALED} and name = any($1)"  # noqa: S608  # our words
NEXT: Final = f"""
select owner, name, value from log.vault
where {SEALED} and name = any($1) and (owner, name) > ($2, $3)
order by owner, name
limit $4
"""  # noqa: S608  # our words
REPLACE: Final = "update log.vault set value = $4 where owner = $1 and name = $2 and value = $3"


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair of keys, and what is sealed for it."""

    what: str
    variable: str
    names: Sequence[str]


PAIRS: Final = (
    Pair("mail accounts", "OUTRIDER_SEAL_PRIVATE_KEY", ("secrets", "oauth2_rotated")),
    Pair("webhooks", "OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY", ("endpoint",)),
)
Tell = Callable[[str, int, int], object]
"""What is gone through, how far, of how many."""


@dataclass
class _Tally:
    counts: Counter[str] = field(default_factory=Counter)
    unopened: set[str] = field(default_factory=set)


async def reseal(place: Place, environment: Mapping[str, str], tell: Tell) -> Sequence[Mapping[str, object]]:
    """Answer for each pair of keys that is given how much was sealed anew, and what none of its keys opens.

    It can be killed and run again at any time; where nothing is left to do it changes nothing. Raises Failed.
    """
    given = {pair: keys for pair in PAIRS if (keys := _keys(pair, environment, place.home))}
    if not given:
        raise Failed(f"no key is given: set {' or '.join(pair.variable for pair in PAIRS)}, the newest key first")
    async with place.database() as pool:
        return [await _through(pool, pair, opener, tell) for pair, opener in given.items()]


def _keys(pair: Pair, environment: Mapping[str, str], home: Home) -> Opener | None:
    """The environment's, else those of this machine's runner. Raises Failed."""
    file = home.path / "keys.json"
    kept: Mapping[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    text = environment.get(pair.variable) or kept.get(pair.variable.removeprefix("OUTRIDER_").lower())
    try:
        return Opener(text) if text else None
    except ValueError as error:  # what was given is a secret
        raise Failed(f"{pair.variable} is no list of keys, each base64url of 32 bytes") from error


async def _through(pool: Pool, pair: Pair, opener: Opener, tell: Tell) -> Mapping[str, object]:
    """Pass after pass, until one finds nothing to do: a call may put back what it read before we came by."""
    sealed_anew = 0
    for _ in range(MOST_PASSES):
        tally = await _pass(pool, pair, opener, tell)
        sealed_anew += tally.counts["sealed anew"]
        if not tally.counts["sealed anew"] and not tally.counts["changed meanwhile"]:
            return {
                "what": pair.what,
                "sealed_anew": sealed_anew,
                "newest_already": tally.counts["newest already"] - sealed_anew,
                "unopened": len(tally.unopened),
                "owners": " ".join(sorted(tally.unopened)),
            }
    raise Failed(f"{pair.what}: something goes on sealing for a former key; was every api process restarted?")


async def _pass(pool: Pool, pair: Pair, opener: Opener, tell: Tell) -> _Tally:
    tally, done = _Tally(), 0
    total: int = await pool.fetchval(COUNT, pair.names)
    owner, name = NIL, ""
    tell(pair.what, 0, total)
    while rows := await pool.fetch(NEXT, pair.names, owner, name, BATCH):
        for row in rows:
            await _one(pool, opener, row, tally)
        owner, name, done = rows[-1]["owner"], rows[-1]["name"], done + len(rows)
        tell(pair.what, done, max(total, done))
    return tally


async def _one(pool: Pool, opener: Opener, row: Row, tally: _Tally) -> None:
    owner, former = row["owner"], row["value"]
    try:
        value = _resealed(opener, owner, former)
    except Unsealable:
        tally.unopened.add(str(owner))
        return
    if value == former:
        tally.counts["newest already"] += 1
    elif await pool.execute(REPLACE, owner, row["name"], former, value) == "UPDATE 1":
        tally.counts["sealed anew"] += 1
    else:
        tally.counts["changed meanwhile"] += 1


def _resealed(opener: Opener, owner: UUID, value: Json) -> Json:
    """The same value, sealed for the newest key; of a webhook also what else still signs, and no former secret more."""
    resealed = opener.resealed(owner, value)
    if "former" in value:
        signing = still_signing(value, datetime.now(UTC))
        resealed["former"] = [opener.resealed(owner, one) for one in signing]
    return resealed
