"""Several replicas of the sender: a credential's limit is met exactly, and claims hardly ever collide."""

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack

import asyncpg
import pytest

from outrider.events.delivery import DeliveryDeferred, EmailSent
from outrider.events.telemetry import APPENDS
from tests.support.mail import SmtpSink
from tests.support.sending import Mailing, StartSender

REPLICAS = 4
LIMIT = 8
PEOPLE = 20
CREDENTIALS = int(os.environ.get("OUTRIDER_TEST_CREDENTIALS", "60"))
"""2,000 take two minutes."""


def appends(verdict: str) -> float:
    """How many groups of events this process was given that verdict for."""
    return APPENDS.labels(verdict)._value.get()  # type: ignore[no-any-return]  # noqa: SLF001  # prometheus has no getter


@pytest.mark.parametrize("owned", [True, False])
async def test_the_limit_of_a_credential_is_met_exactly_by_any_number_of_replicas(
    owned: bool,  # noqa: FBT001  # whether one replica alone takes from the partition
    start: StartSender,
    post: Mailing,
    sink: SmtpSink,
    urls: Mapping[str, str],
) -> None:
    credential = await post.credential(sink.port, daily_limit=LIMIT)
    jobs = [await post.job(one, credential) for one in await post.people(PEOPLE, credential)]
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(urls["owner"])
        stack.push_async_callback(owner.close)
        if not owned:  # nobody ever holds a lease for long: every replica takes from every partition
            await owner.execute(
                "create function log.forget() returns trigger language plpgsql as "
                "$$ begin new.until = clock_timestamp(); return new; end $$; "
                "create trigger forget before insert or update on log.leases "
                "for each row when (new.name like 'send-%') execute function log.forget()"
            )
        for _ in range(REPLICAS):
            await stack.enter_async_context(start())
        await post.tell(*jobs)
        await sink.until(lambda: len(sink.messages) >= LIMIT)
        await post.handed_out()
        assert await post.used(credential) == LIMIT
        await owner.execute("drop trigger if exists forget on log.leases")
    assert len(sink.messages) == LIMIT
    assert set(Counter(mail.recipient for mail in sink.messages).values()) == {1}
    histories = [await post.of(job) for job in jobs]
    assert sum(any(isinstance(event, EmailSent) for event in history) for history in histories) == LIMIT
    left = [history for history in histories if not any(isinstance(event, EmailSent) for event in history)]
    assert not any(isinstance(event, DeliveryDeferred) for history in left for event in history), "one was given up"


async def test_claims_of_many_credentials_hardly_ever_collide(
    start: StartSender, post: Mailing, sink: SmtpSink
) -> None:
    credentials = [await post.credential(sink.port) for _ in range(CREDENTIALS)]
    people = await post.people(CREDENTIALS, credentials[0])
    jobs = [await post.job(one, credential) for one, credential in zip(people, credentials, strict=True)]
    async with start(), start(), start(), start():
        before = appends("conflict")
        await post.tell(*jobs)
        await post.settled(*jobs, seconds=240)
        conflicts = appends("conflict") - before
    assert len(sink.messages) == CREDENTIALS
    print(f"{conflicts:.0f} of {CREDENTIALS} claims met a conflict")  # noqa: T201  # the figure, with -s
    assert conflicts <= max(1, CREDENTIALS / 100), "partitions moving at the start may make two replicas meet, once"
