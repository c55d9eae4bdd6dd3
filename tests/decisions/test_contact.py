"""Decisions about contacts, imports and addresses."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.dispatcher.contact import (
    Address,
    Contact,
    Import,
    add_contact,
    address,
    change_contact,
    complete_import,
    contact,
    contact_import,
    delete_contact,
    delete_import,
    fail_import,
    forget_contact,
    heed,
    release,
    remove_contact,
    reserve,
    start_import,
    suppress,
    unsubscribe,
    unsuppress,
)
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
    ContactDeleted,
    ContactForgotten,
    ContactImportFailed,
    ContactImportNotFound,
    ContactNotFound,
    ContactUnsubscribed,
    DeleteContact,
    DeleteImport,
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
from outrider.events.errors import Refused
from outrider.events.message import Event
from outrider.events.testing import given

A, C, I, P, Q, S = (UUID(int=n) for n in range(1, 7))  # noqa: E741  # an import
KEY, DOMAIN = "k" * 32, "d" * 32
ADDED = ContactAdded(contact_id=P, import_id=I, address_key=KEY)
RESERVED = AddressReserved(address_key=KEY, contact_id=P)
GONE = ContactDeleted(contact_id=P, address_key=KEY)
OUT = ContactUnsubscribed(contact_id=P)
STARTED = ImportStarted(import_id=I, chunks=2, rows=1500, skipped=3, rejected=4)
COMPLETED = ImportCompleted(import_id=I, record_count=1400, skipped=103, rejected=4)
UNSUBSCRIBE = partial(unsubscribe, UnsubscribeContact(command_id=C, account_id=A, contact_id=P))
DELETE = partial(delete_import, DeleteImport(command_id=C, account_id=A, import_id=I))
COMPLETE = partial(complete_import, I, 1400)


def start(rows: int, chunks: int, skipped: int = 0, rejected: int = 0) -> Callable[[Import], Sequence[Event]]:
    command = ImportContacts(
        command_id=C, account_id=A, import_id=I, chunks=chunks, rows=rows, skipped=skipped, rejected=rejected
    )
    return partial(start_import, command)


def test_an_import_starts_with_its_rows() -> None:
    given(contact_import).when(start(1500, 2, 3, 4)).then(STARTED)


def test_an_import_whose_rows_are_all_bad_is_complete_at_once() -> None:
    given(contact_import).when(start(0, 0, 1, 2)).then(
        ImportStarted(import_id=I, chunks=0, rows=0, skipped=1, rejected=2),
        ImportCompleted(import_id=I, record_count=0, skipped=1, rejected=2),
    )


def test_an_import_without_any_row_is_refused() -> None:
    given(contact_import).when(start(0, 0)).refused(NoContactsProvided)


def test_the_figures_of_an_import_add_up_to_its_rows() -> None:
    given(contact_import, STARTED).when(COMPLETE).then(COMPLETED).when(COMPLETE).then()


def test_an_import_that_was_deleted_is_not_completed() -> None:
    given(contact_import, STARTED, ImportDeleted(import_id=I)).when(COMPLETE).then()


def test_an_import_whose_body_broke_off_fails_and_adds_nobody_any_more() -> None:
    failed, fail = ImportFailed(import_id=I), partial(fail_import, FailImport(command_id=C, account_id=A, import_id=I))
    given(contact_import).when(fail).then(failed).when(fail).then()
    given(contact_import, failed).when(start(1500, 2, 3, 4)).refused(ContactImportFailed)
    given(contact_import, failed).when(DELETE).then(ImportDeleted(import_id=I))
    given(contact_import, STARTED).when(fail).then()


def test_an_import_is_deleted_once() -> None:
    given(contact_import).when(DELETE).refused(ContactImportNotFound)
    deleted = ImportDeleted(import_id=I)
    given(contact_import, STARTED, COMPLETED).when(DELETE).then(deleted).when(DELETE).refused(ContactImportNotFound)


def test_a_free_address_gets_its_contact() -> None:
    given(address).when(partial(add_contact, P, I, KEY)).then(ADDED, RESERVED)


def test_an_address_has_one_contact() -> None:
    given(address, RESERVED).when(partial(add_contact, Q, I, KEY)).then()


def test_a_released_address_is_free_and_stays_suppressed() -> None:
    history = (RESERVED, AddressSuppressed(address_key=KEY, suppression_id=S), AddressReleased(address_key=KEY))
    found = given(address, *history).when(partial(add_contact, Q, I, KEY))
    assert found.state == Address(Q, frozenset({S}))
    assert address.fold([AddressUnsuppressed(address_key=KEY, suppression_id=S)], found.state).suppressions == set()


def test_an_address_is_released_by_its_own_contact_alone() -> None:
    given(address, RESERVED).when(partial(release, KEY, Q, opted_out=False)).then()
    given(address, RESERVED).when(partial(release, KEY, P, opted_out=False)).then(AddressReleased(address_key=KEY))


def test_an_opt_out_outlives_its_contact_and_goes_to_who_has_the_address_next() -> None:
    left = AddressReleased(address_key=KEY, opted_out=True)
    given(address, RESERVED).when(partial(release, KEY, P, opted_out=True)).then(left)
    added = ContactAdded(contact_id=Q, import_id=I, address_key=KEY)
    again, taken = ContactUnsubscribed(contact_id=Q), AddressReserved(address_key=KEY, contact_id=Q)
    found = given(address, RESERVED, left).when(partial(add_contact, Q, I, KEY)).then(added, again, taken)
    assert contact.fold([added, again]).unsubscribed
    assert not found.state.opted_out  # the contact knows it now, and hands it on
    moving = partial(heed, P, taken=address.fold([left]))
    given(contact, ADDED).when(moving).then(ContactUnsubscribed(contact_id=P)).when(moving).then()
    read = ContactUnsubscribed(contact_id=P, inbound=C)
    given(contact, ADDED, read).when(moving).then(ContactUnsubscribed(contact_id=P))
    given(contact, ADDED).when(partial(heed, P, taken=Address())).then()


def test_a_contact_is_deleted_once() -> None:
    given(contact, ADDED).when(partial(delete_contact, P)).then(GONE).when(partial(delete_contact, P)).then()


def test_a_contact_unsubscribes_once() -> None:
    given(contact, ADDED).when(UNSUBSCRIBE).then(OUT).when(UNSUBSCRIBE).then()


def test_a_contact_that_is_gone_cannot_unsubscribe() -> None:
    for history in ((), (ADDED, GONE), (ADDED, ContactForgotten(contact_id=P))):
        given(contact, *history).when(UNSUBSCRIBE).refused(ContactNotFound)


def moved_to(key: str) -> Callable[[Contact], Sequence[Event]]:
    command = ChangeContact(command_id=C, account_id=A, contact_id=P, address_key=key, domain_key=DOMAIN)
    return partial(change_contact, command)


def test_a_contact_knows_the_key_of_its_domain() -> None:
    found = given(address).when(partial(add_contact, P, None, KEY, domain_key=DOMAIN))
    found.then(
        ContactAdded(contact_id=P, import_id=None, address_key=KEY, domain_key=DOMAIN),
        AddressReserved(address_key=KEY, contact_id=P),
    )


def test_a_changed_contact_says_whether_its_address_is_another() -> None:
    changed = ContactChanged(contact_id=P, address_key=KEY, domain_key=DOMAIN)
    given(contact, ADDED).when(moved_to(KEY)).then(changed)
    moved = ContactChanged(contact_id=P, address_key="o" * 32, domain_key=DOMAIN, is_moved=True)
    found = given(contact, ADDED).when(moved_to("o" * 32)).then(moved)
    assert found.state.address_key == "o" * 32


def test_a_change_that_names_no_address_leaves_it_where_it_is() -> None:
    renamed = partial(change_contact, ChangeContact(command_id=C, account_id=A, contact_id=P))
    at_home = ContactAdded(contact_id=P, import_id=None, address_key=KEY, domain_key=DOMAIN)
    given(contact, at_home).when(renamed).then(ContactChanged(contact_id=P, address_key=KEY, domain_key=DOMAIN))
    moved = ContactChanged(contact_id=P, address_key="o" * 32, domain_key="e" * 32, is_moved=True)
    stays = moved.model_copy(update={"is_moved": False})
    given(contact, at_home, moved).when(renamed).then(stays)


def test_a_contact_that_is_gone_cannot_be_changed() -> None:
    for history in ((), (ADDED, GONE)):
        given(contact, *history).when(moved_to(KEY)).refused(ContactNotFound)


def test_an_address_that_somebody_has_is_taken_by_nobody_else() -> None:
    given(address).when(partial(reserve, KEY, P)).then(RESERVED).when(partial(reserve, KEY, P)).then()
    given(address, RESERVED).when(partial(reserve, KEY, Q)).refused(ContactAlreadyExists)


def test_a_contact_is_removed_by_its_owner_once() -> None:
    remove = partial(remove_contact, DeleteContact(command_id=C, account_id=A, contact_id=P))
    given(contact, ADDED).when(remove).then(GONE).when(remove).refused(ContactNotFound)


def test_a_contact_is_forgotten_once_also_when_it_was_deleted_before() -> None:
    forget = partial(forget_contact, P, {"values": 2}, suppressed=True)
    forgotten = ContactForgotten(contact_id=P, removed={"values": 2}, suppressed=True)
    given(contact, ADDED, GONE).when(forget).then(forgotten).when(forget).then()
    given(contact).when(forget).refused(ContactNotFound)


SUPPRESSED = AddressSuppressed(address_key=KEY, suppression_id=S)
LIFTED = AddressUnsuppressed(address_key=KEY, suppression_id=S)
SUPPRESS = partial(suppress, SuppressAddress(command_id=C, account_id=A, suppression_id=S, address_key=KEY))
LIFT = partial(unsuppress, UnsuppressAddress(command_id=C, account_id=A, suppression_id=S, address_key=KEY))


def test_an_address_is_suppressed_once_so_that_lifting_it_once_is_enough() -> None:
    given(address, RESERVED).when(SUPPRESS).then(SUPPRESSED).when(SUPPRESS).then()
    other = SuppressAddress(command_id=C, account_id=A, suppression_id=Q, address_key=KEY)
    given(address, SUPPRESSED).when(partial(suppress, other)).then()
    given(address, SUPPRESSED, LIFTED).when(SUPPRESS).then(SUPPRESSED)


def test_only_a_suppression_that_stands_is_lifted() -> None:
    given(address).when(LIFT).refused(SuppressionNotFound)
    given(address, SUPPRESSED).when(LIFT).then(LIFTED).when(LIFT).refused(SuppressionNotFound)


CASES: list[tuple[Aggregate[Any], list[Event], list[Callable[[Any], Sequence[Event]]]]] = [
    (contact, [ADDED, OUT, GONE, ContactForgotten(contact_id=P)], [UNSUBSCRIBE, partial(delete_contact, P)]),
    (contact_import, [STARTED, COMPLETED, ImportDeleted(import_id=I)], [start(1500, 2), COMPLETE, DELETE]),
    (
        address,
        [RESERVED, AddressReleased(address_key=KEY), AddressSuppressed(address_key=KEY, suppression_id=S)],
        [partial(add_contact, P, I, KEY), partial(release, KEY, P, opted_out=True), SUPPRESS, LIFT],
    ),
]


@examples(st.data())
def test_the_same_command_twice_adds_nothing(data: st.DataObject) -> None:
    aggregate, events, decisions = data.draw(st.sampled_from(CASES))
    state: Contact | Import | Address = aggregate.fold(data.draw(st.lists(st.sampled_from(events), max_size=6)))
    decide = data.draw(st.sampled_from(decisions))
    try:
        state = aggregate.fold(decide(state), state)
        assert list(decide(state)) == []
    except Refused:
        pass
