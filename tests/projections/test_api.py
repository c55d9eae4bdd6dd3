"""The api's tables: what a campaign shows, and that it is the same however the events came."""

from collections.abc import Mapping
from datetime import date

from outrider.api.enrollments import REPLIES
from outrider.api.queries_campaigns import ONE, rates
from outrider.events.account import AccountClosed
from outrider.events.campaign import (
    CampaignChanged,
    CampaignCompleted,
    CampaignDeleted,
    CampaignPaused,
    CampaignReopened,
    CampaignResumed,
    CampaignSettings,
    RetimedStep,
    StepsRetimed,
)
from outrider.events.contact import (
    AddressSuppressed,
    ContactDeleted,
    ContactForgotten,
    ContactUnsubscribed,
    ImportDeleted,
    ImportFailed,
)
from outrider.events.credential import CredentialDisabled, CredentialReenabled, QuotaReleased
from outrider.events.delivery import DeliveryDeferred, DeliveryFailed, DeliveryResolved, EmailSent
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepReopened,
)
from outrider.events.ids import delivery_id, new_id
from outrider.events.inbound import BounceReceived, OptOutReceived
from outrider.events.mailbox import MailboxOpened, MailboxRefused
from outrider.events.message import Event
from outrider.events.outreach import OutreachCreated
from outrider.events.webhook import WebhookRegistered
from tests.support.api_events import (
    ACCOUNT,
    CAMPAIGN,
    CREDENTIAL,
    IMPORT,
    Facts,
    at,
    contact,
    enrollment,
    facts,
)


async def the_seeds_campaign(found: Facts) -> None:
    """150 enrolled; 50 of them got two messages each: 20 opened, 3 replied, 5 bounced."""
    await found.begin(150)
    await found.dispatch(range(50))
    for number in range(50):
        await found.settle(number, 1)
    for number in range(20):
        await found.open(number)
    for number in range(50):
        await found.settle(number, 2, "bounced" if number in {40, 41} else "sent")
    for number in (42, 43, 44):
        await found.come_back(number, 2)
    for number in (0, 1, 2):
        await found.reply(number, 2)


