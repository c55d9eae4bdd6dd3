"""What to do about a mailbox that refuses its log-in: pure, by the host and by what the server said."""

import re
from typing import Final

_GOOGLE: Final = re.compile(r"(^|\.)(gmail|googlemail|google)\.com$", re.IGNORECASE)
_MICROSOFT: Final = re.compile(r"(^|\.)(office365|outlook|hotmail|live)\.com$", re.IGNORECASE)
_RULES: Final = (
    (
        re.compile(r"web ?login|web browser|log in via", re.IGNORECASE),
        "The provider wants the owner to log in with a browser once.",
    ),
    (
        re.compile(r"application-specific|app password|app-specific", re.IGNORECASE),
        "The provider wants an app password: make one in the account's security settings.",
    ),
    (
        re.compile(r"disabled|not enabled|not permitted|not allowed", re.IGNORECASE),
        "IMAP may be switched off for this mailbox: switch it on in its settings, or ask its administrator.",
    ),
)
_AGAIN: Final = "It is tried again when the credential is changed (PATCH), and every few hours."


def advice(host: str, words: str, *, with_token: bool = False) -> str:
    """What its owner should do, in a sentence or two; `with_token`: it logs in with OAuth2."""
    if with_token:
        return f"Let the owner of the mailbox consent anew, and set the new refresh token. {_AGAIN}"
    found = next((said for pattern, said in _RULES if pattern.search(words)), None)
    if found is None and _MICROSOFT.search(host):
        found = "Microsoft lets no passwords in for IMAP: use OAuth2."
    if found is None and _GOOGLE.search(host):
        found = "Google lets in app passwords and OAuth2, but no ordinary password."
    return f"{found or 'Check user name and password.'} {_AGAIN}"
