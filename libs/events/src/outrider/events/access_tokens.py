"""Access tokens of the mail accounts that log in with OAuth2: for sender and reply-watcher alike.

A token is kept in memory until shortly before it ends, and asked for once however many want it: by one task of a
process, and by one process at a time, since some token servers give a refresh token for one use alone.
"""

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

from outrider.events.database import Pool, passing
from outrider.events.leases import release, take
from outrider.events.message import Json
from outrider.events.oauth import PROVIDERS, SECONDS, Grant, Granted, House, NoAnswer, Refused, refresh
from outrider.events.settings import Settings
from outrider.events.telemetry import logger
from outrider.events.vault import Opener, Unsealable, get

CLIENT_SECRET: Final = "oauth2_client_secret"  # noqa: S105  # the name of one
REFRESH_TOKEN: Final = "oauth2_refresh_token"  # noqa: S105  # the name of one
"""Under these the vault has the secrets sealed, as their owner gave them."""
ROTATED: Final = "oauth2_rotated"
"""Under this, beside them, the refresh token that a server has given in the place of the owner's."""
MARGIN_SECONDS: Final = 120.0
"""So long before its end a token is renewed: a log-in under way must not meet it."""
LEASE_SECONDS: Final = 2 * SECONDS + 10.0
WAIT_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.2
KEEP_TRIES: Final = 10
MOST_KEPT: Final = 10_000
KEEP: Final = """
insert into log.vault (owner, name, account_id, kind, value)
select owner, $3, account_id, kind, $4 from log.vault where owner = $1 and name = 'secrets' and account_id = $2
on conflict (owner, name) do update set value = excluded.value
"""
"""Only while the credential is there, and beside what its owner gave: that is replaced by nobody else."""
_log = logger(__name__)


class NoToken(Exception):  # the token server's turn, not an error of ours
    """There is no access token; `words` say why, fit to be shown."""

    def __init__(self, words: str) -> None:
        """Keep the words."""
        super().__init__(words)
        self.words = words


class GrantRefused(NoToken):
    """The token server refuses the grant for good: its owner has to do something."""


class TokenDelayed(NoToken):
    """The token server, or the database, cannot be asked now."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token."""

    text: str
    fresh: bool
    """False: it was kept, and may have been withdrawn since."""


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str
    until: float


def uses_oauth2(about: Json) -> bool:
    """Whether the credential that the vault describes so logs in with access tokens."""
    return bool(about.get("oauth2"))


