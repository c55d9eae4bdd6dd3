"""Where the name of a mailbox's host leads: not into the house, unless the deployment allows it."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from outrider.events.public_addresses import is_public
from outrider.reply_watcher.imap_values import Mailbox, Unreachable

ADDRESSES_TRIED: Final = 4


async def addresses_of(mailbox: Mailbox) -> Sequence[str]:
    """The addresses to connect to, in this order; never a name, for a second look-up might answer another one.

    Raises Unreachable where all are private, and OSError or UnicodeError where there is none.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(mailbox.host, mailbox.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    allowed = [address for address in addresses if mailbox.allow_insecure or is_public(address)]
    if not allowed:
        raise Unreachable("the server's address is private: this deployment does not allow that")
    return allowed[:ADDRESSES_TRIED]
