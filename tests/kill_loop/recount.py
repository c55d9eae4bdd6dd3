"""What `GET /campaigns/:id` must show, counted once more from the log alone."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from outrider.events.delivery import DeliveryEvent, DeliveryResolved, DeliveryUnknown, EmailBounced, EmailSent
from outrider.events.engagement import EmailOpened
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepsScheduled,
)
from outrider.events.inbound import BounceReceived, OptOutReceived, ReplyReceived
from outrider.events.message import Event, Recorded
from tests.kill_loop.checks import lives

Json = Mapping[str, object]
TOTALS = ("pending", "sent", "opened", "replied", "bounced")


@dataclass
class Person:
    """One enrollment."""

    campaign: UUID
    batch: int
    credential: UUID | None = None
    marks: set[str] = field(default_factory=set[str])

    def counts(self) -> Counter[str]:
        """Answer to which totals it adds one."""
        sent = bool(self.marks & {"sent", "replied", "bounced"})
        found = Counter({name: 1 for name in TOTALS[2:] if name in self.marks})
        found["sent"] = int(sent)
        found["pending"] = int(not sent and not self.marks & {"unsubscribed", "stopped", "finished"})
        return found


MARKS: Mapping[type[Event], str] = {
    EmailSent: "sent",
    DeliveryUnknown: "sent",
    EmailOpened: "opened",
    ReplyReceived: "replied",
    EnrollmentReplied: "replied",
    EmailBounced: "bounced",
    BounceReceived: "bounced",
    EnrollmentBounced: "bounced",
    EnrollmentUnsubscribed: "unsubscribed",
    OptOutReceived: "unsubscribed",
    EnrollmentStopped: "stopped",
    EnrollmentSkipped: "stopped",
    EnrollmentFinished: "finished",
}
"""What an event makes of its enrollment."""


def _counts(event: Event) -> bool:
    """Answer whether it makes anything of it: a robot's open does not, nor a reply that is only suspected."""
    match event:
        case EmailOpened():
            return event.counts
        case ReplyReceived():
            return not event.suspected
        case EnrollmentSkipped():
            return event.at_dispatch
        case _:
            return True


def people(log: Sequence[Recorded[Event]]) -> dict[UUID, Person]:
    """Answer every enrollment."""
    found: dict[UUID, Person] = {}
    for item in log:
        event = item.event
        if isinstance(event, EnrollmentCreated):
            found[event.enrollment_id] = Person(event.campaign_id, event.batch_number)
        elif isinstance(event, StepsScheduled):
            found[event.enrollment_id].credential = event.credential_id
        elif type(event) in MARKS and _counts(event):
            found[cast("EmailSent", event).enrollment_id].marks.add(MARKS[type(event)])
    return found


def recount(log: Sequence[Recorded[Event]]) -> dict[UUID, Json]:
    """Answer by campaign what its page must show, as far as `shown` reads it."""
    totals: dict[UUID, Counter[str]] = defaultdict(Counter)
    batches: dict[UUID, dict[int, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    bounces: Counter[UUID] = Counter()
    for person in people(log).values():
        totals[person.campaign] += person.counts()
        batches[person.campaign][person.batch] += person.counts()
        totals[person.campaign].update(person.marks & {"unsubscribed", "finished"})
        if person.credential is not None and "bounced" in person.marks:
            bounces[person.credential] += 1
    sends: dict[UUID, Counter[UUID]] = defaultdict(Counter)
    for life in lives(log).values():
        if life.last in {EmailSent, DeliveryUnknown, DeliveryResolved, EmailBounced}:
            event: DeliveryEvent = life.events[-1].event
            sends[event.campaign_id][event.credential_id] += 1
            totals[event.campaign_id]["emails_sent"] += life.last is not EmailBounced
    return {
        campaign: {
            "totals": {name: counted[name] for name in TOTALS},
            "batches": {
                batch: {name: one[name] for name in TOTALS} for batch, one in sorted(batches[campaign].items())
            },
            "credentials": {credential: (n, bounces[credential]) for credential, n in sends[campaign].items()},
            **{name: counted[name] for name in ("emails_sent", "unsubscribed", "finished")},
        }
        for campaign, counted in totals.items()
    }


def shown(page: Json) -> Json:
    """Answer the same of a page."""
    rows = cast("list[dict[str, int]]", page["per_batch"])
    credentials = cast("list[dict[str, object]]", page["credentials"])
    totals = cast("dict[str, int]", page["totals"])
    return {
        "totals": {name: totals[name] for name in TOTALS},
        "batches": {row["batch_number"]: {name: row[name] for name in TOTALS} for row in rows},
        "credentials": {UUID(str(one["id"])): (one["sends"], one["bounces"]) for one in credentials if one["sends"]},
        **{name: page[name] for name in ("emails_sent", "unsubscribed", "finished")},
    }


def differences(log: Sequence[Recorded[Event]], pages: Mapping[str, Mapping[UUID, Json]]) -> Iterator[str]:
    """Answer where a gateway shows something else than the log says."""
    counted = recount(log)
    for gateway, campaigns in pages.items():
        for campaign, page in campaigns.items():
            told = shown(page)
            for name, ours in counted[campaign].items():
                if told[name] != ours:
                    yield f"{gateway} shows {name} {told[name]} of campaign {campaign}, the log says {ours}"
