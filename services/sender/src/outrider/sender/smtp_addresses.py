"""What may stand between the angle brackets of MAIL and RCPT: pure."""

import re

LOCAL_BYTES_MAX = 64
ADDRESS_BYTES_MAX = 254

# No quoted local part: it may hold a bracket or a blank, and nobody writes to one.
LOCAL = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+")
LABEL = re.compile(r"[^\W_]([\w-]{0,61}[^\W_])?")


def is_plain(address: str) -> bool:
    """Answer whether it is `local@domain` and nothing else; RFC 5321 §4.5.3.1 bounds it, RFC 6531 lets UTF-8 in.

    Beyond shape nothing is judged: whether `a..b@` exists is its server's to say.
    """
    local, at, domain = address.rpartition("@")
    if not at or not address.isprintable():  # also control, format, separator and surrogate characters
        return False
    if len(local.encode()) > LOCAL_BYTES_MAX or len(address.encode()) > ADDRESS_BYTES_MAX:
        return False
    return bool(LOCAL.fullmatch(local)) and all(LABEL.fullmatch(label) for label in domain.split("."))
