"""Sibling campaigns and their contacts: who gets whom when they enroll at once, and who is free again."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from uuid import UUID

import pytest

from outrider.dispatcher.outreach import reservation_id
from outrider.events import vault
from outrider.events.campaign import (
    CampaignSettings,
    ChangeCampaign,
    CreateCampaign,
    DeleteCampaign,
    DispatchBatch,
    EnrollContact,
    EnrollImport,
)
from outrider.events.credential import NewCredential
from outrider.events.enrollment import ContactSkipped, EnrollmentCreated, EnrollmentStopped
from outrider.events.errors import Refused
from outrider.events.ids import enrollment_id, new_id
from outrider.events.log import Write
from outrider.events.outreach import (
    ChangeOutreach,
    CreateOutreach,
    DeleteOutreach,
    OutreachContactReleased,
    OutreachNotEmpty,
    OutreachNotFound,
)
from outrider.events.vault import Entry
from tests.projections.test_dispatcher_people import the_same_when_rebuilt
from tests.support.dispatcher import Office, office

MANY = 300


@pytest.fixture
async def found(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    async with office(urls, bus_url) as running:
        yield running


async def outreach(found: Office, *, unique: bool = True) -> UUID:
    outreach_id = new_id()
    await found.do(CreateOutreach, outreach_id=outreach_id, unique_contacts=unique)
    return outreach_id


async def campaign_of(found: Office, outreach_id: UUID) -> UUID:
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0, outreach_id=outreach_id)
    return (await found.campaign(settings))[0]


async def contacts_of(found: Office, import_id: UUID) -> list[UUID]:
    assert await found.desk.facts.reach(await found.desk.log.last_position(), 60)
    rows = await found.desk.tables.fetch("select contact_id from contacts where import_id = $1", import_id)
    return [row["contact_id"] for row in rows]


async def enrolled_in(found: Office, campaign: UUID) -> list[UUID]:
    await found.desk.fresh()
    rows = await found.desk.tables.fetch("select contact_id from enrollments where campaign_id = $1", campaign)
    return [row["contact_id"] for row in rows]


async def test_of_two_dispatchers_that_enroll_at_once_each_contact_has_one_winner(
    found: Office, urls: Mapping[str, str], bus_url: str
) -> None:
    """Each with its own log and its own view of the facts, as two replicas have."""
    shared = await outreach(found)
    one, other = await campaign_of(found, shared), await campaign_of(found, shared)
    import_id = await found.import_people(*(f"p{number}@example.com" for number in range(MANY)))
    async with office(urls, bus_url) as second:
        second.account = found.account
        commands = [new_id(), new_id()]
        answers = await asyncio.gather(
            found.do(EnrollImport, command_id=commands[0], campaign_id=one, import_id=import_id),
            second.do(EnrollImport, command_id=commands[1], campaign_id=other, import_id=import_id),
        )
    winners = Counter([*await enrolled_in(found, one), *await enrolled_in(found, other)])
    assert len(winners) == MANY
    assert set(winners.values()) == {1}
    assert sum(answer.body["enrolled"] for answer in answers) == MANY
    assert [answer.body["enrolled"] + answer.body["skipped_count"] for answer in answers] == [MANY] * 2
    kinds = {row["kind"] for answer in answers for row in answer.body["skipped"]}
    assert kinds <= {"cross_campaign_duplicate"}
    again = await found.do(EnrollImport, command_id=commands[0], campaign_id=one, import_id=import_id)
    assert again.body == answers[0].body
    await the_same_when_rebuilt(found)


async def test_of_many_who_enroll_one_contact_at_once_one_wins(found: Office) -> None:
    shared = await outreach(found)
    campaigns = [await campaign_of(found, shared) for _ in range(5)]
    [contact] = await contacts_of(found, await found.import_people("a@example.com"))

    async def enroll(campaign: UUID) -> str:
        try:
            await found.do(EnrollContact, campaign_id=campaign, contact_id=contact)
        except ContactSkipped as refusal:
            return str(refusal.details["kind"])
        return "enrolled"

    outcomes = Counter(await asyncio.gather(*(enroll(campaign) for campaign in campaigns)))
    assert outcomes == {"enrolled": 1, "cross_campaign_duplicate": 4}


async def test_siblings_may_have_the_same_contact_unless_they_must_not(found: Office) -> None:
    shared = await outreach(found, unique=False)
    one, other = await campaign_of(found, shared), await campaign_of(found, shared)
    import_id = await found.import_people("a@example.com", "b@example.com")
    for campaign in (one, other):
        answer = await found.do(EnrollImport, campaign_id=campaign, import_id=import_id)
        assert answer.body["enrolled"] == 2
    await found.do(ChangeOutreach, outreach_id=shared, unique_contacts=True)
    third = await campaign_of(found, shared)
    answer = await found.do(EnrollImport, campaign_id=third, import_id=import_id)
    assert [row["kind"] for row in answer.body["skipped"]] == ["cross_campaign_duplicate"] * 2


async def test_a_deleted_campaign_keeps_only_those_it_has_mailed(found: Office) -> None:
    shared = await outreach(found)
    one, other = await campaign_of(found, shared), await campaign_of(found, shared)
    import_id = await found.import_people("a@example.com", "b@example.com", "c@example.com")
    assert (await found.dispatched(one, import_id)).body["scheduled"] == 3
    sent, begun = await found.job(), await found.job()
    await found.send(sent)
    await found.claim(begun)
    await found.do(DeleteCampaign, campaign_id=one)
    answer = await found.do(EnrollImport, campaign_id=other, import_id=import_id)
    assert answer.body["enrolled"] == 1
    kept = {row["contact_id"]: row["kind"] for row in answer.body["skipped"]}
    assert kept == dict.fromkeys([str(sent.contact_id), str(begun.contact_id)], "cross_campaign_duplicate")
    [free] = await enrolled_in(found, other)
    assert free not in {sent.contact_id, begun.contact_id}
    await the_same_when_rebuilt(found)


async def test_a_deleted_enrollment_frees_its_contact_unless_a_mail_went_out(found: Office) -> None:
    shared = await outreach(found)
    one, other = await campaign_of(found, shared), await campaign_of(found, shared)
    import_id = await found.import_people("a@example.com", "b@example.com")
    await found.do(EnrollImport, campaign_id=one, import_id=import_id)
    await found.do(DispatchBatch, campaign_id=one)
    sent = await found.job()
    await found.send(sent)
    contacts = await contacts_of(found, import_id)
    [free] = [contact for contact in contacts if contact != sent.contact_id]
    for contact in contacts:
        stopped = EnrollmentStopped(
            enrollment_id=enrollment_id(one, contact), campaign_id=one, contact_id=contact, reason="deleted"
        )
        stream = f"enrollment-{enrollment_id(one, contact)}"
        await found.desk.log.append(found.account, Write(stream, None, [stopped], new_id()))

    async def are_judged() -> bool:
        done = "select count(*) = 2 from todos where kind = 'free_contact' and done_at is not null"
        return bool(await found.desk.work.fetchval(done))

    await found.until("both are judged", are_judged)
    assert await found.has(f"outreachContact-{reservation_id(shared, free)}", OutreachContactReleased)
    assert not await found.has(f"outreachContact-{reservation_id(shared, sent.contact_id)}", OutreachContactReleased)
    answer = await found.do(EnrollContact, campaign_id=other, contact_id=free)
    assert answer.status == 201
    created = (await found.events(f"enrollment-{enrollment_id(other, free)}"))[-1]
    assert isinstance(created, EnrollmentCreated)
    assert created.outreach_id == shared
    with pytest.raises(ContactSkipped):
        await found.do(EnrollContact, campaign_id=other, contact_id=sent.contact_id)


async def test_a_campaign_brings_along_whom_it_had_enrolled(found: Office) -> None:
    """Reserved for nobody, they are known by the facts: to whoever enrolls an import, and to whoever enrolls one."""
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0)
    one, _ = await found.campaign(settings)
    import_id = await found.import_people("a@example.com", "b@example.com", "c@example.com")
    assert (await found.dispatched(one, import_id)).body["scheduled"] == 3
    sent, begun = await found.job(), await found.job()
    await found.send(sent)
    await found.claim(begun)
    shared = await outreach(found)
    other = await campaign_of(found, shared)
    await found.do(ChangeCampaign, campaign_id=one, settings=settings.model_copy(update={"outreach_id": shared}))
    answer = await found.do(EnrollImport, campaign_id=other, import_id=import_id)
    assert [row["kind"] for row in answer.body["skipped"]] == ["cross_campaign_duplicate"] * 3
    with pytest.raises(ContactSkipped):
        await found.do(EnrollContact, campaign_id=other, contact_id=sent.contact_id)
    await found.do(DeleteCampaign, campaign_id=one)
    [free] = {*await contacts_of(found, import_id)} - {sent.contact_id, begun.contact_id}
    third = await campaign_of(found, shared)
    answer = await found.do(EnrollImport, campaign_id=third, import_id=import_id)
    assert answer.body["enrolled"] == 1, "who was mailed stays, although the campaign is deleted"
    assert await enrolled_in(found, third) == [free]


async def test_of_a_campaign_in_an_unknown_outreach_nothing_is_kept(found: Office) -> None:
    campaign, credential = new_id(), new_id()
    names = [Entry(campaign, "name", found.account, "campaign", {"name": "Q2"})]
    secrets = [Entry(credential, "secrets", found.account, "credential", {"sealed": {}})]
    await vault.put(found.desk.log_pool, [*names, *secrets])
    added = (NewCredential(credential_id=credential, daily_limit=1),)
    settings = CampaignSettings(outreach_id=new_id())
    with pytest.raises(OutreachNotFound):
        await found.do(CreateCampaign, campaign_id=campaign, settings=settings, steps=(), credentials=added)
    assert await found.desk.log_pool.fetch("select from log.vault where owner = any($1)", [campaign, credential]) == []


async def test_an_outreach_is_never_gone_while_a_campaign_refers_to_it(found: Office) -> None:
    """However a deletion and a new campaign race: one of the two is refused."""
    for _ in range(10):
        shared, campaign = await outreach(found), new_id()
        outcomes = await asyncio.gather(
            found.do(DeleteOutreach, outreach_id=shared),
            found.do(
                CreateCampaign,
                campaign_id=campaign,
                settings=CampaignSettings(outreach_id=shared),
                steps=(),
                credentials=(),
            ),
            return_exceptions=True,
        )
        refusals = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert len(refusals) == 1
        assert isinstance(refusals[0], OutreachNotEmpty | OutreachNotFound)
        assert bool(await found.events(f"campaign-{campaign}")) == isinstance(refusals[0], OutreachNotEmpty)
