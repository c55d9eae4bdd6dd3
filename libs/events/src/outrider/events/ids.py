"""Names that every service derives alike: ids, shards, addresses and their keyed hashes.

Pure, but for `new_id` and `new_ids`, which look at the machine's time and draw random bits.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final
from uuid import UUID, uuid5

import idna

SHARDS: Final = 64
"""Fixed from the first day: another number would move every stored event."""

LONGEST_LOCAL_PART: Final = 64
"""Octets. RFC 5321 4.5.3.1.1."""

LONGEST_ADDRESS: Final = 254
"""Octets. RFC 5321 4.5.3.1.3: a path has 256 with its angle brackets."""

LONGEST_DOMAIN: Final = 253
"""Octets. RFC 1035 2.3.4: 255 on the wire, less the first length and the root."""

_LONGEST_INPUT: Final = 1000  # characters: mapping to A-labels is quadratic, what is longer cannot be an address
_SPECIAL_USE: Final = frozenset({"localhost", "local", "test", "example", "invalid", "internal"})
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_DOT_ATOM: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED: Final = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LETTERS: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_USUAL: Final = re.compile(
    rf"({_LETTERS}(?:\.{_LETTERS})*)@((?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?)"
)
"""What nine of ten addresses look like: ASCII, the domain in small letters and with a dot."""


class BadAddress(ValueError):
    """The text is no address that a mail can be sent to; `reason` says why, without repeating the text."""

    def __init__(self, reason: str) -> None:
        """Keep the reason, which may be shown to the caller."""
        super().__init__(reason)
        self.reason = reason


class _Rising:
    """Numbers for UUIDv7, each greater than the one before, whatever the machine's clock does."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """Answer 48 bits of milliseconds and 74 of chance; within one millisecond it counts on by a random step."""
        with self._lock:
            return self._following()

    def more(self, number: int) -> Sequence[int]:
        """Answer so many, the first as `next` has it and each of the others a random step further."""
        if not number:
            return ()
        steps = memoryview(secrets.token_bytes(4 * (number - 1))).cast("I")
        with self._lock:
            found = list(accumulate(steps, lambda last, step: last + 1 + step, initial=self._following()))
            self._last = found[-1]
            return found

    def _following(self) -> int:
        fresh = (time.time_ns() // 1_000_000) << 74 | secrets.randbits(73)  # the 74th bit is room to count
        self._last = fresh if fresh > self._last else self._last + 1 + secrets.randbits(32)
        return self._last


_rising: Final = _Rising()


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562 5.7), greater than every one that this process made before.

    It reads the machine's clock (real time, never the business clock) and os.urandom, as `new_ids` does.
    """
    return UUID(int=_uuid7(_rising.next()))


def new_ids(number: int) -> Sequence[str]:
    """So many new UUIDv7 as text, rising; at one look at the clock and one draw, for whoever needs thousands."""
    texts = (f"{_uuid7(one):032x}" for one in _rising.more(number))
    return [f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in texts]


def _uuid7(number: int) -> int:
    stamp, high, low = number >> 74, number >> 62 & 0xFFF, number & (1 << 62) - 1
    return stamp << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low


def enrollment_id(campaign: UUID, contact: UUID) -> UUID:
    """The one enrollment that this contact can have in this campaign."""
    return uuid5(campaign, str(contact))


def delivery_id(enrollment: UUID, position: int) -> UUID:
    """The one delivery of this step (1..n) to this enrollment."""
    return uuid5(enrollment, str(position))


def shard(account: UUID) -> int:
    """The shard of the log that holds all of this account: 0..63."""
    return zlib.crc32(account.bytes) % SHARDS


def partition(credential: UUID) -> int:
    """The send partition (`cmd.send.<n>`) that this credential belongs to: 0..63."""
    return zlib.crc32(credential.bytes) % SHARDS


def parse_address(text: str) -> str:
    """The address, trimmed, its domain as lower-case A-label, its local part as written.

    Checks syntax only (RFC 5321 4.1.2, with RFC 6531 for UTF-8 local parts); raises BadAddress. No address literals.
    """
    if (usual := _USUAL.fullmatch(text)) and _fits(*usual.groups()):
        return text  # what is below would find nothing else
    trimmed = text.strip()
    if len(trimmed) > _LONGEST_INPUT:
        raise BadAddress("is too long for an e-mail address")
    local, at, domain = trimmed.rpartition("@")
    if not at:
        raise BadAddress("has no @")
    _check_local_part(local)
    address = f"{local}@{parse_domain(domain)}"
    if _octets(address) > LONGEST_ADDRESS:
        raise BadAddress(f"is longer than {LONGEST_ADDRESS} octets")
    return address


def _fits(local: str, domain: str) -> bool:
    return (
        len(local) <= LONGEST_LOCAL_PART
        and len(domain) <= LONGEST_DOMAIN
        and len(local) + 1 + len(domain) <= LONGEST_ADDRESS
        and "xn--" not in domain
    )


def parse_domain(text: str) -> str:
    """The domain (with or without a leading @) trimmed, as lower-case A-label (UTS 46); raises BadAddress.

    A single label is refused unless it is of special use (RFC 6761): `joe@gmail` is a slip, `joe@localhost` is a test.
    """
    domain = text.strip().removeprefix("@")
    if len(domain) > _LONGEST_INPUT:
        raise BadAddress("its domain is too long")
    ascii_domain = domain.lower() if domain.isascii() else _to_ascii(domain)
    labels = ascii_domain.split(".")
    if len(ascii_domain) > LONGEST_DOMAIN:
        raise BadAddress(f"its domain is longer than {LONGEST_DOMAIN} octets")
    if not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise BadAddress("its domain is no valid domain name")
    if len(labels) == 1 and ascii_domain not in _SPECIAL_USE:
        raise BadAddress("its domain has no dot")
    if "xn--" in ascii_domain:
        _check_a_labels(labels)
    return ascii_domain


def domain_of(address: str) -> str:
    """The domain of an address that `parse_address` answered."""
    return address.rpartition("@")[2]


def address_key(key: bytes, account: UUID, address: str) -> str:
    """The keyed hash that stands for a parsed address in streams and projections: 32 hex digits.

    Equal for all spellings that are one mailbox to us: case, Unicode composition and needless quotes do not matter.
    """
    local, _, domain = address.rpartition("@")
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return _keyed(key, account, f"{local}@{domain}")


def domain_key(key: bytes, account: UUID, domain: str) -> str:
    """The keyed hash that stands for all addresses of a parsed domain: 32 hex digits, never that of an address."""
    return _keyed(key, account, f"@{domain}")


def _keyed(key: bytes, account: UUID, text: str) -> str:
    if text.isascii():  # as most are: the same, at once
        folded = text.lower()
    else:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    mac = _begun(key, account).copy()
    mac.update(folded.encode())
    return mac.hexdigest()[:32]


@lru_cache(maxsize=256)
def _begun(key: bytes, account: UUID) -> hmac.HMAC:
    """What all of an account's have in common: whoever imports needs a million."""
    return hmac.new(key, account.bytes, hashlib.sha256)


def _check_local_part(local: str) -> None:
    if not local:
        raise BadAddress("has nothing before the @")
    if not local.isprintable() or "<" in local or ">" in local:  # quoted, RFC 5321 allows <>: no mail needs them
        raise BadAddress("has a character that no address may have")
    if _octets(local) > LONGEST_LOCAL_PART:
        raise BadAddress(f"has more than {LONGEST_LOCAL_PART} octets before the @")
    if not _DOT_ATOM.fullmatch(local) and not _QUOTED.fullmatch(local):
        raise BadAddress("is not well formed before the @")


def _to_ascii(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise BadAddress("its domain is no valid internationalised domain name") from None


def _check_a_labels(labels: list[str]) -> None:
    try:
        for label in labels:
            if label.startswith("xn--"):
                idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        raise BadAddress("its domain is no valid internationalised domain name") from None


def _octets(text: str) -> int:
    return len(text.encode())
