"""Matching: to which message of ours an inbound one belongs, by our own signed Message-IDs."""

from collections.abc import Sequence
from uuid import UUID

from outrider.events.database import Pool
from outrider.events.delivery import DeliveryStarted
from outrider.events.log import Log
from outrider.events.tokens import Keyring, find_own_ids
from outrider.reply_watcher.inbound import Match


class Matching:
    """Looks deliveries up by the ids that a message names."""

    def __init__(self, keys: Keyring, tables: Pool, log: Log) -> None:
        """`tables` are the projection of `projections.watching`."""
        self._keys = keys
        self._tables = tables
        self._log = log

    async def match(self, account: UUID, candidates: Sequence[str]) -> Match | None:
        """The delivery of this account that the first genuine id names; None where there is none.

        An id that we never signed, or that another account's message bears, matches nothing.
        """
        for candidate in candidates:
            for delivery in find_own_ids(self._keys, candidate):
                found = await self._delivery(delivery)
                if found is not None and found[0] == account:
                    return found[1]
        return None

    async def _delivery(self, delivery: UUID) -> tuple[UUID, Match] | None:
        row = await self._tables.fetchrow(
            "select account_id, enrollment_id, campaign_id, contact_id, credential_id, position from deliveries "
            "where delivery_id = $1",
            delivery,
        )
        if row is not None:
            return row["account_id"], Match(
                delivery,
                row["enrollment_id"],
                row["campaign_id"],
                row["contact_id"],
                row["credential_id"],
                row["position"],
            )
        # The signature is ours, so the delivery exists: this projection is behind, and the log knows it already.
        for item in await self._log.read_stream(None, f"delivery-{delivery}"):
            if isinstance(item.event, DeliveryStarted):
                event = item.event
                return item.account_id, Match(
                    delivery,
                    event.enrollment_id,
                    event.campaign_id,
                    event.contact_id,
                    event.credential_id,
                    event.position,
                )
        return None
