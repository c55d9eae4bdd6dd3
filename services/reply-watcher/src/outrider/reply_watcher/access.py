"""Access: how to get into a mailbox, from the vault, and what its server said to whoever tried."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import UUID, uuid5

from outrider.events.access_tokens import AccessTokens, uses_oauth2
from outrider.events.database import Pool
from outrider.events.errors import Conflict
from outrider.events.log import Log, Write
from outrider.events.mailbox import MailboxOpened, MailboxRefused
from outrider.events.message import Json
from outrider.events.service import Settings
from outrider.events.telemetry import logger
from outrider.events.vault import Opener, Unsealable, get, get_many
from outrider.reply_watcher.bearing import Bearing
from outrider.reply_watcher.imap_advice import advice
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
SHUT_SECONDS: Final = 3600.0
"""Where others of a mailbox are let in, a credential that was refused is left alone for so long."""
ADDRESSES = ("from_email", "smtp_username", "imap_username")
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Door:
    """A way into a mailbox, and the credentials that name it."""

    mailbox: Mailbox
    credentials: tuple[UUID, ...]


class Access:
    """Opens mailboxes."""

    def __init__(self, settings: Settings, vault: Pool, log: Log) -> None:
        """`vault` is on the log's database. Raises ValueError where the private key of the settings is none."""
        self._settings = settings
        self._vault = vault
        self._log = log
        self._shut: dict[Mailbox, float] = {}
        self._opener = Opener(settings.seal_private_key)
        self.tokens = AccessTokens(settings, vault, self._opener)
        """Of the credentials that log in with OAuth2."""

    async def enter(self, watched: Watched) -> tuple[Mailbox, Session]:
        """A session by the credential that changed last, or by the next one that is let in; another's is not hurt.

        What the server said to each is kept with it, for the gateway to show. Raises MailboxFailed: AuthFailed where
        one of them was refused.
        """
        failed: MailboxFailed = AuthFailed("no credential that can be opened names this mailbox")
        for door in self._worth_trying(await self._doors(watched)):
            try:
                session = await Session.open(door.mailbox)
            except MailboxFailed as now:
                await self._refused(watched, door, now)
                failed = failed if isinstance(failed, AuthFailed) and isinstance(now, AuthFailed) else now
                continue
            try:
                await self._opened(watched, door)
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

    def _worth_trying(self, doors: Sequence[Door]) -> Sequence[Door]:
        """Those that did not refuse us a while ago; all of them where no other is left."""
        now = monotonic()
        return [door for door in doors if self._shut.get(door.mailbox, 0) <= now] or doors

    async def _refused(self, watched: Watched, door: Door, failed: MailboxFailed) -> None:
        """The server's words stand with these credentials; a refused log-in is recorded, and what to do is said."""
        if not isinstance(failed, AuthFailed):
            await self._keep(watched, door, {"reply": failed.words})
            return
        self._shut[door.mailbox] = monotonic() + SHUT_SECONDS
        said = advice(door.mailbox.host, failed.words, with_token=door.mailbox.bearer is not None)
        await self._keep(watched, door, {"reply": failed.words, "advice": said})
        for credential in door.credentials:
            await self._record(watched, MailboxRefused(credential_id=credential, mailbox_id=watched.mailbox_id))

    async def _opened(self, watched: Watched, door: Door) -> None:
        """Nothing is wrong with these credentials, and nothing stands there."""
        self._shut.pop(door.mailbox, None)
        for credential in await self._keep(watched, door, {"reply": None}):
            await self._record(watched, MailboxOpened(credential_id=credential, mailbox_id=watched.mailbox_id))

    async def _record(self, watched: Watched, event: MailboxRefused | MailboxOpened) -> None:
        """It stands in the log, unless it is as it was, or another replica has just said it."""
        stream = f"mailbox-{event.credential_id}"
        history = await self._log.read_stream(watched.account_id, stream)
        before = isinstance(history[-1].event, MailboxRefused) if history else False
        if before == isinstance(event, MailboxRefused):
            return
        cause = uuid5(event.credential_id, f"{event.name}-{len(history)}")
        with suppress(Conflict):
            await self._log.append(watched.account_id, Write(stream, len(history), [event], cause))

    async def _keep(self, watched: Watched, door: Door, said: Json) -> Sequence[UUID]:
        """This stands with the door's credentials; those of which something else was known."""
        kept = await get_many(self._vault, watched.account_id, door.credentials, "imap_error")
        changed = [one for one in door.credentials if kept.get(one, {"reply": None}) != said]
        if changed:
            await self._vault.execute(KEEP, changed, dict(said), watched.account_id)
        return changed
