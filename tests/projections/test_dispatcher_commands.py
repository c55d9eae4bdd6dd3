"""The dispatcher's commands on real servers: what they answer, and that a repeated one answers the same."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from uuid import UUID

import pytest

from outrider.events import vault
from outrider.events.account import ChangePlan
from outrider.events.campaign import (
    BatchDispatched,
    CampaignActivated,
    CampaignIsPaused,
    CampaignNotFound,
    CampaignPaused,
    CampaignSettings,
    ChangeStep,
    DailyLimitReached,
    DeleteCampaign,
    DispatchBatch,
    EnrollContact,
    EnrollImport,
    NoPendingEnrollments,
    NoSmtpCredentials,
    PauseCampaign,
    PlanLimitReached,
    PlanTooLong,
    ResumeCampaign,
    StepPlan,
    StepsChanged,
)
from outrider.events.contact import (
    ContactNotFound,
    DeleteImport,
    ImportCompleted,
    ImportContacts,
    ImportStarted,
    UnsubscribeContact,
)
from outrider.events.credential import (
    ChangeCredential,
    CredentialRemoved,
    NewCredential,
    RemoveCredential,
    SmtpCredentialNotFound,
)
from outrider.events.enrollment import (
    ContactAlreadyEnrolled,
    ContactSkipped,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
)
from outrider.events.errors import NotYet
from outrider.events.ids import enrollment_id, new_id
from outrider.events.log import Write
from outrider.events.message import Json
from outrider.events.vault import Entry
from tests.support.dispatcher import STEPS, Office, office


@pytest.fixture
async def found(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    async with office(urls, bus_url) as running:
        yield running


async def contacts_of(found: Office, import_id: UUID) -> list[UUID]:
    assert await found.desk.facts.reach(await found.desk.log.last_position(), 60)
    rows = await found.desk.tables.fetch(
        "select contact_id from contacts where import_id = $1 order by added", import_id
    )
    return [row["contact_id"] for row in rows]


async def test_an_import_counts_duplicates_and_forgets_them(found: Office) -> None:
    await found.import_people("a@example.com", "b@example.com")
    import_id, command = new_id(), new_id()
    rows = [
        {"contact_id": str(new_id()), "address_key": f"{email:x>32}"[:32], "person": {"email": email}}
        for email in ("b@example.com", "c@example.com")
    ]
    entry = vault.Entry(import_id, "rows-0", found.account, "import", {"rows": rows})
    await vault.put(found.desk.log_pool, [entry])
    fields = {"import_id": import_id, "chunks": 1, "rows": 2, "skipped": 3, "rejected": 4}
    answer = await found.do(ImportContacts, command_id=command, **fields)
    assert (answer.status, answer.body) == (
        201,
        {"id": str(import_id), "record_count": 1, "skipped": 4, "rejected": 4},
    )
    again = await found.do(ImportContacts, command_id=command, **fields)
    assert (again.status, again.body, again.position) == (answer.status, answer.body, answer.position)
    kept = await found.desk.log_pool.fetch("select owner, name from log.vault where kind = 'contact'")
    assert str(rows[0]["contact_id"]) not in {str(row["owner"]) for row in kept}
    assert len(kept) == 3
    assert await vault.get(found.desk.log_pool, found.account, import_id, "rows-0") is None


async def test_a_large_import_is_answered_first_and_carried_out_in_chunks(found: Office) -> None:
    import_id = await found.import_people(*(f"p{n}@example.com" for n in range(5001)))

    async def is_complete() -> bool:
        return await found.has(f"import-{import_id}", ImportCompleted)

    await found.until("the import is complete", is_complete)
    assert len(await contacts_of(found, import_id)) == 5001


async def test_an_import_is_enrolled_once_all_of_it_is_there(found: Office) -> None:
    campaign, _ = await found.campaign()
    import_id, contact, command = new_id(), new_id(), new_id()
    row = {"contact_id": str(contact), "address_key": "a" * 32, "person": {"email": "a@example.com"}}
    entry = Entry(import_id, "rows-0", found.account, "import", {"rows": [row]})
    await vault.put(found.desk.log_pool, [entry])
    async with found.desk.log_pool.acquire() as elsewhere, elsewhere.transaction():
        person = Entry(contact, "person", found.account, "contact", {"email": "a@example.com"})
        await vault.put(elsewhere, [person])  # the import waits for this
        importing = asyncio.create_task(
            found.do(ImportContacts, import_id=import_id, chunks=1, rows=1, skipped=0, rejected=0)
        )
        await found.until("it is begun", lambda: found.has(f"import-{import_id}", ImportStarted))
        with pytest.raises(NotYet) as later:
            await found.do(EnrollImport, command_id=command, campaign_id=campaign, import_id=import_id)
        assert later.value.for_long
        with pytest.raises(CampaignNotFound):
            await found.do(EnrollImport, campaign_id=new_id(), import_id=import_id)
    await importing
    answer = await found.do(EnrollImport, command_id=command, campaign_id=campaign, import_id=import_id)
    assert (answer.status, answer.body["enrolled"]) == (200, 1)


async def test_enrolling_again_lists_everybody_as_skipped(found: Office) -> None:
    import_id = await found.import_people("a@example.com", "b@example.com", "c@example.com")
    campaign, _ = await found.campaign()
    command = new_id()
    first = await found.do(EnrollImport, command_id=command, campaign_id=campaign, import_id=import_id, batch_size=2)
    assert first.body == {
        "enrolled": 3,
        "batches": 2,
        "batch_size": 2,
        "first_batch_number": 1,
        "skipped": [],
        "skipped_count": 0,
    }
    repeated = await found.do(EnrollImport, command_id=command, campaign_id=campaign, import_id=import_id, batch_size=2)
    assert (repeated.body, repeated.position) == (first.body, first.position)
    second = await found.do(EnrollImport, campaign_id=campaign, import_id=import_id)
    assert (second.body["enrolled"], second.body["batches"], second.body["first_batch_number"]) == (0, 0, None)
    assert [row["kind"] for row in second.body["skipped"]] == ["already_enrolled"] * 3


async def test_enroll_contact_refuses_and_leaves_a_row_among_the_skips(found: Office) -> None:
    import_id = await found.import_people("a@example.com", "b@example.com")
    campaign, _ = await found.campaign()
    one, other = await contacts_of(found, import_id)
    answer = await found.do(EnrollContact, campaign_id=campaign, contact_id=one, priority=True)
    assert (answer.status, answer.body["batch_number"], answer.body["status"]) == (201, 0, "pending")
    with pytest.raises(ContactAlreadyEnrolled):
        await found.do(EnrollContact, campaign_id=campaign, contact_id=one)
    await found.do(UnsubscribeContact, contact_id=other)
    with pytest.raises(ContactSkipped) as refusal:
        await found.do(EnrollContact, campaign_id=campaign, contact_id=other)
    assert refusal.value.details == {"kind": "unsubscribed"}
    assert await found.has(f"enrollment-{enrollment_id(campaign, other)}", EnrollmentSkipped)
    with pytest.raises(ContactNotFound):
        await found.do(EnrollContact, campaign_id=campaign, contact_id=new_id())
    with pytest.raises(CampaignNotFound):
        await found.do(EnrollContact, campaign_id=new_id(), contact_id=one)


async def test_a_dispatch_repeated_gives_the_same_answer(found: Office) -> None:
    import_id = await found.import_people("a@example.com", "b@example.com", "c@example.com")
    campaign, _ = await found.campaign(CampaignSettings(min_wait_seconds=10, max_wait_seconds=10))
    await found.do(EnrollImport, campaign_id=campaign, import_id=import_id)
    command = new_id()
    first = await found.do(DispatchBatch, command_id=command, campaign_id=campaign)
    again = await found.do(DispatchBatch, command_id=command, campaign_id=campaign)
    assert (first.body, first.position) == (again.body, again.position)
    assert (first.body["batch_number"], first.body["scheduled"], first.body["skipped"]) == (1, 3, 0)
    with pytest.raises(NoPendingEnrollments):
        await found.do(DispatchBatch, campaign_id=campaign)


async def test_the_next_batch_waits_until_the_one_before_it_is_planned(found: Office) -> None:
    campaign, _ = await found.campaign()
    import_id = await found.import_people("a@example.com", "b@example.com")
    await found.do(EnrollImport, campaign_id=campaign, import_id=import_id, batch_size=1)
    await found.stop_draining()
    first = BatchDispatched(campaign_id=campaign, batch_number=1, seed=1, at=found.desk.clock.now(), pending=1)
    events = [CampaignActivated(campaign_id=campaign), first]
    command = new_id()
    await found.desk.log.append(found.account, Write(f"campaign-{campaign}", None, events, command))
    with pytest.raises(NoPendingEnrollments):
        await found.do(DispatchBatch, campaign_id=campaign, batch_number=1)
    with pytest.raises(NotYet):
        await found.do(DispatchBatch, campaign_id=campaign)
    await found.do(PauseCampaign, campaign_id=campaign)
    with pytest.raises(CampaignIsPaused):
        await found.do(DispatchBatch, campaign_id=campaign)
    again = await found.do(DispatchBatch, command_id=command, campaign_id=campaign)
    assert (again.body["batch_number"], again.body["scheduled"]) == (1, 1), "a repeat is no dispatch of the next"


async def test_the_refusals_of_a_dispatch(found: Office) -> None:
    import_id = await found.import_people(*(f"p{n}@example.com" for n in range(3)))
    campaign, _ = await found.campaign(daily_limit=2)
    with pytest.raises(NoPendingEnrollments):
        await found.do(DispatchBatch, campaign_id=campaign)
    await found.do(EnrollImport, campaign_id=campaign, import_id=import_id, batch_size=2)
    await found.do(ChangePlan, monthly_limit=0)
    with pytest.raises(PlanLimitReached) as refusal:
        await found.do(DispatchBatch, campaign_id=campaign)
    assert refusal.value.details == {"current_period_sends": 0, "monthly_limit": 0}
    await found.do(ChangePlan, monthly_limit=None)
    await found.do(DispatchBatch, campaign_id=campaign)
    with pytest.raises(DailyLimitReached):
        await found.do(DispatchBatch, campaign_id=campaign)
    bare, _ = await found.campaign(credentials=0)
    with pytest.raises(NoSmtpCredentials):
        await found.do(DispatchBatch, campaign_id=bare)
    year = [StepPlan(position=n, delay_minutes=525_600, thread=False) for n in (1, 2)]
    long, _ = await found.campaign(steps=year)
    await found.do(EnrollImport, campaign_id=long, import_id=import_id)
    with pytest.raises(PlanTooLong):
        await found.do(DispatchBatch, campaign_id=long)


async def test_while_no_name_server_answers_nobody_is_skipped(found: Office) -> None:
    """The office asks at a port where nobody listens."""
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0, verify_email_mx=True)
    campaign, _ = await found.campaign(settings)
    answer = await found.dispatched(campaign, await found.import_people("a@one.example", "b@two.example"))
    assert (answer.body["scheduled"], answer.body["skipped"]) == (2, 0)


async def test_a_pause_answers_once_what_was_claimed_has_an_outcome(found: Office) -> None:
    import_id = await found.import_people("a@example.com")
    campaign, _ = await found.campaign()
    await found.dispatched(campaign, import_id)
    job = await found.job()
    await found.claim(job)
    assert (await found.do(PauseCampaign, campaign_id=campaign)).body["in_flight"] == 1
    await found.do(ResumeCampaign, campaign_id=campaign)
    await found.report(job, found.sent(job))
    assert (await found.do(PauseCampaign, campaign_id=campaign)).body["in_flight"] == 0


async def test_a_campaign_is_paused_with_its_last_credential_and_not_before(found: Office) -> None:
    import_id = await found.import_people("ada@example.com")
    campaign, credentials = await found.campaign(credentials=2)
    await found.dispatched(campaign, import_id)
    stream = f"campaign-{campaign}"
    for gone in credentials:
        assert not await found.has(stream, CampaignPaused)
        await found.do(RemoveCredential, campaign_id=campaign, credential_id=gone)

        async def is_judged() -> bool:
            return not await found.desk.work.fetchval(
                "select count(*) from todos where kind = 'pause_campaign' and done_at is null"
            )

        await found.desk.todos.reach(await found.desk.log.last_position())
        await found.until("the campaign without it is judged", is_judged)
    assert await found.has(stream, CampaignPaused)


async def test_a_change_of_a_step_keeps_the_texts_that_another_has_changed_since_it_was_asked_for(
    found: Office,
) -> None:
    campaign, _ = await found.campaign()
    old: Json = {"subject": "old", "body_html": "old", "body_text": None}

    async def say(version: int, name: str, texts: Json) -> None:
        step = STEPS[0].model_copy(update={"template_version": version})
        await vault.put(found.desk.log_pool, [Entry(campaign, step.texts, found.account, "campaign", texts)])
        for _ in range(2):  # it may come twice
            await found.do(ChangeStep, campaign_id=campaign, step=step, fields=(name,), command_id=UUID(int=version))

    await vault.put(found.desk.log_pool, [Entry(campaign, STEPS[0].texts, found.account, "campaign", old)])
    await say(7, "subject", {**old, "subject": "new"})
    await say(8, "body_html", {**old, "body_html": "new"})
    await say(9, "subject", {**old, "subject": "new"})
    kept = await vault.get_all(
        found.desk.log_pool, found.account, [campaign], [f"template-1-{number}" for number in (8, 9)]
    )
    assert kept == {campaign: {"template-1-8": {**old, "subject": "new", "body_html": "new"}}}
    changes = [event for event in await found.events(f"campaign-{campaign}") if isinstance(event, StepsChanged)]
    assert [event.steps[0].template_version for event in changes] == [7, 8]


async def test_a_change_of_a_credential_that_was_removed_leaves_its_address_alone(found: Office) -> None:
    """Message-IDs of what it mailed end with the domain of that; what a late change brings back is kept no longer."""
    campaign, (gone,) = await found.campaign()
    await found.do(RemoveCredential, campaign_id=campaign, credential_id=gone)
    late: Mapping[str, Json] = {
        "server": {"from_email": "ann@example.com", "smtp_host": "mail.example.com"},
        "secrets": {"sealed": {}},
    }
    entries = [Entry(gone, name, found.account, "credential", value) for name, value in late.items()]
    await vault.put(found.desk.log_pool, entries)
    changed = NewCredential(credential_id=gone, daily_limit=1)
    with pytest.raises(SmtpCredentialNotFound):
        await found.do(ChangeCredential, campaign_id=campaign, credential=changed)
    kept = await vault.get_all(found.desk.log_pool, found.account, [gone], list(late))
    assert kept == {gone: {"server": {"from_email": "ann@example.com"}}}


async def test_unsubscribing_ends_every_enrollment_of_the_contact(found: Office) -> None:
    import_id = await found.import_people("a@example.com")
    campaigns = [(await found.campaign())[0] for _ in range(2)]
    for campaign in campaigns:
        await found.do(EnrollImport, campaign_id=campaign, import_id=import_id)
    (contact,) = await contacts_of(found, import_id)
    answer = await found.do(UnsubscribeContact, contact_id=contact)
    assert answer.body == {"id": str(contact), "status": "unsubscribed"}
    assert (await found.do(UnsubscribeContact, contact_id=contact)).body == answer.body
    for campaign in campaigns:
        assert await found.has(f"enrollment-{enrollment_id(campaign, contact)}", EnrollmentUnsubscribed)


async def test_a_deleted_campaign_keeps_nothing_and_sends_nothing(found: Office) -> None:
    import_id = await found.import_people("a@example.com")
    campaign, (credential,) = await found.campaign()
    await vault.put(
        found.desk.log_pool,
        [
            vault.Entry(campaign, "name", found.account, "campaign", {"name": "Q2"}),
            vault.Entry(credential, "server", found.account, "credential", {"label": "L"}),
        ],
    )
    await found.dispatched(campaign, import_id)
    (contact,) = await contacts_of(found, import_id)
    assert (await found.do(DeleteCampaign, campaign_id=campaign)).status == 204
    assert await found.has(f"credential-{credential}", CredentialRemoved)
    assert await found.has(f"enrollment-{enrollment_id(campaign, contact)}", EnrollmentStopped)
    assert not await found.desk.log_pool.fetch("select from log.vault where owner = any($1)", [campaign, credential])
    assert not await found.desk.work.fetch(
        "select from todos where kind = 'send_step' and done_at is null and not held"
    )
    with pytest.raises(CampaignNotFound):
        await found.do(DeleteCampaign, campaign_id=campaign)


async def test_a_deleted_import_takes_its_people_along(found: Office) -> None:
    import_id = await found.import_people("a@example.com", "b@example.com")
    campaign, _ = await found.campaign()
    await found.dispatched(campaign, import_id)
    one, _ = await contacts_of(found, import_id)
    assert (await found.do(DeleteImport, import_id=import_id)).status == 204
    assert not await found.desk.log_pool.fetch("select from log.vault where kind = 'contact'")
    stream = f"enrollment-{enrollment_id(campaign, one)}"
    await found.until("its enrollment stops", lambda: found.has(stream, EnrollmentStopped))
    again = await found.import_people("a@example.com")
    assert len(await contacts_of(found, again)) == 1
