"""DKIM: a message signed for its domain (RFC 6376), over the very bytes that are sent. The seam to dkimpy.

dkimpy signs in Python: about 14 ms of a processor for a key of 2,048 bits.
"""

# This is the seam: the package has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import re
from dataclasses import dataclass, field
from typing import Any, Final, cast

import dkim
from dkim.crypto import parse_pem_private_key

FEWEST_BITS: Final = 1024
"""RFC 8301: verifiers take no shorter one."""
MOST_BITS: Final = 4096
SIGNED: Final = (
    *("from", "to", "reply-to", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "content-type", "list-unsubscribe", "list-unsubscribe-post"),
)
"""Those of them that a message has; RFC 8058 wants the last two covered."""
_FIELD: Final = re.compile(rb"^([!-9;-~]+):", re.MULTILINE)


class BadKey(ValueError):
    """This is no RSA key that can sign; the message says why, and nothing of the key."""


@dataclass(frozen=True, slots=True)
class DkimKey:
    """Whose signature, and under which name its public key stands in the DNS."""

    domain: str
    selector: str
    private_key: str = field(repr=False)
    """PEM."""


def check_key(pem: str) -> None:
    """Raise BadKey unless messages can be signed with it."""
    if "ENCRYPTED" in pem:
        raise BadKey("must not be encrypted: it is sealed here")
    try:
        bits = int(cast("dict[str, Any]", parse_pem_private_key(pem.encode("ascii")))["modulus"]).bit_length()
    except Exception:  # noqa: BLE001  # a parser of bytes, whose errors are of many kinds and may quote them
        raise BadKey("must be an RSA private key in PEM") from None
    if not FEWEST_BITS <= bits <= MOST_BITS:
        raise BadKey(f"must have {FEWEST_BITS} to {MOST_BITS} bits")
    try:
        sign(b"From: a@example.com\r\n\r\n", DkimKey("example.com", "x", pem))
    except Exception:  # noqa: BLE001  # as above: a key with parts that do not belong together
        raise BadKey("must be an RSA private key in PEM") from None


def sign(message: bytes, key: DkimKey) -> bytes:
    """The message with a signature before it, whose key `check_key` has let through; lines end in CRLF.

    From is signed once more than it is there, so that no second one can be added.
    """
    present = {name.lower() for name in _FIELD.findall(message.partition(b"\r\n\r\n")[0])}
    names = [b"from", *(name.encode() for name in SIGNED if name.encode() in present)]
    signature: bytes = dkim.sign(
        message,
        key.selector.encode("ascii"),
        key.domain.encode("ascii"),
        key.private_key.encode("ascii"),
        canonicalize=(b"relaxed", b"relaxed"),
        include_headers=names,
        linesep=b"\r\n",
    )
    return signature + message
