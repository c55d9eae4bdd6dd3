"""Contacts one by one, carried out by a running dispatcher on real servers."""

from collections.abc import AsyncGenerator, Mapping
from uuid import UUID

import pytest

from outrider.dispatcher.projections import facts
from outrider.events import vault
from outrider.events.campaign import EnrollContact, EnrollImport
from outrider.events.commands import Answer
from outrider.events.contact import (
    AddContact,
    AddressReleased,
    AddressReserved,
    ChangeContact,
    ContactAlreadyExists,
    ContactChanged,
    ContactForgotten,
    ContactNotFound,
    ContactUnsubscribed,
    DeleteContact,
    DeleteImport,
    EraseContact,
    UnsubscribeContact,
)
from outrider.events.enrollment import EnrollmentStopped
from outrider.events.ids import enrollment_id, new_id
from outrider.events.projector import Reader, caught_up
from outrider.events.vault import Entry
from tests.projections.test_dispatcher import TABLES, dump
from tests.support.dispatcher import Office, office


@pytest.fixture
async def found(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    async with office(urls, bus_url) as running:
        yield running


def key_of(text: str) -> str:
    return f"{text:x>32}"[:32]


async def add(found: Office, email: str, *, contact: UUID | None = None, command_id: UUID | None = None) -> UUID:
    """The contact's id."""
    contact = contact or new_id()
    await vault.put(found.desk.log_pool, [Entry(contact, "person", found.account, "contact", {"email": email})])
    keys = {"address_key": key_of(email), "domain_key": key_of(email.partition("@")[2])}
    answer = await found.do(AddContact, contact_id=contact, command_id=command_id, **keys)
    assert (answer.status, answer.body) == (201, {"id": str(contact)})
    return contact


async def change(found: Office, contact: UUID, email: str, command_id: UUID | None = None) -> Answer:
    command_id = command_id or new_id()
    staged = Entry(contact, f"person-{command_id}", found.account, "contact", {"email": email})
    await vault.put(found.desk.log_pool, [staged])
    keys = {"address_key": key_of(email), "domain_key": key_of(email.partition("@")[2])}
    return await found.do(ChangeContact, contact_id=contact, command_id=command_id, **keys)


async def names_of(found: Office, contact: UUID) -> list[str]:
    rows = await found.desk.log_pool.fetch("select name from log.vault where owner = $1", contact)
    return [row["name"] for row in rows]


async def copied(found: Office, email: str) -> UUID:
    """Whose mail server spoke of the address."""
    credential = new_id()
    said = Entry(credential, "smtp_error", found.account, "credential", {"reply": f"550 <{email}> is nobody"})
    await vault.put(found.desk.log_pool, [said])
    return credential


async def test_who_cannot_be_added_is_not_kept(found: Office) -> None:
    first, command = new_id(), new_id()
    for _ in range(2):
        assert await add(found, "a@example.com", contact=first, command_id=command) == first
    other = new_id()
    with pytest.raises(ContactAlreadyExists) as refusal:
        await add(found, "a@example.com", contact=other)
    assert refusal.value.details == {"contact_id": str(first)}
    assert await names_of(found, other) == []
    assert await names_of(found, first) == ["person"]
    assert await found.events(f"contact-{other}") == []


async def test_a_change_is_carried_out_once_and_leaves_one_person(found: Office) -> None:
    contact, command = await add(found, "old@example.com"), new_id()
    copy = await copied(found, "old@example.com")
    for _ in range(2):
        assert (await change(found, contact, "new@example.com", command)).status == 200
    events = await found.events(f"contact-{contact}")
    assert [type(event) for event in events[1:]] == [ContactChanged]
    assert await names_of(found, contact) == ["person"]
    assert await names_of(found, copy) == []
    person = await vault.get(found.desk.log_pool, found.account, contact, "person")
    assert person == {"email": "new@example.com"}
    assert isinstance((await found.events(f"address-{key_of('old@example.com')}"))[-1], AddressReleased)
    taken = (await found.events(f"address-{key_of('new@example.com')}"))[-1]
    assert taken == AddressReserved(address_key=key_of("new@example.com"), contact_id=contact)


async def test_a_refused_change_leaves_the_person_as_it_was(found: Office) -> None:
    contact = await add(found, "one@example.com")
    await add(found, "two@example.com")
    with pytest.raises(ContactAlreadyExists):
        await change(found, contact, "two@example.com")
    assert await names_of(found, contact) == ["person"]
    person = await vault.get(found.desk.log_pool, found.account, contact, "person")
    assert person == {"email": "one@example.com"}


async def test_who_is_deleted_is_forgotten_and_written_to_no_more(found: Office) -> None:
    contact, command = await add(found, "gone@example.com"), new_id()
    copy = await copied(found, "gone@example.com")
    campaign, _ = await found.campaign()
    await found.do(EnrollContact, campaign_id=campaign, contact_id=contact)
    first = await found.do(DeleteContact, contact_id=contact, command_id=command)
    again = await found.do(DeleteContact, contact_id=contact, command_id=command)
    assert (first.status, first.body) == (again.status, again.body) == (204, {"id": str(contact)})
    assert await found.has(f"enrollment-{enrollment_id(campaign, contact)}", EnrollmentStopped)
    assert await names_of(found, contact) == await names_of(found, copy) == []
    assert isinstance((await found.events(f"address-{key_of('gone@example.com')}"))[-1], AddressReleased)
    for kind in (DeleteContact, ChangeContact):
        with pytest.raises(ContactNotFound):
            await found.do(kind, contact_id=contact, address_key="k", domain_key="d")
    assert await add(found, "gone@example.com") != contact


async def test_who_was_deleted_does_not_come_back_by_a_change_under_way(found: Office) -> None:
    contact, command = await add(found, "late@example.com"), new_id()
    await change(found, contact, "later@example.com", command)
    await found.do(DeleteContact, contact_id=contact)
    await change(found, contact, "later@example.com", command)  # delivered again
    assert await names_of(found, contact) == []


async def imported(found: Office, email: str) -> tuple[UUID, UUID]:
    """The import of the address and of another one, and who became the contact of the address."""
    import_id = await found.import_people(email, f"beside-{new_id()}@example.com")
    await found.desk.fresh()
    holder = await found.desk.tables.fetchval(
        "select contact_id from contacts where import_id = $1 and address_key = $2", import_id, key_of(email)
    )
    assert isinstance(holder, UUID)
    return import_id, holder


async def test_who_opted_out_is_so_again_whatever_became_of_the_contact(found: Office) -> None:
    email = "no@example.com"
    campaign, _ = await found.campaign()
    import_id, contact = await imported(found, email)
    await found.do(UnsubscribeContact, contact_id=contact)
    copy = await copied(found, email)
    for _ in range(2):  # the address is one that was never had before, then one that was
        await found.do(DeleteImport, import_id=import_id)
        left = AddressReleased(address_key=key_of(email), opted_out=True)
        assert (await found.events(f"address-{key_of(email)}"))[-1] == left
        import_id, contact = await imported(found, email)
        enrolled = await found.do(EnrollImport, campaign_id=campaign, import_id=import_id)
        assert [(skip["contact_id"], skip["kind"]) for skip in enrolled.body["skipped"]] == [
            (str(contact), "unsubscribed")
        ]
    assert await names_of(found, copy) == []
    await found.do(DeleteContact, contact_id=contact)
    erased = await add(found, email)
    await found.do(EraseContact, contact_id=erased)
    forgotten = (await found.events(f"contact-{erased}"))[-1]
    assert isinstance(forgotten, ContactForgotten)
    assert forgotten.suppressed
    moved = await add(found, "yes@example.com")
    assert (await found.events(f"contact-{moved}"))[1:] == []
    await change(found, moved, email)
    assert (await found.events(f"contact-{moved}"))[-1] == ContactUnsubscribed(contact_id=moved)
    await the_same_when_rebuilt(found)


async def the_same_when_rebuilt(found: Office) -> None:
    """The facts are what a rebuild makes of the log."""
    await found.desk.fresh()
    await found.stop()
    await caught_up(found.desk.facts)
    before = await dump(found.desk.tables)
    for table in (*TABLES, "checkpoints"):
        await found.desk.tables.execute(f"truncate {table}")
    await caught_up(Reader(facts, found.desk.log, found.desk.tables))
    assert await dump(found.desk.tables) == before


async def test_the_facts_of_a_changed_contact_come_out_the_same_when_rebuilt(found: Office) -> None:
    contact = await add(found, "a@one.example")
    await change(found, contact, "a@two.example")
    await found.do(DeleteContact, contact_id=await add(found, "b@one.example"))
    await found.desk.fresh()
    row = await found.desk.tables.fetchrow("select * from contacts where contact_id = $1", contact)
    assert row is not None
    assert (row["address_key"], row["domain_key"]) == (key_of("a@two.example"), key_of("two.example"))
    assert row["version"] == 2
    await the_same_when_rebuilt(found)
