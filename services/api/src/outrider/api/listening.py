"""Where the gateway listens, and how long it bears with a reader who takes nothing."""

import socket
from typing import Final

from outrider.events.errors import Unavailable

BACKLOG: Final = 512
STALLED_SECONDS: Final = 60.0
"""A connection whose reader has taken nothing for so long is cut off; a live stream is resumed from where he was."""


def listen(address: str, stalled_seconds: float = STALLED_SECONDS) -> socket.socket:
    """A socket that listens on `host:port`. Raises Unavailable.

    Whoever stops reading is left to the kernel (TCP_USER_TIMEOUT, RFC 5482, which counts a closed window too): what was
    written lies in its buffers, so that no process can tell slow from gone. Accepted connections inherit it; only Linux
    has it, elsewhere such a connection stays open.
    """
    host, _, port = address.rpartition(":")
    try:
        listening = socket.create_server((host.strip("[]"), int(port)), backlog=BACKLOG, reuse_port=False)
    except (OSError, ValueError) as error:
        raise Unavailable(f"cannot listen on {address}: {error}") from error
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
        listening.setsockopt(socket.IPPROTO_TCP, option, round(stalled_seconds * 1000))
    return listening
