"""`python -m tests.readers --events 20000`: how fast each projection reads a log in which event types alternate.

The last line is one JSON object: events a second by log and projection.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count, groupby, islice
from time import monotonic
from uuid import UUID

from rich.console import Console
from rich.table import Table

from outrider.events.clock import real_clock
from outrider.events.contact import AddressReserved, ContactAdded
from outrider.events.credential import QuotaClaimed
from outrider.events.database import connect
from outrider.events.delivery import DeliveryStarted, EmailSent
from outrider.events.enrollment import EnrollmentCreated
from outrider.events.ids import new_id
from outrider.events.log import Log, Write
from outrider.events.message import Event
from outrider.events.outreach import OutreachContactReserved
from outrider.events.projector import Projection, Reader, caught_up
from outrider.local.rebuild import PROJECTIONS
from tests.support import servers as support

CHUNK = 250
CLAIMED = 5
"""So many messages of one credential are claimed together."""
SINGLY = 15
"""So many are mailed one by one at first."""
ONE_BY_ONE = 60
"""So many events are read one by one at first."""
ACCOUNT, CAMPAIGN, CREDENTIAL, OUTREACH = (UUID(int=number) for number in range(1, 5))
Streams = Iterator[tuple[str, Event]]


def imported() -> Streams:
    """A contact and the reservation of its address, in turn."""
    while True:
        contact = new_id()
        key = contact.hex
        yield f"contact-{contact}", ContactAdded(contact_id=contact, import_id=None, address_key=key)
        yield f"address-{key}", AddressReserved(address_key=key, contact_id=contact)


def enrolled() -> Streams:
    """An enrollment and the reservation of its contact, in turn."""
    while True:
        ids = {"enrollment_id": new_id(), "contact_id": new_id()}
        reserved = OutreachContactReserved(**ids, outreach_id=OUTREACH)
        its = {**ids, "campaign_id": CAMPAIGN, "batch_number": 1, "outreach_id": OUTREACH}
        created = EnrollmentCreated.model_validate(its)
        yield f"enrollment-{created.enrollment_id}", created
        yield f"outreachContact-{OUTREACH}+{reserved.contact_id}", reserved


def sent() -> Streams:
    """Some enroll; each of them is claimed, with the quota of a few, and mailed. At first one, then many at a time."""
    now, day = datetime.now(UTC), f"credentialDay-{CREDENTIAL}+2026-11-23"
    of_all = {"campaign_id": CAMPAIGN, "credential_id": CREDENTIAL, "position": 1, "attempt": 1, "planned_at": now}
    for number in count():
        lives = [
            {name: new_id() for name in ("delivery_id", "enrollment_id", "contact_id")}
            for _ in range(1 if number < SINGLY else CHUNK)
        ]
        for life in lives:
            its = {name: life[name] for name in ("enrollment_id", "contact_id")}
            created = EnrollmentCreated.model_validate({**its, "campaign_id": CAMPAIGN, "batch_number": 1})
            yield f"enrollment-{created.enrollment_id}", created
        for life in lives:
            claim = {"claim": new_id(), "day": now.date(), "counted": True, "template_version": 1}
            yield f"delivery-{life['delivery_id']}", DeliveryStarted.model_validate({**life, **of_all, **claim})
        for _ in range(0, len(lives), CLAIMED):
            yield day, QuotaClaimed(credential_id=CREDENTIAL, day=now.date(), deliveries=(), counted=CLAIMED)
        for life in lives:
            outcome = EmailSent.model_validate({**life, **of_all, "sent_at": now, "status_code": "250"})
            yield f"delivery-{life['delivery_id']}", outcome


async def record(urls: Mapping[str, str], found: Streams, events: int) -> None:
    """The log has so many of them, in their order."""
    pools = {name: await connect(urls[f"outrider_{name}"], "log", size=1) for name in ("dispatcher", "sender")}
    logs = {name: Log(pool, real_clock()) for name, pool in pools.items()}
    for writer, its in groupby(islice(found, events), key=lambda pair: writer_of(pair[0])):
        while chunk := list(islice(its, CHUNK)):
            runs: list[dict[str, list[Event]]] = [{}]
            for stream, event in chunk:  # a group writes each of its streams once
                if stream in runs[-1]:
                    runs.append({})
                runs[-1][stream] = [event]
            for run in runs:
                writes = [Write(stream, None, said, new_id()) for stream, said in run.items()]
                await logs[writer].append(ACCOUNT, *writes)
    for pool in pools.values():
        await pool.close()


def writer_of(stream: str) -> str:
    """Which service may write it."""
    return "sender" if stream.startswith(("delivery", "credentialDay")) else "dispatcher"


async def read(urls: Mapping[str, str], projection: Projection) -> float:
    """Seconds that the projection takes for what it has not read one by one of the log.

    So a service begins: statements are planned for the few rows that it reads at first.
    """
    schema = projection.name.partition(".")[0]
    url = urls[f"outrider_{schema}"]
    log, tables = await connect(url, "log", size=1), await connect(url, schema, size=1)
    reader = Reader(projection, Log(log, real_clock()), tables)
    for _ in range(ONE_BY_ONE):
        await reader.catch_up(1)
    begun = monotonic()
    await caught_up(reader)
    seconds = monotonic() - begun
    await log.close()
    await tables.close()
    return seconds


async def run(events: int, kinds: Sequence[str]) -> dict[str, dict[str, int]]:
    """Answer events a second by log and projection."""
    found: dict[str, dict[str, int]] = {}
    with support.running() as servers:
        async with support.template(servers) as admin:
            for kind in kinds:
                async with support.database(servers, admin) as url:
                    urls = servers.role_urls(url)
                    await record(urls, LOGS[kind](), events)
                    left = events - ONE_BY_ONE
                    found[kind] = {name: round(left / await read(urls, its)) for name, its in PROJECTIONS.items()}
    return found


LOGS = {"imported": imported, "enrolled": enrolled, "sent": sent}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench-readers", description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--logs", nargs="*", choices=tuple(LOGS), default=tuple(LOGS))
    given = parser.parse_args()
    figures = asyncio.run(run(given.events, given.logs))
    shown = Table("events/s", *figures)
    for name in PROJECTIONS:
        shown.add_row(name, *(f"{figures[kind][name]:,}" for kind in figures))
    Console(highlight=False).print(shown)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
