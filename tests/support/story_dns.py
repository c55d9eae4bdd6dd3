"""A name server whose domains all take mail, but those called `nowhere...`; of `broken...` it cannot tell."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

LONGEST = 4096


def _answer(query: bytes) -> bytes:
    question = dns.message.from_wire(query)
    name = question.question[0].name
    response = dns.message.make_response(question)
    response.flags |= dns.flags.RA
    if name.to_text().startswith("nowhere"):
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif name.to_text().startswith("broken"):
        response.set_rcode(dns.rcode.SERVFAIL)
    else:
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "MX", f"10 mx.{name.to_text()}"))
    return response.to_wire()


def _serve(listening: socket.socket) -> None:
    while True:
        try:
            query, client = listening.recvfrom(LONGEST)
        except OSError:  # it was closed
            return
        if not query:
            return
        listening.sendto(_answer(query), client)


@contextmanager
def name_server() -> Generator[str]:
    """Answer its host:port; it answers until the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        address = listening.getsockname()
        thread = threading.Thread(target=_serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield f"{address[0]}:{address[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", address)
            thread.join()