class AccessTokens:
    """The tokens of one process."""

    def __init__(self, settings: Settings, vault: Pool, opener: Opener) -> None:
        """`vault` is on the log's database."""
        self._vault = vault
        self._opener = opener
        authorities = Path(settings.trust_ca) if settings.trust_ca else None
        self._house = House(settings.allow_insecure_hosts, authorities)
        self._kept: dict[UUID, _Kept] = {}
        self._asking: dict[UUID, asyncio.Task[str]] = {}
        self._me = uuid4()

    async def of(self, account: UUID, credential: UUID, but_not: str = "") -> Token:
        """A token of this credential, other than the one that was refused. Raises GrantRefused, TokenDelayed."""
        kept = self._kept.get(credential)
        if kept is not None and kept.text != but_not and monotonic() < kept.until:
            return Token(kept.text, fresh=False)
        asking = self._asking.get(credential)
        if asking is None:
            asking = asyncio.create_task(self._renewed(account, credential), name=f"token {credential}")
            self._asking[credential] = asking
            asking.add_done_callback(partial(self._asked_for, credential))
        return Token(await asyncio.shield(asking), fresh=True)  # others may wait for it too

    def _asked_for(self, credential: UUID, asking: asyncio.Task[str]) -> None:
        del self._asking[credential]
        if not asking.cancelled():
            asking.exception()  # seen, also where everybody who waited for it has gone

    def forget(self, credential: UUID) -> None:
        """The next token is a fresh one."""
        self._kept.pop(credential, None)

    async def _renewed(self, account: UUID, credential: UUID) -> str:
        try:
            granted = await self._in_turn(account, credential)
        except (Unsealable, TimeoutError) as error:
            raise TokenDelayed("The refresh token cannot be opened: set it again.") from error
        except Exception as error:
            if not passing(error):
                raise
            raise TokenDelayed("The refresh token cannot be read now.") from error
        self._keep(credential, granted)
        return granted.access_token

    def _keep(self, credential: UUID, granted: Granted) -> None:
        now = monotonic()
        if len(self._kept) >= MOST_KEPT:
            self._kept = {one: kept for one, kept in self._kept.items() if kept.until > now}
        margin = min(MARGIN_SECONDS, granted.seconds / 2)
        self._kept[credential] = _Kept(granted.access_token, now + granted.seconds - margin)

    async def _in_turn(self, account: UUID, credential: UUID) -> Granted:
        """One process after the other; each reads anew what the one before may have been given."""
        lease, until = f"oauth-{credential}", monotonic() + WAIT_SECONDS
        while not await take(self._vault, lease, self._me, LEASE_SECONDS):
            if monotonic() > until:
                raise TokenDelayed("Another process is asking the token server.")
            await asyncio.sleep(LOOK_SECONDS)
        try:
            return await self._asked(account, credential)
        finally:
            await release(self._vault, lease, self._me)

    async def _asked(self, account: UUID, credential: UUID, *, once_more: bool = True) -> Granted:
        given = await self._given(account, credential)
        grant = await self._current(account, credential, given)
        answer = await refresh(grant, self._house)
        match answer:
            case Granted():
                if answer.refresh_token is not None and answer.refresh_token != grant.refresh_token:
                    await self._rotate(account, credential, given, answer.refresh_token)
                return answer
            case NoAnswer():
                _log.warning("token.delayed", credential=str(credential), words=answer.words)
                raise TokenDelayed(answer.words)
            case Refused():
                if once_more and await self._given(account, credential) != given:  # its owner was quicker
                    return await self._asked(account, credential, once_more=False)
                _log.warning("token.refused", credential=str(credential), error=answer.error)
                raise GrantRefused(answer.words)

    async def _given(self, account: UUID, credential: UUID) -> Grant:
        """What the credential's owner gave. Raises GrantRefused, Unsealable."""
        about = await get(self._vault, account, credential, "server")
        sealed = await get(self._vault, account, credential, "secrets")
        if about is None or sealed is None or not uses_oauth2(about):
            raise GrantRefused("There is no refresh token of this credential any more.")
        secrets = self._opener.open(credential, sealed)
        provider: str = about["oauth2"]["provider"]
        client: str = about["oauth2"]["client_id"]
        return Grant(PROVIDERS.get(provider, provider), client, secrets.get(CLIENT_SECRET, ""), secrets[REFRESH_TOKEN])

    async def _current(self, account: UUID, credential: UUID, given: Grant) -> Grant:
        """The same with the refresh token that the server has put in the place of that one since, if it has."""
        sealed = await get(self._vault, account, credential, ROTATED)
        rotated: Json = {} if sealed is None else self._opener.open(credential, sealed)[ROTATED]
        if rotated.get("of") != given.refresh_token:
            return given
        return replace(given, refresh_token=rotated["now"])

    async def _rotate(self, account: UUID, credential: UUID, given: Grant, refresh_token: str) -> None:
        """The vault has the refresh token that is used from now on: without it the next log-in may be the last."""
        rotated: Json = {"of": given.refresh_token, "now": refresh_token}
        sealed = self._opener.seal(credential, {ROTATED: rotated})
        for attempt in range(KEEP_TRIES):
            try:
                await self._vault.execute(KEEP, credential, account, ROTATED, sealed)
            except Exception as error:
                if not passing(error):
                    raise
                await asyncio.sleep(LOOK_SECONDS * 2**attempt / 8)
            else:
                return
        _log.error("token.rotation_lost", credential=str(credential))