async def test_a_campaign_shows_the_figures_of_the_seed(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await the_seeds_campaign(found)
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        totals = {name: row[name] for name in ("pending", "sent", "opened", "replied", "bounced")}
        assert totals == {"pending": 100, "sent": 50, "opened": 20, "replied": 3, "bounced": 5}
        assert row["sends"] == 100
        assert row["accepted"] == 98
        assert rates(row) == {"bounce_rate": 5.0, "open_rate": 40.0, "reply_rate": 6.0}
        batch = await found.row("select * from batches where campaign_id = $1 and batch_number = 1", CAMPAIGN)
        assert (batch["pending"], batch["sent"], batch["bounced"]) == (0, 50, 5)
        day = await found.row("select * from credential_days where credential_id = $1 order by day", CREDENTIAL)
        assert (day["day"], day["claimed"], day["accepted"]) == (date(2026, 3, 2), 50, 50)
        credential = await found.row("select * from credential_counts where credential_id = $1", CREDENTIAL)
        assert (credential["sends"], credential["bounces"]) == (100, 5)
        assert (await found.row("select sends from usage where account_id = $1", ACCOUNT))["sends"] == 98


async def a_full_life(found: Facts) -> None:
    """At least one event of nearly every type, some of them twice, some against the stream."""
    await the_seeds_campaign(found)
    campaign, stream = f"campaign-{CAMPAIGN}", f"credential-{CREDENTIAL}"
    changed = CampaignChanged(campaign_id=CAMPAIGN, settings=CampaignSettings(max_wait_seconds=500))
    paused, resumed = CampaignPaused(campaign_id=CAMPAIGN), CampaignResumed(campaign_id=CAMPAIGN)
    await found.record("dispatcher", campaign, changed, paused, resumed, CampaignCompleted(campaign_id=CAMPAIGN))
    disabled = CredentialDisabled(credential_id=CREDENTIAL, campaign_id=CAMPAIGN, reason="auth_failed")
    enabled = CredentialReenabled(credential_id=CREDENTIAL, campaign_id=CAMPAIGN)
    await found.record("dispatcher", stream, disabled, enabled)
    shut, opened = (kind(credential_id=CREDENTIAL, mailbox_id=CREDENTIAL) for kind in (MailboxRefused, MailboxOpened))
    await found.record("reply_watcher", f"mailbox-{CREDENTIAL}", shut, opened, shut)
    await found.dispatch(range(50, 60), batch_number=2)
    await found.settle(50, 1, "unknown")
    await found.settle(51, 1, "bounced")
    await found.settle(51, 2, "bounced")
    await found.start(52, 1)
    await found.open(50, counts=False)
    await found.click(50, counts=False)
    for number in (0, 1, 1):
        await found.click(number)
    await found.come_back(50, 1)
    await found.reply(51, 1)
    for number, ended in enumerate(_ends(), 50):
        await found.record("dispatcher", f"enrollment-{enrollment(number)}", ended)
    await _deferred_and_failed(found)
    gone = ContactDeleted(contact_id=contact(3), address_key="x")
    forgotten = ContactForgotten(contact_id=contact(3), removed={"values": 2}, suppressed=True)
    await found.record("dispatcher", f"contact-{contact(3)}", gone, forgotten)
    asked = ContactUnsubscribed(contact_id=contact(4), delivery_id=delivery_id(enrollment(4), 1))
    await found.record("dispatcher", f"contact-{contact(4)}", asked)
    await found.record("dispatcher", f"import-{IMPORT}", ImportDeleted(import_id=IMPORT))
    failed = ImportFailed(import_id=new_id())
    await found.record("dispatcher", f"import-{failed.import_id}", failed)
    await found.record("dispatcher", campaign, CampaignDeleted(campaign_id=CAMPAIGN))
    barred = AddressSuppressed(address_key="y" * 32, suppression_id=new_id())
    await found.record("dispatcher", f"address-{barred.address_key}", barred)
    shared = OutreachCreated(outreach_id=new_id(), unique_contacts=True)
    await found.record("dispatcher", f"outreach-{shared.outreach_id}", shared)
    heard = WebhookRegistered(webhook_id=new_id(), event_filters=("*",))
    await found.record("api", f"webhook-{heard.webhook_id}", heard)
    await found.record("dispatcher", f"account-{ACCOUNT}", AccountClosed(account_id=ACCOUNT))


def _ends() -> list[Event]:
    """One of each kind, of the enrollments from number 50."""
    said = [
        {"enrollment_id": enrollment(number), "campaign_id": CAMPAIGN, "contact_id": contact(number)}
        for number in range(50, 60)
    ]
    answered = {"credential_id": CREDENTIAL, "delivery_id": None, "step_position": None}
    refused = {"kind": "hard", "status_code": "550", "reason": "user_unknown", "bounced_at": at(3)}
    return [
        EnrollmentBounced.model_validate({**said[0], **answered, **refused}),
        EnrollmentReplied.model_validate({**said[1], **answered, "replied_at": at(2), "inbound": new_id()}),
        EnrollmentFinished.model_validate(said[2]),
        EnrollmentStopped.model_validate({**said[3], "reason": "failed"}),
        EnrollmentUnsubscribed.model_validate(said[4]),
        EnrollmentSkipped.model_validate({**said[5], "kind": "mx_invalid", "at_dispatch": True}),
        EnrollmentSkipped.model_validate({**said[6], "kind": "already_enrolled"}),
    ]


async def _deferred_and_failed(found: Facts) -> None:
    """Number 57 is put off, sent in the end, and resolved by hand; number 58 fails."""
    said = found.delivery(57, 1).model_dump()
    stream = f"delivery-{said['delivery_id']}"
    planned = await found.start(57, 1)
    put_off = DeliveryDeferred(
        **said, by="recipient_server", status_code="451", not_before=at(5), first_attempt_at=planned
    )
    await found.record("sender", stream, put_off)
    released = QuotaReleased(credential_id=CREDENTIAL, day=planned.date(), deliveries=(said["delivery_id"],), counted=1)
    await found.record("sender", f"credentialDay-{CREDENTIAL}+{planned.date()}", released)
    await found.start(57, 1)
    sent = EmailSent(**said, planned_at=planned, sent_at=at(5), status_code="250")
    resolved = DeliveryResolved(**said, outcome="not_sent", at=at(6))
    await found.record("sender", stream, sent, resolved)
    steps = (RetimedStep(enrollment_id=enrollment(57), position=2, at=at(100)),)
    moved = StepsRetimed(campaign_id=CAMPAIGN, reason="sent_late", steps=steps)
    await found.record("dispatcher", f"plan-{CAMPAIGN}", moved)
    await found.start(58, 1)
    failed = found.delivery(58, 1).model_dump()
    await found.record("sender", f"delivery-{failed['delivery_id']}", DeliveryFailed(**failed, status_code="451"))


async def test_the_tables_come_out_the_same_whether_run_on_again_or_rebuilt(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await a_full_life(found)
        await found.catch_up()
        once = await found.dump()
        assert all(once.values())
        await found.catch_up()
        assert await found.dump() == once
        await found.forget()
        await found.catch_up(7)
        assert await found.dump() == once


async def test_a_batch_number_that_the_log_holds_is_shown_however_high(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(0)
        await found.enroll(0, 2**31)
        await found.dispatch(range(1), batch_number=2**31)
        await found.catch_up()
        batch = await found.row("select * from batches where campaign_id = $1", CAMPAIGN)
        assert (batch["batch_number"], batch["pending"], batch["dispatched_at"] is not None) == (2**31, 1, True)


async def test_who_clicked_is_counted_once(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await a_full_life(found)
        await found.catch_up()
        assert await found.tables.fetchval("select clicked from campaign_counts where campaign_id = $1", CAMPAIGN) == 2


async def test_an_end_is_shown_as_it_came(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await a_full_life(found)
        await found.catch_up()
        rows = await found.tables.fetch(
            "select status, ended_at is not null as ended from enrollments "
            "where enrollment_id = any($1) order by array_position($1, enrollment_id)",
            [enrollment(number) for number in range(50, 60)],
        )
        assert [row["status"] for row in rows] == [
            *("bounced", "bounced", "scheduled", "failed", "unsubscribed", "skipped"),
            *("scheduled", "scheduled", "scheduled", "scheduled"),
        ]
        assert [row["ended"] for row in rows] == [True] * 6 + [False] * 4


async def test_a_suspected_reply_is_shown_and_counted_apart_until_a_sure_one_comes(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(3)
        await found.dispatch(range(3))
        for number in range(3):
            await found.settle(number, 1)
            await found.reply(number, 1, suspected=True, stops=number < 2)
        said = {"enrollment_id": enrollment(0), "campaign_id": CAMPAIGN, "contact_id": contact(0)}
        ended = EnrollmentReplied.model_validate(
            said
            | {"credential_id": CREDENTIAL, "delivery_id": None, "step_position": 1, "replied_at": at(2)}
            | {"inbound": new_id(), "suspected": True}
        )
        await found.record("dispatcher", f"enrollment-{enrollment(0)}", ended)
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["replied"], row["suspected_replies"]) == (0, 3)
        status = await found.row("select status, replied_at from enrollments where enrollment_id = $1", enrollment(0))
        assert (status["status"], status["replied_at"]) == ("replied", at(2))
        await found.reply(0, 1)
        await found.reply(1, 1)
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["replied"], row["suspected_replies"]) == (2, 1)
        batch = await found.row("select replied from batches where campaign_id = $1", CAMPAIGN)
        assert batch["replied"] == 2
        once = await found.dump()
        await found.forget()
        await found.catch_up(2)
        assert await found.dump() == once


async def test_a_withdrawn_verdict_is_uncounted_everywhere(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(3)
        await found.dispatch(range(3))
        for number in range(3):
            await found.settle(number, 1)
        await found.reply(0, 1)
        hard = {"kind": "hard", "status_code": "5.1.1", "reason": "user_unknown"}
        said = found.delivery(1, 1).model_dump(exclude={"attempt"})
        await found.record(
            "reply_watcher",
            f"inbound-{enrollment(1)}",
            BounceReceived.model_validate({**said, "received_at": at(1), **hard}),
        )
        said = found.delivery(2, 1).model_dump(exclude={"attempt"})
        opted = OptOutReceived.model_validate({**said, "received_at": at(1)})
        await found.record("reply_watcher", f"inbound-{enrollment(2)}", opted)
        asked = ContactUnsubscribed(contact_id=contact(2), delivery_id=delivery_id(enrollment(2), 1))
        await found.record("dispatcher", f"contact-{contact(2)}", asked)
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["replied"], row["bounced"], row["unsubscribed"]) == (1, 1, 1)

        inbound = new_id()
        for number, was, reply in ((0, "reply", False), (1, "bounce", True), (2, "opt_out", False)):
            await found.withdraw(number, was, inbound, reply=reply)
        await found.catch_up()
        row = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (row["replied"], row["bounced"], row["unsubscribed"]) == (1, 0, 0)
        counted = await found.row("select bounces from credential_counts where credential_id = $1", CREDENTIAL)
        assert counted["bounces"] == 0
        rows = await found.tables.fetch("select status, ended_at is null as runs from enrollments order by position")
        assert [tuple(row.values()) for row in rows] == [("sent", True), ("replied", False), ("sent", True)]
        rows = await found.tables.fetch("select unsubscribed_at, bounced_at, bounce_reason from contacts")
        assert {tuple(row.values()) for row in rows} == {(None, None, None)}
        [answer] = await found.tables.fetch("select enrollment_id, inbound from replies")
        assert tuple(answer.values()) == (enrollment(1), inbound)
        once = await found.dump()
        await found.forget()
        await found.catch_up(3)
        assert await found.dump() == once


async def test_what_was_resolved_as_not_sent_counts_no_more(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(58)
        await found.dispatch(range(50, 58), batch_number=2)
        await found.settle(57, 1, "unknown")
        await found.catch_up()
        before = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (before["pending"], before["sent"], before["accepted"]) == (57, 1, 1)
        resolved = DeliveryResolved(**found.delivery(57, 1).model_dump(), outcome="not_sent", at=at(6))
        await found.record("sender", f"delivery-{resolved.delivery_id}", resolved)
        await found.catch_up()
        after = await found.row(ONE, ACCOUNT, CAMPAIGN)
        assert (after["pending"], after["sent"], after["accepted"]) == (58, 0, 0)
        again = StepReopened.model_validate(
            {**resolved.model_dump(), "enrollment_id": enrollment(57), "attempt": 2, "at": at(7)}
        )
        await found.record("dispatcher", f"enrollment-{enrollment(57)}", again)
        await found.catch_up()
        plan = await found.row("select open from planned_steps where enrollment_id = $1", enrollment(57))
        assert plan["open"]
        ends = CampaignCompleted(campaign_id=CAMPAIGN), CampaignReopened(campaign_id=CAMPAIGN)
        await found.record("dispatcher", f"campaign-{CAMPAIGN}", *ends)
        await found.catch_up()
        assert (await found.row(ONE, ACCOUNT, CAMPAIGN))["completed_at"] is None


async def test_an_answer_that_proves_a_send_is_counted_from_when_it_went_out(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        await found.begin(1)
        await found.dispatch(range(1))
        await found.settle(0, 1, "unknown")
        await found.reply(0, 1)
        said = found.delivery(0, 1)
        resolved = DeliveryResolved(**said.model_dump(), outcome="sent", at=at(9))
        await found.record("sender", f"delivery-{resolved.delivery_id}", resolved)
        await found.catch_up()
        rows = await found.tables.fetch(REPLIES, CAMPAIGN, 2**62, 2)
        assert [(row["step_position"], row["replied_at"] - row["answered_at"]) for row in rows] == [
            (1, at(0.5) - at(0))
        ]
