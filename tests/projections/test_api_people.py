"""What the api shows of people without naming them: the same tables whether run on, run again or rebuilt."""

from collections.abc import Mapping
from uuid import UUID

from outrider.events.contact import AddressSuppressed, AddressUnsuppressed, ContactAdded, ContactChanged
from outrider.events.enrollment import EnrollmentBounced
from outrider.events.ids import new_id
from outrider.events.outreach import OutreachChanged, OutreachCreated, OutreachDeleted
from tests.support.api_events import ACCOUNT, CAMPAIGN, CREDENTIAL, Facts, at, contact, enrollment, facts


async def the_same_when_rebuilt(found: Facts) -> None:
    await found.catch_up()
    once = await found.dump()
    await found.catch_up()
    assert await found.dump() == once
    await found.forget()
    await found.catch_up(3)
    assert await found.dump() == once


async def bounce(found: Facts, number: int) -> None:
    bounced = EnrollmentBounced(
        enrollment_id=enrollment(number),
        campaign_id=CAMPAIGN,
        contact_id=contact(number),
        credential_id=CREDENTIAL,
        delivery_id=None,
        step_position=None,
        kind="hard",
        status_code="550",
        reason="user_unknown",
        bounced_at=at(1),
    )
    await found.record("dispatcher", f"enrollment-{enrollment(number)}", bounced)


async def test_what_bounced_at_a_former_address_is_shown_no_more(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(3)
        await found.dispatch(range(3))
        for number in (0, 1):
            await bounce(found, number)
        moved = ContactChanged(contact_id=contact(0), address_key="a" * 32, domain_key="b" * 32, is_moved=True)
        stayed = ContactChanged(contact_id=contact(1), address_key=f"{1:032x}", domain_key="b" * 32)
        await found.record("dispatcher", f"contact-{contact(0)}", moved)
        await found.record("dispatcher", f"contact-{contact(1)}", stayed)
        await found.catch_up()
        rows = await found.tables.fetch(
            "select address_key, bounced_at is not null as bounced from contacts where contact_id = any($1) "
            "order by position",
            [contact(0), contact(1)],
        )
        assert [(row["address_key"], row["bounced"]) for row in rows] == [("a" * 32, False), (f"{1:032x}", True)]
        await the_same_when_rebuilt(found)


async def test_a_suppression_is_listed_until_it_is_lifted(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        ids: list[UUID] = [new_id(), new_id()]
        for id_ in ids:
            key = f"{id_.int:032x}"
            await found.record("dispatcher", f"address-{key}", AddressSuppressed(address_key=key, suppression_id=id_))
        key = f"{ids[0].int:032x}"
        lifted = AddressUnsuppressed(address_key=key, suppression_id=ids[0])
        await found.record("dispatcher", f"address-{key}", lifted)
        await found.catch_up()
        rows = await found.tables.fetch("select suppression_id, account_id from suppressions")
        assert [(row["suppression_id"], row["account_id"]) for row in rows] == [(ids[1], ACCOUNT)]
        await the_same_when_rebuilt(found)


async def test_a_contact_that_was_recorded_before_there_were_domain_keys_loads(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(1)
        old = ContactAdded.load(
            "ContactAdded", 1, {"contact_id": str(contact(7)), "import_id": None, "address_key": "k"}
        )
        await found.record("dispatcher", f"contact-{contact(7)}", old)
        await found.catch_up()
        assert await found.row("select * from contacts where contact_id = $1", contact(7))


async def test_an_outreach_is_shown_as_it_was_changed_last(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        ids = [new_id(), new_id()]
        for id_ in ids:
            created = OutreachCreated(outreach_id=id_, unique_contacts=False)
            changed = [OutreachChanged(outreach_id=id_, unique_contacts=unique) for unique in (True, False, True)]
            await found.record("dispatcher", f"outreach-{id_}", created, *changed)
        await found.record("dispatcher", f"outreach-{ids[0]}", OutreachDeleted(outreach_id=ids[0]))
        await found.catch_up()
        rows = await found.tables.fetch("select outreach_id, unique_contacts from outreaches")
        assert [tuple(row.values()) for row in rows] == [(ids[1], True)]
        await the_same_when_rebuilt(found)
