"""Contact, import and address: whom an account may write to. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.contact import (
    AddressReleased,
    AddressReserved,
    AddressSuppressed,
    AddressUnsuppressed,
    ChangeContact,
    ContactAdded,
    ContactAlreadyExists,
    ContactChanged,
    ContactCorrected,
    ContactDeleted,
    ContactForgotten,
    ContactImportFailed,
    ContactImportNotFound,
    ContactNotFound,
    ContactUnsubscribed,
    DeleteContact,
    DeleteImport,
    EraseContact,
    FailImport,
    ImportCompleted,
    ImportContacts,
    ImportDeleted,
    ImportFailed,
    ImportStarted,
    NoContactsProvided,
    SuppressAddress,
    SuppressionNotFound,
    UnsubscribeContact,
    UnsuppressAddress,
)
from outrider.events.inbound import InboundReclassified
from outrider.events.message import Event


@dataclass(frozen=True, slots=True)
class Contact:
    """What is remembered of a contact."""

    status: Literal["absent", "present", "deleted"] = "absent"
    address_key: str = ""
    domain_key: str | None = None
    unsubscribed_by: frozenset[UUID | None] = frozenset()
    """The messages in which the person said so; None: by a link or an owner."""
    forgotten: bool = False

    @property
    def unsubscribed(self) -> bool:
        """Whether the person is written to no more."""
        return bool(self.unsubscribed_by)


ImportStatus = Literal["absent", "processing", "completed", "failed", "deleted"]


@dataclass(frozen=True, slots=True)
class Import:
    """What is remembered of an import; the people themselves lie in the vault."""

    status: ImportStatus = "absent"
    chunks: int = 0
    rows: int = 0
    skipped: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """Who holds an address, and whether it must not be written to."""

    contact_id: UUID | None = None
    suppressions: frozenset[UUID] = frozenset()
    opted_out: bool = False
    """Whether who held it last had unsubscribed."""


def evolve_contact(state: Contact, event: Event) -> Contact:  # noqa: PLR0911  # one line an event
    """The state after the event."""
    match event:
        case ContactAdded(address_key=key, domain_key=domain):
            return replace(state, status="present", address_key=key, domain_key=domain)
        case ContactChanged(address_key=key, domain_key=domain):
            return replace(state, address_key=key, domain_key=domain)
        case ContactUnsubscribed(inbound=inbound):
            return replace(state, unsubscribed_by=state.unsubscribed_by | {inbound})
        case ContactCorrected(inbound=inbound):
            return replace(state, unsubscribed_by=state.unsubscribed_by - {inbound})
        case ContactDeleted():
            return replace(state, status="deleted")
        case ContactForgotten():
            return replace(state, status="deleted", forgotten=True)
        case _:
            return state


def evolve_import(state: Import, event: Event) -> Import:
    """The state after the event."""
    match event:
        case ImportStarted():
            return Import("processing", event.chunks, event.rows, event.skipped, event.rejected)
        case ImportCompleted():
            return replace(state, status="completed")
        case ImportFailed():
            return replace(state, status="failed")
        case ImportDeleted():
            return replace(state, status="deleted")
        case _:
            return state


def evolve_address(state: Address, event: Event) -> Address:
    """The state after the event."""
    match event:
        case AddressReserved(contact_id=contact):
            return replace(state, contact_id=contact, opted_out=False)  # the contact remembers it from now on
        case AddressReleased(opted_out=opted_out):
            return replace(state, contact_id=None, opted_out=opted_out)
        case AddressSuppressed(suppression_id=suppression):
            return replace(state, suppressions=state.suppressions | {suppression})
        case AddressUnsuppressed(suppression_id=suppression):
            return replace(state, suppressions=state.suppressions - {suppression})
        case _:
            return state


contact = Aggregate("contact", Contact(), evolve_contact)
contact_import = Aggregate("import", Import(), evolve_import)
address = Aggregate("address", Address(), evolve_address)


def start_import(command: ImportContacts, state: Import) -> Sequence[Event]:
    """The import is accepted; one without any sound row is complete at once."""
    if state.status == "failed":
        raise ContactImportFailed
    if state.status != "absent":
        return []
    if not command.rows + command.skipped + command.rejected:
        raise NoContactsProvided
    started = ImportStarted(
        import_id=command.import_id,
        chunks=command.chunks,
        rows=command.rows,
        skipped=command.skipped,
        rejected=command.rejected,
    )
    if command.chunks:
        return [started]
    return [started, *complete_import(command.import_id, 0, evolve_import(state, started))]


def complete_import(import_id: UUID, added: int, state: Import) -> Sequence[Event]:
    """Every row is accounted for: `added` became contacts, the rest of the sound ones were duplicates."""
    if state.status != "processing":
        return []
    skipped = state.skipped + state.rows - added
    return [ImportCompleted(import_id=import_id, record_count=added, skipped=skipped, rejected=state.rejected)]


def fail_import(command: FailImport, state: Import) -> Sequence[Event]:
    """The import adds nobody; one that was accepted meanwhile is let be."""
    return [ImportFailed(import_id=command.import_id)] if state.status == "absent" else []


def delete_import(command: DeleteImport, state: Import) -> Sequence[Event]:
    """The import is gone."""
    if state.status in {"absent", "deleted"}:
        raise ContactImportNotFound
    return [ImportDeleted(import_id=command.import_id)]


def add_contact(
    contact_id: UUID, import_id: UUID | None, address_key: str, state: Address, domain_key: str | None = None
) -> Sequence[Event]:
    """What happens to the contact, and last AddressReserved; nothing when the address has its contact already."""
    if state.contact_id is not None:
        return []
    return [
        ContactAdded(contact_id=contact_id, import_id=import_id, address_key=address_key, domain_key=domain_key),
        *heed(contact_id, Contact(), state),
        AddressReserved(address_key=address_key, contact_id=contact_id),
    ]


def heed(contact_id: UUID, state: Contact, taken: Address) -> Sequence[Event]:
    """Who has an address whose person opted out before is written to no more."""
    if not taken.opted_out or None in state.unsubscribed_by:
        return []
    return [ContactUnsubscribed(contact_id=contact_id)]


def change_contact(command: ChangeContact, state: Contact) -> Sequence[Event]:
    """The person is another one, perhaps at another address; said again, it is recorded again: the last one counts."""
    if state.status != "present":
        raise ContactNotFound
    key, domain = command.address_key, command.domain_key
    if key is None:
        key, domain = state.address_key, state.domain_key
    is_moved = key != state.address_key
    return [ContactChanged(contact_id=command.contact_id, address_key=key, domain_key=domain, is_moved=is_moved)]


def reserve(address_key: str, contact_id: UUID, state: Address) -> Sequence[Event]:
    """The address is this contact's."""
    if state.contact_id == contact_id:
        return []
    if state.contact_id is not None:
        raise ContactAlreadyExists(contact_id=str(state.contact_id))
    return [AddressReserved(address_key=address_key, contact_id=contact_id)]


