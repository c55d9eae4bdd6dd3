"""Verifying: whether a credential's SMTP server lets it in, asked over the bus and answered at once."""

import asyncio
from typing import Final

from outrider.events.inquiries import Inquiry
from outrider.events.telemetry import logger
from outrider.events.vault import Unsealable, without_secrets
from outrider.sender import smtp
from outrider.sender.letters import Letters

SECONDS: Final = 25.0
"""Less than whoever asks waits."""
_log = logger(__name__)


class Verifying:
    """Logs in to SMTP servers for those who ask."""

    def __init__(self, letters: Letters) -> None:
        """`letters` open the passwords."""
        self._letters = letters

    async def verify(self, inquiry: Inquiry) -> str:
        """Empty where the log-in works, else why not, without a secret in it. Sends no message."""
        try:
            mailer = await self._letters.mailer(inquiry.account_id, inquiry.subject_id)
        except Unsealable:
            _log.exception("verify.unsealable", credential=str(inquiry.subject_id))
            return "The password cannot be opened: set it again."
        if mailer is None:
            return "There is no such credential any more."
        self._letters.tokens.forget(inquiry.subject_id)  # one that is kept would say nothing about the grant
        async with asyncio.timeout(SECONDS + 1):
            reason = await smtp.verify(mailer.server, SECONDS)
        return "" if reason is None else without_secrets(reason, mailer.server.username, mailer.server.password)
