"""Which services one machine runs, and the environment each of them gets."""

import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from outrider.local.home import Ports
from outrider.local.keys import Keys, role_url
from outrider.local.serving import PREFIX, Part, answers, end_stray

SERVICES = ("sender", "reply-watcher", "dispatcher", "api", "webhooks", "relay")
_OF_THE_API = ("webhooks", "relay")
"""Processes of the api service: its role, its schemas."""
SANDBOX, SANDBOX_MODULE = "sandbox", "outrider.local.sandbox"
DEFAULTS = {
    "OUTRIDER_ALLOW_INSECURE_HOSTS": "1",  # the sandbox is a loopback host
    "OUTRIDER_RATE_LIMIT_PER_MINUTE": "0",
    "OUTRIDER_IMAP_POLL_SECONDS": "5",
}
GIVEN = {  # by the runner itself; a shell that sourced `.outrider/env` still has some of them
    *("OUTRIDER_API_KEY", "OUTRIDER_DATABASE_URL", "OUTRIDER_HASH_KEY", "OUTRIDER_HEALTH_LISTEN", "OUTRIDER_IMAP_PORT"),
    *("OUTRIDER_NATS_URL", "OUTRIDER_OPERATOR_TOKEN", "OUTRIDER_SANDBOX_CONTROL_PORT", "OUTRIDER_SANDBOX_HOME"),
    *("OUTRIDER_SANDBOX_URL", "OUTRIDER_SEAL_PRIVATE_KEY", "OUTRIDER_SEAL_PUBLIC_KEY", "OUTRIDER_SMTP_PORT"),
    *("OUTRIDER_URL", "OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY", "OUTRIDER_WEBHOOK_SEAL_PUBLIC_KEY"),
}
OURS = {"OUTRIDER_CLOCK", "OUTRIDER_HOME", "OUTRIDER_NATS_SERVER", "OUTRIDER_PG_BIN"}


def wishes(environment: Mapping[str, str]) -> dict[str, str]:
    """Answer the operator's own settings for the services; one that no service knows is theirs to refuse."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name not in GIVEN and name not in OURS
    }


def module(service: str) -> str:
    """`reply-watcher` is `outrider.reply_watcher`, `webhooks` is `outrider.api.webhooks`."""
    return f"outrider.{'api.' if service in _OF_THE_API else ''}{service.replace('-', '_')}"


def role(service: str) -> str:
    """Answer the login role of a process."""
    return "_".join(module(service).split(".")[:2])


@dataclass(frozen=True)
class Site:
    """What the services of one machine share."""

    database_url: str
    """Of the owner: the one who migrates."""
    nats_url: str
    keys: Keys
    ports: Ports
    sandbox_home: Path
    settings: Mapping[str, str]
    """The operator's wishes; they win over our defaults."""
    clock: str = ""
    """`<RFC 3339 start>@<speed>`, or empty for real time."""

    @property
    def url(self) -> str:
        """Of the HTTP API, as seen from this machine."""
        return f"http://127.0.0.1:{self._api_listen().rpartition(':')[2]}"

    @property
    def sandbox_url(self) -> str:
        """Of the sandbox's control."""
        return f"http://127.0.0.1:{self.ports[SANDBOX]}"

    def role_urls(self) -> dict[str, str]:
        """Answer the database's URL by login role."""
        return {role: role_url(self.database_url, role, password) for role, password in self.keys.passwords.items()}

    def sandbox(self) -> Part:
        """Prepare the mail sandbox: SMTP in, IMAP out, and a control over HTTP."""
        control = self.ports.pick(SANDBOX, 8025)
        environment = {
            "OUTRIDER_SMTP_PORT": str(self.ports.pick("smtp", 1025)),
            "OUTRIDER_IMAP_PORT": str(self.ports.pick("imap", 1143)),
            "OUTRIDER_SANDBOX_HOME": str(self.sandbox_home),
            "OUTRIDER_SANDBOX_CONTROL_PORT": str(control),
        }
        if self.clock:
            environment["OUTRIDER_CLOCK"] = self.clock
        return Part(SANDBOX, _command(SANDBOX_MODULE), answers(control, "/health"), environment)

    def services(self, names: Iterable[str] = SERVICES, replicas: int = 1) -> list[Part]:
        """Prepare the services, each so many times: the second `sender` is called `sender-2`."""
        self._pick_api_port()
        return [self._service(name, number) for name in names for number in range(1, replicas + 1)]

    def _service(self, name: str, number: int) -> Part:
        label = name if number == 1 else f"{name}-{number}"
        health = self.ports.pick(f"{label} health")
        environment = {
            **DEFAULTS,
            "OUTRIDER_PUBLIC_URL": self.url,
            **{key: value for key, value in self.settings.items() if key != "OUTRIDER_LISTEN"},
            "OUTRIDER_DATABASE_URL": self.role_urls()[role(name)],
            "OUTRIDER_NATS_URL": self.nats_url,
            "OUTRIDER_HASH_KEY": self.keys.hash_key,
            "OUTRIDER_SEAL_PUBLIC_KEY": self.keys.seal_public_key,
            "OUTRIDER_HEALTH_LISTEN": f"127.0.0.1:{health}",
        }
        if name in {"sender", "reply-watcher"}:
            environment["OUTRIDER_SEAL_PRIVATE_KEY"] = self.keys.seal_private_key
        if name == "api":
            listen = self._api_listen() if number == 1 else f"127.0.0.1:{self.ports.pick(label)}"
            environment["OUTRIDER_LISTEN"] = listen
            environment["OUTRIDER_OPERATOR_TOKEN"] = self.keys.operator_token
            environment["OUTRIDER_WEBHOOK_SEAL_PUBLIC_KEY"] = self.keys.webhook_seal_public_key
        if name == "webhooks":
            environment["OUTRIDER_WEBHOOK_SEAL_PRIVATE_KEY"] = self.keys.webhook_seal_private_key
        return Part(label, _command(module(name)), answers(health, "/health/ready"), environment)

    def _api_listen(self) -> str:
        return self.settings.get("OUTRIDER_LISTEN") or f"127.0.0.1:{self.ports['api']}"

    def _pick_api_port(self) -> None:
        if not self.settings.get("OUTRIDER_LISTEN"):
            self.ports.pick("api", 8080)


def end_strays(pids: Path) -> None:
    """End the services that a killed runner left, where nothing tied them to it."""
    for name, program in ((SANDBOX, SANDBOX_MODULE), *((name, module(name)) for name in SERVICES)):
        end_stray(pids / f"{name}.pid", " ".join(_command(program)[1:]), signal.SIGKILL)


def _command(program: str) -> tuple[str, ...]:
    return (sys.executable, "-m", program)
