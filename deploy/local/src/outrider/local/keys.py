"""The secrets of one machine: made once, kept in a file that only its owner reads."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nacl.public import PrivateKey

from outrider.events.database import ROLES
from outrider.local.home import write_private


@dataclass(frozen=True)
class Keys:
    """What the services are given; every value is text as their environment holds it."""

    hash_key: str
    """Master of every keyed hash."""
    seal_public_key: str
    """Seals a credential's password in the gateway."""
    seal_private_key: str
    """Opens it; for the sender and the reply-watcher alone."""
    webhook_seal_public_key: str
    """Seals what a webhook signs with."""
    webhook_seal_private_key: str
    """Opens it; for the webhooks process alone."""
    operator_token: str
    """Opens the operator's routes, `POST /accounts` for one."""
    passwords: Mapping[str, str]
    """Of the database, by login role."""

    @classmethod
    def fresh(cls) -> "Keys":
        """Make all of them anew."""
        pair, webhooks = PrivateKey.generate(), PrivateKey.generate()
        return cls(
            hash_key=_text(secrets.token_bytes(32)),
            seal_public_key=_text(bytes(pair.public_key)),
            seal_private_key=_text(bytes(pair)),
            webhook_seal_public_key=_text(bytes(webhooks.public_key)),
            webhook_seal_private_key=_text(bytes(webhooks)),
            operator_token=f"ok_operator_{secrets.token_urlsafe(32)}",
            passwords={role: secrets.token_urlsafe(24) for role in ROLES},
        )

    def deployment(self, database_url: str, nats_url: str) -> dict[str, str]:
        """Answer what the Secret of a deployment holds (deploy/helm): these keys, and where the servers are."""
        return {
            "DATABASE_URL_OWNER": database_url,
            **{
                f"DATABASE_URL_{role.removeprefix('outrider_').upper()}": role_url(database_url, role, password)
                for role, password in self.passwords.items()
            },
            **{
                f"ROLE_PASSWORD_{role.removeprefix('outrider_').upper()}": password
                for role, password in self.passwords.items()
            },
            "NATS_URL": nats_url,
            "HASH_KEY": self.hash_key,
            "SEAL_PUBLIC_KEY": self.seal_public_key,
            "SEAL_PRIVATE_KEY": self.seal_private_key,
            "WEBHOOK_SEAL_PUBLIC_KEY": self.webhook_seal_public_key,
            "WEBHOOK_SEAL_PRIVATE_KEY": self.webhook_seal_private_key,
            "OPERATOR_TOKEN": self.operator_token,
        }

    @classmethod
    def kept(cls, path: Path) -> "Keys":
        """Answer those in the file, made at the first call; what an earlier version did not know is added."""
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        whole = {**asdict(cls.fresh()), **found}
        if whole != found:
            write_private(path, json.dumps(whole, indent=1))
        return cls(**whole)


def role_url(owner_url: str, role: str, password: str) -> str:
    """Answer the same database's URL for another login role."""
    parts = urlsplit(owner_url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{password}@{place}").geturl()


def _text(key: bytes) -> str:
    return urlsafe_b64encode(key).decode()
