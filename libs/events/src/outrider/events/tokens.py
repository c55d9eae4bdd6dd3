"""Signed names that we can read back: Message-IDs and the tokens of pixels, links and unsubscribing.

Pure. A signature is by a key derived from OUTRIDER_HASH_KEY for its one purpose; a rotated key still verifies.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

MASTER_BYTES: Final = 32
LONGEST_SCAN: Final = 256 * 1024
"""Characters of a mail that `find_own_ids` looks at."""

MOST_FOUND: Final = 100
"""Candidates that `find_own_ids` verifies: a References header never holds more that matter."""

_MESSAGE_ID: Final = re.compile(r"<?([0-9a-f]{32})\.([0-9a-f]{2})([0-9a-f]{16})@[^\s<>@]{1,255}>?", re.IGNORECASE)
_CANDIDATE: Final = re.compile(r"(?<![0-9a-f])([0-9a-f]{32})\.([0-9a-f]{2})([0-9a-f]{16})(?=@)", re.IGNORECASE)
_MASTER: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{36}")
_CLICK: Final = re.compile(r"[A-Za-z0-9_-]{39,3000}")
_MESSAGE_MAC: Final = 8
_TOKEN_MAC: Final = 10
_PLAIN_BODY: Final = 17  # one byte of key id, sixteen of the delivery
_CLICK_BODY: Final = _PLAIN_BODY + 2  # and two of the link's number; the target follows

LONGEST_TARGET: Final = 2000
"""Characters of a link that still gets a token: its own is a third longer."""


class Purpose(StrEnum):
    """What a tracking token may be used for; a token of one purpose is worthless for another."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True)
class Token:
    """What a genuine token says."""

    delivery: UUID


@dataclass(frozen=True, slots=True)
class Click:
    """What a genuine token of a link says: which of its message, and where that leads."""

    delivery: UUID
    link_number: int
    target: str


class _Keys:
    """The keys that one master gives, and its two hex digits."""

    __slots__ = ("address", "answer", "key_id", "message", "tracking")

    def __init__(self, master: bytes) -> None:
        if len(master) != MASTER_BYTES:
            raise ValueError(f"a hash key has {MASTER_BYTES} bytes")
        self.key_id = derive(master, "key id")[:1]
        self.message = derive(master, "message id")
        self.tracking = derive(master, "tracking")
        self.address = derive(master, "address")
        self.answer = derive(master, "answer")


class Keyring:
    """The keys of every purpose: the current master signs, the previous ones only verify.

    `previous` runs from the newest to the oldest. Shows no key in its repr.
    """

    __slots__ = ("_all",)

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        """Derive everything once; raises ValueError for a master that has not 32 bytes."""
        self._all = [_Keys(master) for master in (current, *previous)]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The ring of OUTRIDER_HASH_KEY: base64url of 32 bytes, older masters behind commas. Raises ValueError."""
        masters = [one.strip().rstrip("=") for one in text.split(",")]
        if not all(_MASTER.fullmatch(one) for one in masters):
            raise ValueError(f"a hash key is base64url of {MASTER_BYTES} bytes")
        current, *previous = (base64.urlsafe_b64decode(f"{one}=") for one in masters)
        return cls(current, previous)

    @property
    def address_key(self) -> bytes:
        """The key of `ids.address_key` and `ids.domain_key`.

        Always of the oldest master: a suppressed address is kept as its hash alone and could not be hashed anew.
        """
        return self._all[-1].address

    @property
    def answer_keys(self) -> Sequence[bytes]:
        """The keys of answers that are kept for a while: the first seals, each of them may open."""
        return [keys.answer for keys in self._all]

    @property
    def key_id(self) -> str:
        """Two hex digits that name the current master."""
        return self._all[0].key_id.hex()

    def signing(self) -> _Keys:
        """The keys that sign from now on."""
        return self._all[0]

    def verifying(self, key_id: bytes) -> list[_Keys]:
        """All keys of that id: two masters of 256 may share one."""
        return [keys for keys in self._all if keys.key_id == key_id]


def derive(master: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for this purpose alone; it tells nothing about the master or another purpose's key."""
    return hmac.digest(master, f"outrider:{purpose}".encode(), "sha256")


