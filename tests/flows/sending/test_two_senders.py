"""Two sender processes at the same jobs, one of them killed: each step is mailed once, or shown as unknown."""

from collections import Counter

from outrider.events.delivery import DeliveryUnknown, EmailSent
from tests.support.mail import SmtpSink, Stall
from tests.support.sending import Mailing
from tests.support.system import StartSystem

CREDENTIALS = 4
PEOPLE = 10
"""For each credential."""
SETTLE = {"OUTRIDER_SETTLE_SECONDS": "1"}


async def test_a_killed_sender_doubles_nothing_and_what_it_had_in_flight_is_shown(
    start_system: StartSystem, post: Mailing, sink: SmtpSink
) -> None:
    credentials = [await post.credential(sink.port) for _ in range(CREDENTIALS)]
    people = {credential: await post.people(PEOPLE, credential) for credential in credentials}
    for credential in credentials:  # the worst moment: taken, written down, and not said
        sink.behave("accepted", Stall(), recipient=people[credential][3].email, times=1)
    jobs = [await post.job(one, credential) for credential in credentials for one in people[credential]]
    first, _ = [await start_system(services=("sender",), settings=SETTLE) for _ in range(2)]
    await post.tell(*jobs)
    stalled = {people[credential][3].email for credential in credentials}
    await sink.until(lambda: stalled <= {mail.recipient for mail in sink.messages})
    first.kill("sender")
    await post.tell(*jobs)  # as the dispatcher would after 10 minutes
    outcomes = await post.settled(*jobs, seconds=120)  # what the killed one had pulled comes again after 30 s
    taken = Counter(mail.recipient for mail in sink.messages)
    assert set(taken.values()) == {1}, "a step was mailed twice"
    sent, unknown = (
        {job.enrollment_id for job, outcome in zip(jobs, outcomes, strict=True) if isinstance(outcome, kind)}
        for kind in (EmailSent, DeliveryUnknown)
    )
    assert len(sent) + len(unknown) == len(jobs)
    enrollments = {one.email: one.enrollment for group in people.values() for one in group}
    assert {enrollments[email] for email in taken} >= sent
    assert {enrollments[email] for email in stalled} <= unknown
    assert len(unknown) <= CREDENTIALS * 2 * 2, "more than was in flight in both"
