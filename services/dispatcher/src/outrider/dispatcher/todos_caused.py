"""The to-do that an event leads to."""

from uuid import UUID

from outrider.events.message import Event, Json, Recorded
from outrider.events.todo import Todo


def caused(  # noqa: PLR0913  # what a to-do says of itself
    item: Recorded[Event],
    kind: str,
    key: str,
    *,
    owner: UUID | None = None,
    scope: UUID | None = None,
    data: Json | None = None,
) -> Todo:
    """A to-do of the event's account, due when it happened, in its trace."""
    return Todo(
        kind, key, item.account_id, item.business_at, owner=owner, scope=scope, data=data or {}, trace=item.trace
    )
