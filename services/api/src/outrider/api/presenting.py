"""Joining people to what projections and answers say without them."""

from collections.abc import Collection, Mapping
from uuid import UUID

from outrider.api.gateway import Call
from outrider.api.reasons import REASONS
from outrider.events import vault
from outrider.events.message import Json


async def people(call: Call, contacts: Collection[UUID]) -> Mapping[UUID, Json]:
    """Each contact's person; one who is gone has none. One query for a whole page."""
    return await vault.get_many(call.gateway.log_pool, call.account_id, list(contacts), "person")


async def enrolled(call: Call, body: Json) -> Json:
    """The answer of `enroll`, with the addresses of those who were skipped."""
    skipped = [dict(one) for one in body.get("skipped", ())]
    found = await people(call, {UUID(one["contact_id"]) for one in skipped})
    for one in skipped:
        one["email"] = found.get(UUID(one["contact_id"]), {}).get("email")
        one["reason"] = one.get("reason") or REASONS.get(one.get("kind", ""))
    return {"skipped_count": len(skipped), **body, "skipped": skipped}