def remove_contact(command: DeleteContact | EraseContact, state: Contact) -> Sequence[Event]:
    """The contact that its owner deletes is gone."""
    if state.status != "present":
        raise ContactNotFound
    return delete_contact(command.contact_id, state)


def delete_contact(contact_id: UUID, state: Contact) -> Sequence[Event]:
    """The contact is gone."""
    if state.status != "present":
        return []
    return [ContactDeleted(contact_id=contact_id, address_key=state.address_key)]


def forget_contact(
    contact_id: UUID, removed: Mapping[str, int], state: Contact, *, suppressed: bool
) -> Sequence[Event]:
    """Nothing tells any more who it was; once."""
    if state.status == "absent":
        raise ContactNotFound
    if state.forgotten:
        return []
    return [ContactForgotten(contact_id=contact_id, removed=dict(removed), suppressed=suppressed)]


def release(address_key: str, contact_id: UUID, state: Address, *, opted_out: bool) -> Sequence[Event]:
    """The address is no longer held by this contact, and remembers whether it had unsubscribed."""
    return [AddressReleased(address_key=address_key, opted_out=opted_out)] if state.contact_id == contact_id else []


def unsubscribe(command: UnsubscribeContact, state: Contact) -> Sequence[Event]:
    """The person is written to no more; a wish of the person's own stands beside what was only read in a message."""
    if state.status != "present":
        raise ContactNotFound
    if {None, command.inbound} & state.unsubscribed_by:
        return []
    return [
        ContactUnsubscribed(contact_id=command.contact_id, delivery_id=command.delivery_id, inbound=command.inbound)
    ]


def set_right(said: InboundReclassified, state: Contact, *, bounced: bool) -> Sequence[Event]:
    """What the message said of the person does not hold; `bounced`: another message to the person came back."""
    was_read = said.inbound in state.unsubscribed_by and said.was in {"opt_out", "complaint"}
    reachable = said.was_hard and said.bounce is None and not bounced
    if state.status != "present" or not (was_read or reachable):
        return []
    return [
        ContactCorrected(
            contact_id=said.contact_id,
            inbound=said.inbound,
            resubscribed=was_read and state.unsubscribed_by == frozenset[UUID | None]({said.inbound}),
            reachable=reachable,
        )
    ]


def suppress(command: SuppressAddress, state: Address) -> Sequence[Event]:
    """Nothing is mailed to it. One that is suppressed stays so by the suppression that stands: one lifts it again."""
    if state.suppressions:
        return []
    return [AddressSuppressed(address_key=command.address_key, suppression_id=command.suppression_id)]


def unsuppress(command: UnsuppressAddress, state: Address) -> Sequence[Event]:
    """It may be mailed to again."""
    if command.suppression_id not in state.suppressions:
        raise SuppressionNotFound
    return [AddressUnsuppressed(address_key=command.address_key, suppression_id=command.suppression_id)]
