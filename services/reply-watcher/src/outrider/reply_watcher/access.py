"""Access: how to get into a mailbox, from the vault, and what its server said to whoever tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from outrider.events.access_tokens import AccessTokens, uses_oauth2
from outrider.events.database import Pool
from outrider.events.message import Json
from outrider.events.service import Settings
from outrider.events.telemetry import logger
from outrider.events.vault import Opener, Unsealable, get, get_many
from outrider.reply_watcher.bearing import Bearing
from outrider.reply_watcher.imap_session import Session
from outrider.reply_watcher.imap_values import AuthFailed, Mailbox, MailboxFailed
from outrider.reply_watcher.scanning import Watched

KEEP = """
insert into log.vault (owner, name, account_id, kind, value)
select owner, 'imap_error', account_id, kind, $2 from log.vault
where owner = any($1) and name = 'server' and account_id = $3
on conflict (owner, name) do update set value = excluded.value
"""
"""Only while the credential is there: what a server said may name people, and must not outlive it."""
ADDRESSES = ("from_email", "smtp_username", "imap_username")
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """A way into a mailbox, and the credentials that name it."""

    mailbox: Mailbox
    credentials: tuple[UUID, ...]


class Access:
    """Opens mailboxes."""

    def __init__(self, settings: Settings, vault: Pool) -> None:
        """`vault` is on the log's database. Raises ValueError where the private key of the settings is none."""
        self._settings = settings
        self._vault = vault
        self._opener = Opener(settings.seal_private_key)
        self.tokens = AccessTokens(settings, vault, self._opener)
        """Of the credentials that log in with OAuth2."""

    async def enter(self, watched: Watched) -> tuple[Mailbox, Session]:
        """A session by the credential that changed last, or by the next one that is let in; another's is not hurt.

        What the server said to each is kept with it, for the gateway to show. Raises MailboxFailed: AuthFailed where
        one of them was refused.
        """
        failed: MailboxFailed = AuthFailed("no credential that can be opened names this mailbox")
        for door in await self._doors(watched):
            try:
                session = await Session.open(door.mailbox)
            except MailboxFailed as now:
                await self._keep(watched, door, now.words)
                failed = failed if isinstance(failed, AuthFailed) and isinstance(now, AuthFailed) else now
                continue
            try:
                await self._keep(watched, door, None)
            except BaseException:
                await session.close()
                raise
            return door.mailbox, session
        raise failed

    async def own_addresses(self, watched: Watched) -> frozenset[str]:
        """The addresses that mail through this mailbox's credentials, folded: what they wrote is no answer."""
        servers = await get_many(self._vault, watched.account_id, watched.credentials, "server")
        found = [about.get(name) for about in servers.values() for name in ADDRESSES]
        return frozenset(str(address).casefold() for address in found if address)

    async def mailbox_of(self, account_id: UUID, credential: UUID) -> Mailbox | None:
        """The way into the credential's mailbox; None where it has none, or none that can be opened."""
        about = await get(self._vault, account_id, credential, "server")
        sealed = await get(self._vault, account_id, credential, "secrets")
        return None if about is None or sealed is None else self._mailbox(account_id, credential, about, sealed)

    async def _doors(self, watched: Watched) -> Sequence[Door]:
        """The different ways in, the credential that changed last first."""
        servers = await get_many(self._vault, watched.account_id, watched.credentials, "server")
        sealed = await get_many(self._vault, watched.account_id, watched.credentials, "secrets")
        found: dict[Mailbox, tuple[UUID, ...]] = {}
        for credential in watched.credentials:
            if credential in servers and credential in sealed:
                mailbox = self._mailbox(watched.account_id, credential, servers[credential], sealed[credential])
                if mailbox is not None:
                    found[mailbox] = (*found.get(mailbox, ()), credential)
        return [Door(mailbox, credentials) for mailbox, credentials in found.items()]

    def _mailbox(self, account: UUID, credential: UUID, about: Json, sealed: Json) -> Mailbox | None:
        try:
            password = self._opener.open(credential, sealed).get("imap_password")
        except Unsealable:
            _log.exception("mailbox.unsealable", credential=str(credential))
            return None
        bearer = Bearing(account, credential, self.tokens) if uses_oauth2(about) else None
        if not about.get("imap_host") or (password is None and bearer is None):
            return None
        authorities = self._settings.trust_ca
        return Mailbox(
            about["imap_host"],
            about["imap_port"],
            about["imap_username"],
            password or "",
            about["imap_security"],
            self._settings.allow_insecure_hosts,
            Path(authorities) if authorities else None,
            bearer,
        )

    async def _keep(self, watched: Watched, door: Door, words: str | None) -> None:
        """The server's words stand with these credentials; None: nothing is wrong, and nothing stands there."""
        kept = await get_many(self._vault, watched.account_id, door.credentials, "imap_error")
        changed = [one for one in door.credentials if kept.get(one, {}).get("reply") != words]
        if changed:
            await self._vault.execute(KEEP, changed, {"reply": words}, watched.account_id)
