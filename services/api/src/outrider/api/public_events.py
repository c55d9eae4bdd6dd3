"""The events that customers see (API.md "Events"): one table from what happened to what it is called outside.

Webhooks, the live stream and its pages all show these, and nothing else of the log.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from outrider.api.reasons import REASONS
from outrider.events import vault
from outrider.events.campaign import CampaignActivated, CampaignCompleted, CampaignPaused, CampaignResumed
from outrider.events.contact import ImportCompleted
from outrider.events.credential import CredentialDisabled
from outrider.events.database import Pool, Row
from outrider.events.delivery import DeliveryResolved, EmailSent
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentUnsubscribed,
)
from outrider.events.ids import domain_of, shard
from outrider.events.message import Event, Json, Recorded
from outrider.events.reading import COLUMNS, recorded
from outrider.events.tokens import Keyring, message_id

TYPES: Final = {
    "enrollment.sent": "a server accepted a step; once a step",
    "enrollment.opened": "the person's first open that counts",
    "enrollment.clicked": "a link was followed; once for each time that counts, up to 20 of a message",
    "enrollment.replied": "the person answered; no later step is sent",
    "enrollment.bounced": "a message was refused, or came back; no later step is sent",
    "enrollment.unsubscribed": "the person opted out; no later step is sent",
    "enrollment.skipped": "the person was not enrolled, or not planned, and why",
    "enrollment.finished": "every step was sent",
    "credential.disabled": "nothing more is mailed through it until it is re-enabled",
    "campaign.activated": "it was dispatched for the first time",
    "campaign.paused": "nothing is claimed any more",
    "campaign.resumed": "claims are permitted again",
    "campaign.completed": "no enrollment has a step left",
    "contact_import.completed": "every row is a contact, skipped or rejected",
}
"""Every type that customers see, and what is true when it comes."""
SOURCES: Final[Collection[type[Event]]] = (
    EmailSent,
    DeliveryResolved,
    EmailOpened,
    LinkClicked,
    EnrollmentReplied,
    EnrollmentBounced,
    EnrollmentUnsubscribed,
    EnrollmentSkipped,
    EnrollmentFinished,
    CredentialDisabled,
    CampaignActivated,
    CampaignPaused,
    CampaignResumed,
    CampaignCompleted,
    ImportCompleted,
)
"""What they are made of."""
_PERSONAL: Final = {"contact_email": None, "status": None, "sent_at": None, "replied_at": None, "bounce_reason": None}
READ: Final = (
    f"select {COLUMNS} from log.events where shard = $1 and position > $2 and position <= $3 "  # noqa: S608  # constants
    "and account_id = $4 and type = any($5) order by position limit $6"
)
KNOWN: Final = """
select enrollment_id, sent_at, opened_at, replied_at from enrollments where enrollment_id = any($1)
"""


@dataclass(frozen=True, slots=True)
class PublicEvent:
    """One event as customers get it."""

    position: int
    """Of the event that it is made of: it rises with gaps."""
    type: str
    campaign_id: UUID | None
    enrollment_id: UUID | None
    payload: Json


def named(item: Recorded[Event]) -> tuple[str, Json] | None:  # noqa: C901, PLR0911, PLR0912  # a table
    """Its type and what the event itself says; None for what customers do not see."""
    match event := item.event:
        case EmailSent():
            return "enrollment.sent", {**_message(event), "sent_at": event.sent_at, "status": "sent"}
        case DeliveryResolved(outcome="sent"):
            return "enrollment.sent", {**_message(event), "sent_at": event.at, "status": "sent"}
        case EmailOpened(counts=True):
            data = {"step_position": event.position, "opened_at": event.opened_at, "status": "opened"}
            return "enrollment.opened", {**_ids(event), **data}
        case LinkClicked(counts=True):
            data = {"step_position": event.position, "link_number": event.link_number, "clicked_at": event.clicked_at}
            return "enrollment.clicked", {**_ids(event), **data}
        case EnrollmentReplied():
            data = {"step_position": event.step_position, "suspected": event.suspected, "status": "replied"}
            return "enrollment.replied", {**_ids(event), **data, "replied_at": event.replied_at}
        case EnrollmentBounced():
            data = {"kind": event.kind, "status_code": event.status_code, "bounced_at": event.bounced_at}
            more = {"bounce_reason": event.reason, "step_position": event.step_position, "status": "bounced"}
            return "enrollment.bounced", {**_ids(event), **data, **more}
        case EnrollmentUnsubscribed():
            return "enrollment.unsubscribed", {**_ids(event), "status": "unsubscribed"}
        case EnrollmentSkipped():
            data = {"kind": event.kind, "reason": REASONS[event.kind], "status": "skipped"}
            return "enrollment.skipped", {**_ids(event), **data}
        case EnrollmentFinished():
            return "enrollment.finished", _ids(event)
        case CredentialDisabled():
            data = {"smtp_credential_id": event.credential_id, "campaign_id": event.campaign_id}
            return "credential.disabled", {**data, "reason": event.reason}
        case CampaignActivated() | CampaignResumed():
            kind = "campaign.activated" if isinstance(event, CampaignActivated) else "campaign.resumed"
            return kind, {"campaign_id": event.campaign_id, "status": "active"}
        case CampaignPaused():
            return "campaign.paused", {"campaign_id": event.campaign_id, "status": "paused", "reason": event.reason}
        case CampaignCompleted():
            return "campaign.completed", {"campaign_id": event.campaign_id, "status": "active"}
        case ImportCompleted():
            counts = {"record_count": event.record_count, "skipped": event.skipped, "rejected": event.rejected}
            return "contact_import.completed", {"contact_import_id": event.import_id, **counts}
        case _:
            return None


def wanted(filters: Iterable[str], kind: str) -> bool:
    """Whether one of the filters (`*`, an exact type, `enrollment.*`) lets this type through."""
    return any(one in {"*", kind, f"{kind.partition('.')[0]}.*"} for one in filters)


def unknown_filters(filters: Iterable[str]) -> Sequence[str]:
    """Those of the filters that let nothing through, ever."""
    return [one for one in filters if not any(wanted([one], kind) for kind in TYPES)]


@dataclass(frozen=True, slots=True)
class Showing:
    """What events are shown with: the log, our own tables, and the keys of Message-IDs."""

    log_pool: Pool
    tables: Pool
    keys: Keyring

    async def read(self, account_id: UUID, after: int, until: int, limit: int) -> tuple[list[PublicEvent], int]:
        """The account's next events after that position, and how far the log was looked through.

        Our own tables must stand at `until`: they tell which open was the first. Raises UnknownEvent where this build
        is older than the data.
        """
        kinds = [kind.name for kind in SOURCES]
        rows = await self.log_pool.fetch(READ, shard(account_id), after, until, account_id, kinds, limit)
        shown = await self.show(account_id, [recorded(row) for row in rows])
        return shown, rows[-1]["position"] if len(rows) == limit else max(after, until)

    async def show(self, account_id: UUID, items: Sequence[Recorded[Event]]) -> list[PublicEvent]:
        """These events of one account as customers see them; those that they do not see are left out."""
        found = [(item, *said) for item in items if (said := named(item)) is not None]
        enrollments = {data["enrollment_id"] for _, _, data in found if "enrollment_id" in data}
        rows: Sequence[Row] = await self.tables.fetch(KNOWN, list(enrollments)) if enrollments else []
        known = {row["enrollment_id"]: dict(row) for row in rows}
        people = await self._vault(account_id, found, "contact_id", "person")
        servers = await self._vault(account_id, found, "smtp_credential_id", "server")
        shown: list[PublicEvent] = []
        for item, kind, data in found:
            if "enrollment_id" in data:
                about = known.get(data["enrollment_id"], {})
                if kind == "enrollment.opened" and about.get("opened_at") != data["opened_at"]:
                    continue  # not the first
                _complete(data, about, item.business_at)
                data["contact_email"] = people.get(data["contact_id"], {}).get("email")
            if kind == "enrollment.sent":
                sender = servers.get(data["smtp_credential_id"])
                data["message_id"] = sender and message_id(
                    self.keys, data.pop("delivery_id"), domain_of(sender["from_email"])
                )
            shown.append(_public(item, kind, data))
        return shown

    async def _vault(
        self, account_id: UUID, found: Sequence[tuple[Recorded[Event], str, Json]], field: str, name: str
    ) -> Mapping[UUID, Json]:
        owners = {data[field] for _, _, data in found if field in data}
        return await vault.get_many(self.log_pool, account_id, list(owners), name)


def public_id(item: Recorded[Event]) -> UUID:
    """Its id outside: the same however often it is shown."""
    return uuid5(item.account_id, f"{item.cause}/{item.stream}/{item.ordinal}")


def _public(item: Recorded[Event], kind: str, data: Json) -> PublicEvent:
    payload = {
        "id": public_id(item),
        "type": kind,
        "created_at": item.business_at,
        "account_id": item.account_id,
        "data": {**data, "position": item.position},
    }
    return PublicEvent(item.position, kind, data.get("campaign_id"), data.get("enrollment_id"), payload)


def _complete(data: Json, about: Mapping[str, Any], at: datetime) -> None:
    """Fields that every event about a person has, with what was known of the enrollment at that time."""
    for name, nothing in _PERSONAL.items():
        data.setdefault(name, nothing)
    for name in ("sent_at", "replied_at"):
        if data[name] is None and (since := about.get(name)) and since <= at:
            data[name] = since
    if data["status"] is None:
        opened = about.get("opened_at")
        data["status"] = "opened" if opened and opened <= at else "sent"


def _ids(event: Any) -> Json:  # noqa: ANN401  # of several categories
    """Whom it is about."""
    ids = ("enrollment_id", "campaign_id", "contact_id")
    return {name: getattr(event, name) for name in ids}


def _message(event: EmailSent | DeliveryResolved) -> Json:
    """Which message it is about."""
    data = {"smtp_credential_id": event.credential_id, "step_position": event.position}
    return {**_ids(event), **data, "delivery_id": event.delivery_id}