def message_id(keys: Keyring, delivery: UUID, from_domain: str) -> str:
    """The Message-ID of this delivery, with its angle brackets: the same on every attempt while the key stands."""
    signing = keys.signing()
    return f"<{delivery.hex}.{signing.key_id.hex()}{_message_mac(signing.message, delivery).hex()}@{from_domain}>"


def read_message_id(keys: Keyring, text: str) -> UUID | None:
    """The delivery that this Message-ID names, or None if we never signed it. Any domain: gateways rewrite it."""
    found = _MESSAGE_ID.fullmatch(text.strip())
    return _verified(keys, found) if found else None


def find_own_ids(keys: Keyring, text: str) -> list[UUID]:
    """Every delivery whose genuine Message-ID stands anywhere in the text, in order, once each; bounded work."""
    found: dict[UUID, None] = {}
    for tried, candidate in enumerate(_CANDIDATE.finditer(text, 0, LONGEST_SCAN)):
        if tried == MOST_FOUND:
            break
        delivery = _verified(keys, candidate)
        if delivery is not None:
            found[delivery] = None
    return list(found)


def looks_own(text: str) -> bool:
    """Whether something of the form of our Message-IDs stands in the text, genuine or not."""
    return _CANDIDATE.search(text, 0, LONGEST_SCAN) is not None


def track_open(keys: Keyring, delivery: UUID) -> str:
    """The token of the pixel, 36 characters."""
    return _token(keys, Purpose.OPEN, delivery.bytes)


def track_click(keys: Keyring, delivery: UUID, link_number: int, target: str) -> str:
    """The token of the message's link of that number (0..65535), which carries its target.

    So nothing has to be kept of a message in order to know what it linked to, and nobody can have us lead elsewhere.
    Raises ValueError for a target that is too long or not ASCII.
    """
    if len(target) > LONGEST_TARGET:
        raise ValueError("the target is too long")
    return _token(keys, Purpose.CLICK, delivery.bytes + link_number.to_bytes(2, "big") + target.encode("ascii"))


def unsubscribe(keys: Keyring, delivery: UUID) -> str:
    """The token of the unsubscribe link, 36 characters."""
    return _token(keys, Purpose.UNSUBSCRIBE, delivery.bytes)


def read_token(keys: Keyring, purpose: Purpose, text: str) -> Token | None:
    """What the token says, or None if it is forged, cut, or of another purpose; a link's is for `read_click`."""
    body = _body(keys, purpose, text) if _TOKEN.fullmatch(text) else None
    return None if body is None else Token(UUID(bytes=body[1:]))


def read_click(keys: Keyring, text: str) -> Click | None:
    """What the token of a link says, or None if it is forged, cut, or of another purpose."""
    body = _body(keys, Purpose.CLICK, text) if _CLICK.fullmatch(text) else None
    if body is None:
        return None
    number = int.from_bytes(body[_PLAIN_BODY:_CLICK_BODY], "big")
    return Click(UUID(bytes=body[1:_PLAIN_BODY]), number, body[_CLICK_BODY:].decode("ascii"))


def _body(keys: Keyring, purpose: Purpose, text: str) -> bytes | None:
    """The signed part of the token, if one of our keys signed it for this purpose."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:  # of no length that base64 has
        return None
    body, mac = raw[:-_TOKEN_MAC], raw[-_TOKEN_MAC:]
    if _text(raw) != text:
        return None
    if not any(hmac.compare_digest(mac, _token_mac(one.tracking, purpose, body)) for one in keys.verifying(body[:1])):
        return None
    return body


def _message_mac(key: bytes, delivery: UUID) -> bytes:
    return hmac.digest(key, delivery.bytes, "sha256")[:_MESSAGE_MAC]


def _verified(keys: Keyring, found: re.Match[str]) -> UUID | None:
    delivery, key_id, mac = UUID(hex=found[1]), bytes.fromhex(found[2]), bytes.fromhex(found[3])
    genuine = any(hmac.compare_digest(mac, _message_mac(one.message, delivery)) for one in keys.verifying(key_id))
    return delivery if genuine else None


def _token(keys: Keyring, purpose: Purpose, what: bytes) -> str:
    signing = keys.signing()
    body = signing.key_id + what
    return _text(body + _token_mac(signing.tracking, purpose, body))


def _token_mac(key: bytes, purpose: Purpose, body: bytes) -> bytes:
    return hmac.digest(key, f"{purpose}:".encode() + body, "sha256")[:_TOKEN_MAC]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
