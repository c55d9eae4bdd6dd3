"""Prints one line for every event of an account, for ever: ``python subscriber.py NATS_URL DURABLE``.

Needs `outrider-events` and nothing else of Outrider; docs/subscribing.md says who may read what.
"""

import asyncio
import sys

from outrider.events.delivery import EmailSent
from outrider.events.inbound import ReplyReceived
from outrider.events.subscribing import subscribe


async def main(nats_url: str, durable: str) -> None:
    """Go on where the last run ended."""
    async for item in subscribe(nats_url, durable):
        match item.event:
            case EmailSent() as sent:
                said = f"step {sent.position} of {sent.enrollment_id} was accepted at {sent.sent_at}"
            case ReplyReceived() as reply:
                said = f"{reply.enrollment_id} answered step {reply.position}"
            case other:
                said = f"{other.name} on {item.stream}"
        sys.stdout.write(f"{item.position}: {said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
