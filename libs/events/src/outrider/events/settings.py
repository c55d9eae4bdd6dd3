"""What every service is configured with: OUTRIDER_* variables, read and judged all at once."""

import base64
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

KEY_BYTES = 32
LONGEST_LINGER_SECONDS = 10.0


class BadSettings(ValueError):
    """The environment does not configure this service; the message names every variable that is wrong."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every service is configured with, from OUTRIDER_* variables alone."""

    database_url: str = field(repr=False)
    """This service's own login role."""
    log_url: str = field(repr=False)
    """The database of the log; the same one unless OUTRIDER_LOG_URL says otherwise."""
    nats_url: str = field(repr=False)
    health_listen: str
    """host:port of /health and /metrics; never reachable from outside."""
    hash_key: str = field(repr=False)
    """base64url of 32 bytes: the master of every keyed hash (addresses, Message-IDs, tracking links).

    Former masters may follow behind commas: what they signed still verifies.
    """
    seal_public_key: str = field(repr=False, default="")
    seal_private_key: str = field(repr=False, default="")
    """Only the sender and the reply-watcher have it. Former keys may follow behind commas, and still open."""
    webhook_seal_public_key: str = field(repr=False, default="")
    """Seals what webhooks sign with, in the gateway."""
    webhook_seal_private_key: str = field(repr=False, default="")
    """Only the webhooks process has it; former keys may follow."""
    operator_token: str = field(repr=False, default="")
    listen: str = "127.0.0.1:8080"
    public_url: str = "http://127.0.0.1:8080"
    """Base of the links that go into mails."""
    allow_insecure_hosts: bool = False
    """Loopback and private hosts of mail and webhooks, without encryption too: one machine and tests only."""
    dns: str = ""
    """host:port of the resolver; empty: the system's."""
    rate_limit_per_minute: int = 600
    imap_poll_seconds: float = 90.0
    settle_seconds: float = 900.0
    """Real seconds after which a started delivery without an outcome is unknown."""
    start_lag_seconds: float = 30.0
    """A process that starts is ready once its readers are at most so far behind; 0: however far they are."""
    linger_seconds: float = 0.0
    """So long the gateway, asked to stop, still answers: load balancers learn meanwhile that it is not ready."""
    trust_ca: str = ""
    """A file of further certification authorities for SMTP, IMAP and webhooks."""
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read and validate. Raises BadSettings that names everything wrong at once, an unknown OUTRIDER_* included."""
        given = {
            name.removeprefix("OUTRIDER_").lower(): value
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith("OUTRIDER_") and not name.startswith("OUTRIDER_ROLE_")
        }
        wrong = [f"OUTRIDER_{name.upper()} is unknown" for name in sorted(given.keys() - _KNOWN - _OTHERS)]
        wrong += [f"OUTRIDER_{name.upper()} is missing" for name in sorted(_REQUIRED - given.keys())]
        values: dict[str, Any] = {"log_url": given.get("database_url", "")}
        for name in sorted(given.keys() & _KNOWN):
            try:
                values[name] = _READ.get(name, str)(given[name])
            except ValueError:
                wrong.append(f"OUTRIDER_{name.upper()} has a value that cannot be read")
        if wrong:
            raise BadSettings("; ".join(wrong))
        return cls(**values)


def _flag(text: str) -> bool:
    known = {"1": True, "true": True, "0": False, "false": False, "": False}
    if text.lower() not in known:
        raise ValueError(text)
    return known[text.lower()]


def _address(text: str) -> str:
    """host:port."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004  # of TCP
        raise ValueError(text)
    return text


def _server(text: str) -> str:
    if not urlsplit(text).scheme:
        raise ValueError(text)
    return text


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(text)
    return number


def _span(text: str) -> float:
    """0 is off."""
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(text)
    return number


def _linger(text: str) -> float:
    """Within what a step of stopping may take."""
    number = _span(text)
    if number > LONGEST_LINGER_SECONDS:
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    """0 is off."""
    if int(text) < 0:
        raise ValueError(text)
    return int(text)


def _level(text: str) -> str:
    if text not in logging.getLevelNamesMapping():
        raise ValueError(text)
    return text


def _key(text: str) -> str:
    """Base64url of 32 bytes."""
    if text and len(base64.b64decode(text.rstrip("=") + "=", altchars=b"-_", validate=True)) != KEY_BYTES:
        raise ValueError("not a key")  # what was given is a secret
    return text


def _keys(text: str) -> str:
    if not all(_key(one.strip()) for one in text.split(",")):
        raise ValueError("not keys")
    return text


def _keys_if_any(text: str) -> str:
    return text and _keys(text)


_READ: Mapping[str, Callable[[str], Any]] = {
    "database_url": _server,
    "log_url": _server,
    "nats_url": _server,
    "health_listen": _address,
    "listen": _address,
    "hash_key": _keys,
    "seal_public_key": _key,
    "seal_private_key": _keys_if_any,
    "webhook_seal_public_key": _key,
    "webhook_seal_private_key": _keys_if_any,
    "allow_insecure_hosts": _flag,
    "rate_limit_per_minute": _count,
    "imap_poll_seconds": _positive,
    "settle_seconds": _positive,
    "start_lag_seconds": _span,
    "linger_seconds": _linger,
    "log_level": _level,
}
_KNOWN = frozenset(Settings.__dataclass_fields__)
_REQUIRED = frozenset({"database_url", "nats_url", "health_listen", "hash_key"})
_OTHERS = frozenset({"home", "clock", "url", "api_key", "smtp_port", "imap_port", "sandbox_url", "sandbox_home"}) | {
    "sandbox_control_port", "pg_bin", "nats_server", "account_id",
}  # fmt: skip
"""Variables of the runner and its sandbox, which services share an environment with."""
