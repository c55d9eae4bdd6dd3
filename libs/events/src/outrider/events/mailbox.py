"""Mailbox: whether a credential's mailbox lets us in. Written only by the reply-watcher, a stream a credential."""

from uuid import UUID

from outrider.events.message import Event


class MailboxRefused(Event):
    """The log-in was refused: nothing is read until it is changed; what the server said lies in the vault."""

    credential_id: UUID
    mailbox_id: UUID


class MailboxOpened(Event):
    """A mailbox that had refused the log-in lets us in again."""

    credential_id: UUID
    mailbox_id: UUID
