"""Glancing: what the header of a message tells about whether it concerns us. Pure."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from outrider.events.ids import BadAddress, address_key, parse_address
from outrider.events.tokens import Keyring, find_own_ids, looks_own, read_message_id
from outrider.reply_watcher.classifying import concerns
from outrider.reply_watcher.imap_answers import Head
from outrider.reply_watcher.mail import Mail, parse

_PREFIX: Final = re.compile(
    r"(?:(?:re|r|aw|antw|antwort|sv|vs|ref|rif|res|odp|ynt|atb|bls|fwd?|fw|wg|tr|rv|i|enc|doorst|pd|回复|答复|回覆|转发|轉寄|返信|転送)"
    r"\s?(?:\[\d{1,3}\]|\(\d{1,3}\))?\s?:|\[[^\[\]]{1,30}\](?=\s*\S))\s*",
    re.IGNORECASE,
)
"""What programs put before the subject of an answer (NFKC made a wide colon one), and the tag of a gateway or list."""

Kind = Literal["ours", "own", "named", "program", "forged", "other"]


@dataclass(frozen=True, slots=True)
class Glance:
    """A message as its header shows it."""

    uid: int
    kind: Kind
    """Our copy; the mailbox owner's own words; it names a message of ours; a program's; or anybody's."""
    deliveries: tuple[UUID, ...]
    """Of the messages of ours that it is or names."""
    sender_key: str | None
    """Keyed hash of the sender's address; None where there is none, or where nothing may be suspected of it."""
    thread: str
    """Gmail's thread, else empty."""

    @property
    def is_worth_reading(self) -> bool:
        """Whether the header alone says that the body is to be fetched."""
        return self.kind in {"named", "program"}


def glance(keys: Keyring, account: UUID, head: Head, own: Collection[str]) -> Glance:
    """What the header says; `own` are the folded addresses of those who mail through the mailbox. Raises nothing."""
    mail = parse(head.content)
    ours = read_message_id(keys, mail.message_id)
    named = tuple(dict.fromkeys(one for text in mail.candidates for one in find_own_ids(keys, text)))
    if ours is not None:
        return Glance(head.uid, "ours", (ours,), None, head.thread)
    if mail.sender.casefold() in own and mail.message.get_content_type() != "multipart/report":
        return Glance(head.uid, "own", named, None, head.thread)
    if named:
        return Glance(head.uid, "named", named, None, head.thread)
    if forges(keys, mail):
        return Glance(head.uid, "forged", (), None, "")
    kind: Kind = "program" if concerns(mail) else "other"
    return Glance(head.uid, kind, (), sender_key(keys, account, mail), head.thread)


def forges(keys: Keyring, mail: Mail) -> bool:
    """Whether it names what looks like a message of ours and is none: then nothing weaker shall speak for it."""
    return any(looks_own(one) and not find_own_ids(keys, one) for one in mail.candidates)


def sender_key(keys: Keyring, account: UUID, mail: Mail) -> str | None:
    """The keyed hash under which a contact with this address would be known; None for what is no address."""
    try:
        return address_key(keys.address_key, account, parse_address(mail.sender))
    except BadAddress:
        return None


def subject_matches(theirs: str, ours: str) -> bool:
    """Whether the subject answers ours: the same but for prefixes, tags, case and spacing."""
    wanted, found = _normalised(ours), _normalised(theirs)
    return bool(wanted) and (found == wanted or found.endswith((f": {wanted}", f":{wanted}")))


def _normalised(subject: str) -> str:
    text = " ".join(unicodedata.normalize("NFKC", subject).casefold().split())
    while (found := _PREFIX.match(text)) is not None:
        text = text[found.end() :]
    return text


def learnt(glances: Sequence[Glance]) -> list[tuple[str, UUID]]:
    """The threads that these show messages of ours to lie in."""
    return [(one.thread, delivery) for one in glances if one.thread for delivery in one.deliveries]
