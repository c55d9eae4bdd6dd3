"""Answers that show a secret: sealed for 24 hours, so that who asked gets it also when the verdict came late."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from outrider.api.gateway import Call
from outrider.events import vault
from outrider.events.message import Json
from outrider.events.vault import Entry, Unsealable

KEPT: Final = timedelta(hours=24)
ANSWER: Final = "answer"


async def keep(call: Call, account_id: UUID, owner: UUID, answer: Json) -> None:
    """The answer about this owner lies sealed in the vault, before its command is asked for."""
    sealed = call.gateway.box.seal(owner, {"asker": str(call.asker), "answer": answer})
    until = call.gateway.clock.real() + KEPT
    await vault.put(call.gateway.log_pool, [Entry(owner, ANSWER, account_id, "answer", sealed, until)])


async def kept(call: Call, account_id: UUID, owner: UUID) -> Json:
    """That answer, for whoever asked for it; nothing for anybody else, and after 24 hours."""
    sealed = await vault.get(call.gateway.log_pool, account_id, owner, ANSWER)
    if sealed is None:
        return {}
    try:
        value = call.gateway.box.open(owner, sealed)
    except Unsealable:  # by a key that was rotated away
        return {}
    answer: Json = value["answer"]
    return answer if value["asker"] == str(call.asker) else {}
