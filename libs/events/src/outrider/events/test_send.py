"""Test send: every step of a campaign to addresses that its owner names, once, outside all counts.

Written only by the sender. The addresses, and what servers said, lie in the vault under the command, for a day.
"""

from uuid import UUID

from outrider.events.errors import Refused
from outrider.events.message import Command, Event


class SendTest(Command, category="testSend"):
    """Mail every step to each address; its id is the test's."""

    campaign_id: UUID
    contact_id: UUID | None = None
    """Whose merge values; None: those of a sample person."""

    @property
    def target(self) -> str:
        """Itself: no other command waits for it."""
        return f"testSend-{self.command_id}"


class TestSendStarted(Event):
    """Its messages are mailed by whoever recorded this, and by nobody ever after."""

    test_id: UUID
    campaign_id: UUID
    credential_id: UUID
    messages: int


class TestSendEnded(Event):
    """So many of its messages were accepted by a server; of the others it is not known, or known that they were not."""

    test_id: UUID
    campaign_id: UUID
    accepted: int
    failed: int


class NoEmailsProvided(Refused, status=422, code="no_emails_provided"):
    """There is no address to send a test to."""
