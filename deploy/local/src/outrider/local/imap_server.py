"""A real IMAP server (RFC 3501, IDLE) by pymap, in this process; its mail can be put in and looked at from outside."""

import asyncio
import ssl
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from proxyprotocol.sock import SocketInfoLocal
from pymap.backend.dict import Config, Identity, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.concurrent import Subsystem
from pymap.exceptions import AuthorizationFailure, InvalidAuth
from pymap.imap import IMAPServer
from pymap.interfaces.login import IdentityInterface
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement, ObjectId
from pymap.parsing.specials.flag import Flag
from pymap.user import UserMetadata
from pysasl.creds.server import ServerCredentials
from pysasl.identity import Identity as Claimed

INBOX = "INBOX"
Security = Literal["none", "starttls", "tls"]
Accepts = Callable[[str, str], bool]


@dataclass(frozen=True)
class Stored:
    """One message in a folder."""

    uid: int
    flags: frozenset[str]
    content: bytes


class _Config(Config):
    """pymap's settings with a greeting that asks for no host name: getfqdn() may block for seconds."""

    @property
    def greeting(self) -> bytes:
        return b"sandbox ready"


class _Anybody(Claimed):
    """An identity whose secret is judged by a rule."""

    def __init__(self, user: str, accepts: Accepts) -> None:
        self._user, self._accepts = user, accepts

    @property
    def authcid(self) -> str:
        return self._user

    def compare_authcid(self, authcid: str) -> bool:
        return authcid == self._user

    def compare_secret(self, secret: str) -> bool:
        return self._accepts(self._user, secret)

    def get_clear_secret(self) -> str | None:
        return None


class _Mailboxes(MailboxSet):
    """The folders of a user, all with the same UIDVALIDITY if one is given."""

    def __init__(self, uid_validity: int | None) -> None:
        super().__init__()
        self._given = uid_validity
        _renumber(self._inbox, uid_validity)

    async def add_mailbox(self, name: str) -> ObjectId:
        identifier = await super().add_mailbox(name)
        _renumber(self._set[name], self._given)
        return identifier


def _renumber(mailbox: MailboxData, uid_validity: int | None) -> None:
    if uid_validity is not None:
        mailbox._uid_validity = uid_validity  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no other way


class _Login(Login):
    """Lets in whom the rule accepts; the first time makes the mailbox."""

    def __init__(self, config: Config, accepts: Accepts, uid_validity: int | None) -> None:
        super().__init__(config)
        self._accepts, self._uid_validity = accepts, uid_validity

    async def authenticate(self, credentials: ServerCredentials) -> Identity:
        if not credentials.verify(_Anybody(credentials.authcid, self._accepts)):
            raise InvalidAuth
        return self.known(credentials.authcid)

    async def authorize(self, authenticated: IdentityInterface, authzid: str) -> Identity:
        if authzid.casefold() != authenticated.name:
            raise AuthorizationFailure
        return self.known(authzid)

    def known(self, user: str) -> Identity:
        """Answer the user, made if there was none; capitals do not matter."""
        user = user.casefold()
        if user not in self.users_dict:
            self.users_dict[user] = UserMetadata(self.config, user)
            self.config.set_cache[user] = (_Mailboxes(self._uid_validity), FilterSet())
        return Identity(user, self, None, frozenset())


class ImapServer:
    """Listens on 127.0.0.1 between start() and stop(); the mail is kept in memory until the object goes."""

    def __init__(
        self,
        accepts: Accepts,
        *,
        port: int = 0,
        security: Security = "none",
        context: ssl.SSLContext | None = None,
        uid_validity: int | None = None,
    ) -> None:
        """Judge users by the rule; a port of 0 takes a free one at the start, no UIDVALIDITY makes some."""
        self.port = port
        self.connections = 0
        """How many were made since the start."""
        self._security, self._context = security, context
        arguments = Namespace(passlib_cfg=None, proxy_protocol=None)
        self._config = _Config(
            arguments,
            host="127.0.0.1",
            port=port,
            demo_data=False,
            demo_user="",
            demo_password="",
            ssl_context=context or ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
            tls_enabled=security == "starttls",
            reject_dnsbl=False,
            invalid_user_sleep=0.0,
            cpu_subsystem=Subsystem.for_asyncio(),
        )
        self._login = _Login(self._config, accepts, uid_validity)
        self._imap = IMAPServer(self._login, self._config)
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; the port is known afterwards. Raises OSError where it is taken."""
        context = self._context if self._security == "tls" else None
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", self.port, ssl=context)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut what is open and listen no more; the mail stays for another start()."""
        if self._server:
            self._server.close()
        await self.drop_connections()
        if self._server:
            await self._server.wait_closed()
        self._server = None

    async def drop_connections(self) -> None:
        """Cut every open connection."""
        ending = dict(self._open)
        for task, writer in ending.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is None:  # pragma: no cover  # start_server always makes one
            return
        self._open[task] = writer
        try:
            await self._imap(reader, writer, SocketInfoLocal(writer))
        except (OSError, EOFError, RuntimeError, asyncio.CancelledError):  # pymap's streams raise RuntimeError when cut
            writer.transport.abort()  # the client is gone, or we stop: nobody is left to tell
        finally:
            del self._open[task]

    async def _folder(self, user: str, folder: str) -> MailboxData:
        async with self._login.known(user).new_session() as session:
            mailboxes = session.mailbox_set
        try:
            return await mailboxes.get_mailbox(folder)
        except KeyError:
            await mailboxes.add_mailbox(folder)
            return await mailboxes.get_mailbox(folder)

    async def create(self, user: str, folder: str) -> None:
        """Make the user and the folder, if there are none."""
        await self._folder(user, folder)

    async def append(
        self, user: str, content: bytes, folder: str = INBOX, flags: Iterable[str] = (), at: datetime | None = None
    ) -> int:
        """Put a message into the folder, made if there is none; idling clients are told. Answers its UID."""
        mailbox = await self._folder(user, folder)
        marks = frozenset(Flag(flag) for flag in flags)
        return (await mailbox.append(AppendMessage(content, at or datetime.now(UTC), marks), recent=True)).uid

    async def messages(self, user: str, folder: str = INBOX) -> list[Stored]:
        """Answer what the folder holds, oldest first."""
        mailbox = await self._folder(user, folder)
        found: list[Stored] = []
        async for message in mailbox.messages():
            loaded = await message.load_content(FetchRequirement.CONTENT)
            flags = frozenset(flag.value.decode() for flag in message.permanent_flags)
            found.append(Stored(message.uid, flags, bytes(loaded.get_body(None))))
        return found

    async def set_uid_validity(self, user: str, value: int, folder: str = INBOX) -> None:
        """Give the folder this UIDVALIDITY, as a server does that lost its index (or kept it over a restart)."""
        _renumber(await self._folder(user, folder), value)

    async def uid_validity(self, user: str, folder: str = INBOX) -> int:
        """Answer the folder's UIDVALIDITY."""
        return (await self._folder(user, folder)).uid_validity
