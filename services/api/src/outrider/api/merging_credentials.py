"""A PATCH of a credential: what stands in the place of what it leaves out. Pure."""

from collections.abc import Mapping
from typing import Any, Final, cast

from outrider.api.bodies_credentials import UNCHANGED, by_port
from outrider.events.access_tokens import CLIENT_SECRET

WRAPPER: Final = "smtp_credential"
SERVERS: Final = ("smtp_host", "smtp_username", "imap_host", "imap_username")


def named_in(body: object) -> frozenset[str]:
    """What a PATCH's body names; nothing where it is no such body."""
    given = cast("dict[str, object]", body).get(WRAPPER) if isinstance(body, dict) else None
    return frozenset(cast("dict[str, object]", given)) if isinstance(given, dict) else frozenset()


def merged(body: object, server: Mapping[str, Any], limits: Mapping[str, Any], sealed: Mapping[str, str]) -> object:
    """A PATCH's body with what stands in the place of what it leaves out; a secret that stands is UNCHANGED.

    A security that was the port's default follows a new port. A password goes to no other server, nor to another user
    there, than it was given for, and access tokens go nowhere else: with those the secret must be given again.
    """
    if not isinstance(body, dict):
        return body
    whole = cast("dict[str, object]", body)
    if not isinstance(given := whole.get(WRAPPER), dict):
        return whole
    changes = cast("dict[str, object]", given)
    former: dict[str, object] = {**server, **limits}
    grant = former.pop("oauth2", None)
    for part in ("smtp", "imap"):
        if former.get(f"{part}_host") is None:
            continue
        if grant is None and _stay(changes, former, f"{part}_host", f"{part}_username"):
            former[f"{part}_password"] = UNCHANGED
        port = changes.get(f"{part}_port", former[f"{part}_port"])
        if port is None or (port != former[f"{part}_port"] and former[f"{part}_security"] == by_port(former, part)):
            del former[f"{part}_security"]
    signing = former.get("dkim")
    after = {**former, **changes}
    if isinstance(signing, dict) and isinstance(given_key := changes.get("dkim", {}), dict):
        after["dkim"] = {**signing, "private_key": UNCHANGED, **given_key}
    if grant is not None and after.get("smtp_password") is None:
        after["oauth2"] = _granted(changes, former, cast("dict[str, object]", grant), sealed)
    return {**whole, WRAPPER: after}


def _granted(
    changes: Mapping[str, object], former: Mapping[str, object], grant: Mapping[str, object], sealed: Mapping[str, str]
) -> object:
    """Its consent: what is named of it is new, and its secrets go to no other token server than before."""
    given = changes.get("oauth2", {})
    if not isinstance(given, dict):
        return given
    named = cast("dict[str, object]", given)
    stands: dict[str, object] = dict(grant)
    if _stay(named, grant, "provider"):
        if _stay(named, grant, "client_id") and CLIENT_SECRET in sealed:
            stands["client_secret"] = UNCHANGED
        present = [name for name in SERVERS if former.get(name) is not None]
        if _stay(named, grant, "client_id") and _stay(changes, former, *present):
            stands["refresh_token"] = UNCHANGED
    return {**stands, **named}


def _stay(changes: Mapping[str, object], former: Mapping[str, object], *names: str) -> bool:
    return all(changes.get(name, former.get(name)) in (former.get(name), None) for name in names)
