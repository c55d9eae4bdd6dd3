"""Verifying: whether a credential's IMAP server lets it in, asked over the bus and answered at once."""

import asyncio
from typing import Final

from outrider.events.inquiries import Inquiry
from outrider.events.vault import without_secrets
from outrider.reply_watcher.access import Access
from outrider.reply_watcher.imap_advice import advice
from outrider.reply_watcher.imap_session import Session
from outrider.reply_watcher.imap_values import AuthFailed, MailboxFailed

SECONDS: Final = 25.0
"""Less than whoever asks waits."""


class Verifying:
    """Logs in to IMAP servers for those who ask."""

    def __init__(self, access: Access) -> None:
        """`access` opens the passwords."""
        self._access = access

    async def verify(self, inquiry: Inquiry) -> str:
        """Empty where the log-in works, else why not, without a secret in it. Reads nothing."""
        mailbox = await self._access.mailbox_of(inquiry.account_id, inquiry.subject_id)
        if mailbox is None:
            return "There is no mailbox of this credential, or its password cannot be opened: set it again."
        self._access.tokens.forget(inquiry.subject_id)  # one that is kept would say nothing about the grant
        try:
            async with asyncio.timeout(SECONDS):
                async with await Session.open(mailbox, SECONDS):
                    return ""
        except TimeoutError:
            return "The server did not answer in time."
        except AuthFailed as refused:
            words = without_secrets(refused.words, mailbox.username, mailbox.password)
            return f"{words} {advice(mailbox.host, words, with_token=mailbox.bearer is not None)}"
        except MailboxFailed as failed:
            return without_secrets(failed.words, mailbox.username, mailbox.password)
