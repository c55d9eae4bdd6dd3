"""Contact, import and address: whom an account may write to. Written only by the dispatcher.

Three categories: `contact-<id>`, `import-<id>` and the reservation `address-<address_key>`, which makes an address
unique in its account and carries its suppression.
"""

from uuid import UUID

from pydantic import Field

from outrider.events.errors import Refused
from outrider.events.message import Command, Event


class ImportContacts(Command, category="import"):
    """Add the people that lie in the vault under the import, in chunks named ``rows-0`` .. ``rows-<chunks - 1>``."""

    import_id: UUID
    chunks: int
    rows: int
    """How many people the chunks hold."""
    skipped: int
    """Duplicates within the body itself."""
    rejected: int

    @property
    def target(self) -> str:
        """Imports of one account wait for nobody."""
        return f"import-{self.import_id}"


class FailImport(Command, category="import"):
    """The body of the import broke off: nobody of it is to become a contact."""

    import_id: UUID

    @property
    def target(self) -> str:
        """The import itself."""
        return f"import-{self.import_id}"


class DeleteImport(Command, category="import"):
    """Delete the import with its contacts and their enrollments."""

    import_id: UUID

    @property
    def target(self) -> str:
        """The import itself."""
        return f"import-{self.import_id}"


class ContactCommand(Command, category="contact"):
    """A command about one contact."""

    contact_id: UUID

    @property
    def target(self) -> str:
        """The contact itself."""
        return f"contact-{self.contact_id}"


class AddContact(ContactCommand):
    """Add the person that lies in the vault under the contact."""

    address_key: str
    domain_key: str


class ChangeContact(ContactCommand):
    """Of the person, what lies in the vault under the contact as ``person-<command_id>`` is to be as it is there."""

    address_key: str | None = None
    """None, as `domain_key`: the address is not among what changes."""
    domain_key: str | None = None


class MergeContact(ChangeContact):
    """The same under another name: builds that replaced the person by what lies there leave it to newer ones."""


class DeleteContact(ContactCommand):
    """Delete it; its enrollments end, its address is free."""


class EraseContact(ContactCommand):
    """Delete it, and forget for ever who it was; also of one that is deleted already."""


class UnsubscribeContact(Command, category="contact", expires=False):
    """The person asked not to be written to any more. It waits as long as it must: nobody asks twice."""

    contact_id: UUID
    delivery_id: UUID | None = None
    inbound: UUID | None = None
    """The message in which it was said, if that is how we know."""

    @property
    def target(self) -> str:
        """The contact itself."""
        return f"contact-{self.contact_id}"


class SuppressionCommand(Command, category="address"):
    """A command about one suppression, whose address or domain lies in the vault."""

    suppression_id: UUID
    address_key: str
    """Of the address, or of the whole domain."""

    @property
    def target(self) -> str:
        """The address: its commands keep their order."""
        return f"address-{self.address_key}"


class SuppressAddress(SuppressionCommand):
    """Mail nothing more to it."""


class UnsuppressAddress(SuppressionCommand):
    """It may be mailed to again."""


class ImportStarted(Event):
    """An import was accepted; its people lie in the vault until they are contacts."""

    import_id: UUID
    chunks: int
    rows: int
    skipped: int
    rejected: int


class ImportCompleted(Event):
    """Every row of the import is a contact, skipped or rejected: the three add up to the rows read."""

    import_id: UUID
    record_count: int
    skipped: int
    rejected: int


class ImportFailed(Event):
    """Its body broke off: it adds nobody, and nothing of its people is kept."""

    import_id: UUID


class ImportDeleted(Event):
    """The import is gone; its contacts are deleted one by one."""

    import_id: UUID


class ContactAdded(Event):
    """A person can be enrolled; name and address lie in the vault under the contact."""

    contact_id: UUID
    import_id: UUID | None
    address_key: str
    """Keyed hash of (account, normalised address); the address cannot be read from it."""
    domain_key: str | None = None
    """The same of the address' domain; contacts added before there were suppressions have none."""


class ContactChanged(Event):
    """Name, address or fields in the vault are others; the keys are those of the address from now on."""

    contact_id: UUID
    address_key: str
    domain_key: str | None = None
    is_moved: bool = False
    """Whether the address is another one: what bounced at the old one says nothing of it."""


class ContactDeleted(Event):
    """The contact is gone."""

    contact_id: UUID
    address_key: str


class ContactUnsubscribed(Event):
    """The person is not written to any more, by no campaign of the account."""

    contact_id: UUID
    delivery_id: UUID | None = None
    """The message whose link or answer it came from."""
    inbound: UUID | None = None
    """The cause of the answer's record; None: it was said otherwise, and can be withdrawn by nobody else."""


class ContactCorrected(Event):
    """A message was taken for something that it is not: what it said of the person does not hold any more."""

    contact_id: UUID
    inbound: UUID
    """The cause of the message's record."""
    resubscribed: bool
    """Nothing else had unsubscribed the person."""
    reachable: bool
    """No other message had bounced for good."""


class ContactForgotten(Event):
    """Nothing that tells who it was is kept any more."""

    contact_id: UUID
    removed: dict[str, int] = Field(default_factory=dict)
    """How many values of each kind were removed at last."""
    suppressed: bool = False
    """Whether nothing is written to its address still: the key, from which it cannot be read, stays suppressed, or
    remembers that the person opted out."""


class AddressReserved(Event):
    """The address belongs to this contact of the account."""

    address_key: str
    contact_id: UUID


class AddressReleased(Event):
    """The address belongs to nobody any more."""

    address_key: str
    opted_out: bool = False
    """Whether its person had unsubscribed: whoever has the address next is written to no more either."""


class AddressSuppressed(Event):
    """Nothing is mailed to this address (or, for the key of a domain, to this domain) by the account."""

    address_key: str
    suppression_id: UUID


class AddressUnsuppressed(Event):
    """The suppression is lifted."""

    address_key: str
    suppression_id: UUID


class ErasureNotFound(Refused, status=404, code="erasure_not_found"):
    """The contact has not been erased."""


class ContactNotFound(Refused, status=404, code="contact_not_found"):
    """There is no such contact."""


class ContactAlreadyExists(Refused, status=422, code="contact_already_exists"):
    """The account has a contact with this address; `details.contact_id` says which."""


class SuppressionNotFound(Refused, status=404, code="suppression_not_found"):
    """There is no such suppression."""


class ContactImportNotFound(Refused, status=404, code="contact_import_not_found"):
    """There is no such contact import."""


class ContactImportFailed(Refused, status=422, code="contact_import_failed"):
    """The body broke off or came too slowly, and the import was given up: nobody was added. Send it again."""


class NoContactsProvided(Refused, status=422, code="no_contacts_provided"):
    """The import holds no contact."""
