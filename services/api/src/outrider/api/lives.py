"""What the log has of one enrollment: the streams of its own, and those that can stop it."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final
from uuid import UUID

from outrider.api.gateway import Call
from outrider.events.campaign import StepsRetimed
from outrider.events.contact import ContactAdded, ContactChanged
from outrider.events.credential import CredentialReplaced
from outrider.events.database import Row
from outrider.events.delivery import DeliveryEvent
from outrider.events.enrollment import StepsScheduled
from outrider.events.gates import effect
from outrider.events.ids import delivery_id, shard
from outrider.events.message import Event, Recorded
from outrider.events.reading import COLUMNS, recorded

History = Sequence[Recorded[Event]]
OF_STREAMS: Final = (
    f"select {COLUMNS} from log.events where shard = $1 and stream = any($2) and account_id = $3 order by position"  # noqa: S608  # a constant
)
LAST_OF: Final = (
    f"select {COLUMNS} from log.events where shard = $1 and stream = $2 and type = any($3) and account_id = $4 "  # noqa: S608  # a constant
    "order by version desc limit 1"
)
RETIMED: Final = f"""
select {COLUMNS} from log.events where position = any($1) and account_id = $2 order by position
"""  # noqa: S608  # a constant


async def of_streams(call: Call, streams: Collection[str]) -> History:
    """Every event of these streams of the account, in the order of the log."""
    account = call.account_id
    rows = await call.gateway.log_pool.fetch(OF_STREAMS, shard(account), list(streams), account)
    return [recorded(row) for row in rows]


async def last_of(call: Call, stream: str, *kinds: type[Event]) -> Recorded[Event] | None:
    """The stream's last event of these types."""
    account, names = call.account_id, [kind.name for kind in kinds]
    row = await call.gateway.log_pool.fetchrow(LAST_OF, shard(account), stream, names, account)
    return None if row is None else recorded(row)


def addresses(contact: Iterable[Recorded[Event]]) -> list[tuple[str, str | None]]:
    """The keys of every address that the contact had, and of its domain: the last one is its own now."""
    return [
        (item.event.address_key, item.event.domain_key)
        for item in contact
        if isinstance(item.event, ContactAdded | ContactChanged)
    ]


async def whole(call: Call, row: Row) -> History:
    """All that happened to the enrollment, and whatever closed or opened one of its gates while it ran."""
    enrollment: UUID = row["enrollment_id"]
    near = await of_streams(call, [f"enrollment-{enrollment}", f"inbound-{enrollment}", f"contact-{row['contact_id']}"])
    own = [item for item in near if not item.stream.startswith("contact-")]
    moves = await _moves(call, enrollment)
    steps = {step.position for item in own if isinstance(item.event, StepsScheduled) for step in item.event.steps}
    sends = [delivery_id(enrollment, position) for position in sorted(steps)]
    mailed = await of_streams(call, [f"{kind}-{send}" for kind in ("delivery", "engagement") for send in sends])
    gates = await of_streams(call, _gates(row["campaign_id"], near, [*own, *moves, *mailed]))
    began = min((item.position for item in own), default=0)
    around = [item for item in near if item.stream.startswith("contact-")] + list(gates)
    stops = [item for item in around if item.position > began and _matters(item.event)]
    ended = _end(own)
    return sorted(
        [*own, *moves, *mailed, *(item for item in stops if ended is None or item.position <= ended)],
        key=lambda item: item.position,
    )


async def _moves(call: Call, enrollment: UUID) -> History:
    """Every event that gave steps of it another time."""
    rows = await call.gateway.tables.fetch("select position from retimings where enrollment_id = $1", enrollment)
    positions = [row["position"] for row in rows]
    if not positions:
        return []
    return [recorded(row) for row in await call.gateway.log_pool.fetch(RETIMED, positions, call.account_id)]


def _gates(campaign: UUID, near: History, own: History) -> set[str]:
    """The streams of others that can stop it."""
    enrolled = {getattr(item.event, "enrollment_id", None) for item in own}
    credentials = {item.event.credential_id for item in own if isinstance(item.event, StepsScheduled | DeliveryEvent)}
    for item in own:
        if isinstance(item.event, StepsRetimed):
            credentials |= {to for one, to in item.event.credentials.items() if one in enrolled}
    keys = {key for pair in addresses(near) for key in pair if key is not None}
    return {
        f"campaign-{campaign}",
        *(f"credential-{credential}" for credential in credentials),
        *(f"address-{key}" for key in keys),
    }


def _matters(event: Event) -> bool:
    """Whether it closes or opens a gate, or sends the steps elsewhere."""
    return (
        effect(event) is not None
        or isinstance(event, CredentialReplaced)
        or (isinstance(event, ContactChanged) and event.is_moved)
    )


def _end(own: History) -> int | None:
    """The position at which it ended; None while it runs."""
    reasons = [(item.position, effect(item.event)) for item in own if item.stream.startswith("enrollment-")]
    said = [(position, reason) for position, reason in reasons if reason is not None]
    return said[-1][0] if said and said[-1][1] else None
