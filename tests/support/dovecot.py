"""Dovecot on a free port of this machine, with a configuration of its own, as whatever user runs the tests."""

import asyncio
import getpass
import grp
import imaplib
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, TypeVar, cast

from outrider.local import certificate
from outrider.local.imap_server import INBOX, Stored

DOVECOT: Final = shutil.which("dovecot") or "/usr/sbin/dovecot"
MISSING: Final = (
    "DOVECOT IS NOT INSTALLED, so nothing is tested against it: apt-get install dovecot-imapd dovecot-lmtpd"
)
STARTED_SECONDS: Final = 30.0
T = TypeVar("T")

CONFIGURATION: Final = """
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 0
first_valid_gid = 0
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{folder}/mail/%u
mail_max_userip_connections = 2000
imap_capability = {capability}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox "Bulk; Spam" {{
    special_use = \\Junk
    auto = create
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""
JUNK: Final = "Bulk; Spam"
"""Its junk folder: found by its use, for its name tells nothing."""


def is_installed() -> bool:
    """Whether there is a Dovecot."""
    return Path(DOVECOT).exists()


@dataclass
class Dovecot:
    """A running server, whose mail a test puts in and looks at: the same as tests.support.mail.Mailboxes."""

    folder: Path
    users: Mapping[str, str]
    authority: Path
    port: int
    tls_port: int
    lmtp_port: int

    async def append(self, user: str, content: bytes, folder: str = INBOX, at: datetime | None = None) -> int:
        """Put a message into the folder, made if there is none; answers its UID."""

        def put(client: imaplib.IMAP4) -> int:
            client.create(_quoted(folder))
            moment = None if at is None else imaplib.Time2Internaldate(at)
            _, [said] = client.append(_quoted(folder), "", moment, content)
            found = re.search(rb"APPENDUID \d+ (\d+)", said)
            assert found, said
            return int(found[1])

        return await self._as(user, put)

    async def deliver(self, user: str, content: bytes, sender: str = "") -> None:
        """Hand the message over as a mail server does (LMTP)."""

        def hand_over() -> None:
            with smtplib.LMTP("127.0.0.1", self.lmtp_port, local_hostname="mx.example") as client:
                client.sendmail(sender, [user], content)

        await asyncio.to_thread(hand_over)

    async def stored(self, user: str, folder: str = INBOX) -> list[Stored]:
        """Answer every message of the folder: uid, flags, content."""

        def look(client: imaplib.IMAP4) -> list[Stored]:
            client.select(_quoted(folder), readonly=True)
            _, found = client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")
            stored: list[Stored] = []
            for item in cast("list[bytes | tuple[bytes, bytes]]", found):
                if isinstance(item, tuple):
                    uid, flags = re.search(rb"UID (\d+)", item[0]), re.search(rb"FLAGS \(([^)]*)\)", item[0])
                    assert uid
                    assert flags
                    named = frozenset(flags[1].decode().split()) - {"\\Recent"}
                    stored.append(Stored(int(uid[1]), named, item[1]))
            return stored

        return await self._as(user, look)

    async def flags(self, user: str, folder: str = INBOX) -> dict[int, frozenset[str]]:
        """Answer the flags of each message by UID."""
        return {stored.uid: stored.flags for stored in await self.stored(user, folder)}

    async def create(self, user: str, folder: str) -> None:
        """Make a folder."""
        await self._as(user, lambda client: client.create(_quoted(folder)))

    async def set_uid_validity(self, user: str, value: int, folder: str = INBOX) -> None:
        """Number the folder anew: its index is gone, and the list of its UIDs is of another age."""
        place = self.folder / "mail" / user
        place = place if folder == INBOX else place / f".{JUNK if folder == 'Junk' else folder}"
        for index in place.glob("dovecot.index*"):
            index.unlink()
        numbers = place / "dovecot-uidlist"
        numbers.write_text(re.sub(r" V\d+ ", f" V{value} ", numbers.read_text(), count=1))
        await asyncio.sleep(0)

    def connect(self) -> imaplib.IMAP4:
        """Answer a connection that is not logged in."""
        return imaplib.IMAP4("127.0.0.1", self.port, timeout=30)

    async def _as(self, user: str, act: Callable[[imaplib.IMAP4], T]) -> T:
        """Do it with the standard library's client, logged in, in a thread."""

        def acted() -> T:
            with self.connect() as client:
                client.login(user, self.users[user])
                return act(client)

        return await asyncio.to_thread(acted)


@asynccontextmanager
async def dovecot(users: Mapping[str, str], *, capability: str = "") -> AsyncGenerator[Dovecot]:
    """Run a Dovecot for the block; `capability` (as `+SOMETHING`, or a whole list) changes what it offers."""
    folder = _folder()
    authority, key = certificate.make(folder)
    found = Dovecot(folder, users, authority, *_free_ports(3))
    (folder / "users").write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    (folder / "dovecot.conf").write_text(_configured(found, key, capability))
    process = subprocess.Popen([DOVECOT, "-F", "-c", folder / "dovecot.conf"], start_new_session=True)  # noqa: ASYNC220, S603  # ours
    try:
        await asyncio.to_thread(_until_it_listens, found, process)
        yield found
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    """Near the root: socket paths must be short. Open to its processes, which have users of their own."""
    folder = Path(mkdtemp(prefix="outrider-dovecot-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def _configured(server: Dovecot, key: Path, capability: str) -> str:
    """As root with the users that the package made (it refuses to read mail as root); as anybody else all by itself."""
    me, is_root = getpass.getuser(), os.getuid() == 0
    owner = pwd.getpwnam("dovecot" if is_root else me)
    for part in ("mail", "home"):
        (server.folder / part).mkdir()
        os.chown(server.folder / part, owner.pw_uid, owner.pw_gid)
    return CONFIGURATION.format(
        folder=server.folder,
        internal="dovecot" if is_root else me,
        group=grp.getgrgid(owner.pw_gid).gr_name,
        login="dovenull" if is_root else me,
        certificate=server.authority,
        key=key,
        uid=owner.pw_uid,
        gid=owner.pw_gid,
        port=server.port,
        tls_port=server.tls_port,
        lmtp_port=server.lmtp_port,
        capability=capability,
    )


def _free_ports(number: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _until_it_listens(server: Dovecot, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + STARTED_SECONDS
    while True:
        with suppress(OSError, imaplib.IMAP4.error):
            server.connect().logout()
            return
        assert process.poll() is None, (server.folder / "dovecot.log").read_text(errors="replace")
        assert time.monotonic() < until, (server.folder / "dovecot.log").read_text(errors="replace")
        time.sleep(0.05)


def _quoted(folder: str) -> str:
    return f'"{JUNK if folder == "Junk" else folder}"'
