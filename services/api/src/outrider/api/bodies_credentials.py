"""Bodies of SMTP credentials: hosts, ports, security by rule, IMAP all or nothing."""

import re
from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from outrider.api.bodies import Body, Context, Int, Name, wrong
from outrider.events.access_tokens import CLIENT_SECRET, REFRESH_TOKEN
from outrider.events.dkim_signing import BadKey, check_key
from outrider.events.ids import BadAddress, parse_address
from outrider.events.oauth import LONGEST_TOKEN, PROVIDERS, is_token_url
from outrider.events.public_addresses import is_address, is_public

Security = Literal["tls", "starttls", "none"]
IMAP: Final = ("imap_host", "imap_port", "imap_username", "imap_password")
IMAP_OAUTH2: Final = ("imap_host", "imap_port", "imap_username")
DKIM_KEY: Final = "dkim_private_key"
UNCHANGED: Final = token_urlsafe(32)
"""Stands for a secret that nobody can show; no client can know it."""
SMTPS: Final = 465
IMAPS: Final = 993
IMAP_PORT: Final = 143
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_LONGEST_HOST: Final = 253


class _Absent:
    """Stands for an IMAP field that is needed because another one is given."""


_ABSENT: Final = _Absent()


def _present(value: object) -> object:
    if value is _ABSENT:
        raise wrong("is required with the other IMAP fields: all four or none")
    return value


Port = Annotated[Int, Field(ge=1, le=65_535)]
User = Annotated[str, Field(min_length=1, max_length=320)]
Password = Annotated[str, Field(min_length=1, max_length=4096)]


class OAuth2(Body):
    """A user's consent to being mailed for, in the place of passwords. Its secrets are sealed like those."""

    provider: str
    """`google`, `microsoft`, or the URL of a token server."""
    client_id: Annotated[str, Field(min_length=1, max_length=1000)]
    client_secret: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(default=None, repr=False)
    """A public client has none."""
    refresh_token: Annotated[str, Field(min_length=1, max_length=LONGEST_TOKEN)] = Field(repr=False)

    @field_validator("provider")
    @classmethod
    def _known_or_a_url(cls, value: str, info: ValidationInfo) -> str:
        if value in PROVIDERS:
            return value
        if not is_token_url(value):
            raise wrong(f"must be {', '.join(PROVIDERS)}, or the URL of a token server")
        url = urlsplit(value)
        if url.scheme != "https" and not _context(info).allow_insecure_hosts:
            raise wrong("must be an https URL here: secrets do not travel in the clear")
        _host(url.hostname or "", info)
        return value

    @field_validator("client_id", "client_secret", "refresh_token")
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        return _in_one_line(value)

    def shown_part(self) -> dict[str, str]:
        """What the vault keeps open, and a GET shows."""
        return {"provider": self.provider, "client_id": self.client_id}


class Dkim(Body):
    """What messages are signed with here (RFC 6376). The key is sealed like a password."""

    domain: Annotated[str, Field(max_length=_LONGEST_HOST)]
    selector: Annotated[str, Field(max_length=_LONGEST_HOST)]
    private_key: Annotated[str, Field(max_length=16_384)] = Field(repr=False)
    """RSA, in PEM."""

    @field_validator("domain", "selector")
    @classmethod
    def _name(cls, value: str) -> str:
        name = value.strip().lower().rstrip(".")
        if not all(_LABEL.fullmatch(label) for label in name.split(".")):
            raise wrong("must be a name of the DNS")
        return name

    @field_validator("private_key")
    @classmethod
    def _key(cls, value: str) -> str:
        if value != UNCHANGED:
            try:
                check_key(value)
            except BadKey as bad:
                raise wrong(str(bad)) from None
        return value


class NewSmtpCredential(Body):
    """A customer's mail account. Passwords are sealed before anything is kept."""

    shown = frozenset({
        "id", "sent_today", "remaining_today", "sends", "bounces", "bounce_rate", "disabled_at", "disabled_reason",
        "smtp_error", "imap_error", "imap_refused_at", "imap_advice",
    })  # fmt: skip

    label: Name | None = None
    smtp_host: str
    smtp_port: Port = 587
    smtp_security: Security | None = None
    smtp_username: User
    oauth2: OAuth2 | None = None
    smtp_password: Password | None = Field(default=None, validate_default=True, repr=False)
    from_name: Annotated[str, Field(max_length=200)] | None = None
    from_email: str | None = Field(default=None, validate_default=True)
    reply_to: str | None = None
    dkim: Dkim | None = None
    daily_limit: Annotated[Int, Field(ge=1, le=100_000)]
    follow_ups_exempt: bool = False
    imap_host: Annotated[str | None, BeforeValidator(_present)] = None
    imap_port: Annotated[Port | None, BeforeValidator(_present)] = None
    imap_security: Security | None = None
    imap_username: Annotated[User | None, BeforeValidator(_present)] = None
    imap_password: Annotated[Password | None, BeforeValidator(_present)] = Field(default=None, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _imap_all_or_none(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        given = cast("dict[str, object]", data)
        if all(given.get(name) is None for name in (*IMAP, "imap_security")):
            return given
        needed = IMAP if given.get("oauth2") is None else IMAP_OAUTH2
        return {**given, **{name: _ABSENT for name in needed if given.get(name) is None}}

    @field_validator("smtp_password", "imap_password")
    @classmethod
    def _password_or_oauth2(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "oauth2" not in info.data:
            return value
        if value is not None and info.data["oauth2"] is not None:
            raise wrong("must not be given beside oauth2")
        if value is None and info.data["oauth2"] is None and info.field_name == "smtp_password":
            raise wrong("is required, or oauth2")
        return value

    @field_validator("smtp_host", "imap_host")
    @classmethod
    def _host_that_may_be(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value if value is None else _host(value, info)

    @field_validator("smtp_security", "imap_security")
    @classmethod
    def _encrypted(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value == "none" and not _context(info).allow_insecure_hosts:
            raise wrong("must be tls or starttls here: passwords do not travel in the clear")
        return value

    @field_validator("from_email")
    @classmethod
    def _from_an_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            return _address(value)
        if "smtp_username" not in info.data:
            return None
        try:
            return parse_address(info.data["smtp_username"])
        except BadAddress:
            raise wrong("is required where smtp_username is no address") from None

    @field_validator("reply_to")
    @classmethod
    def _reply_to_an_address(cls, value: str | None) -> str | None:
        return None if value is None else _address(value)

    @field_validator("from_name", "smtp_username", "imap_username")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        return _in_one_line(value)

    def server(self) -> dict[str, Any]:
        """What the vault keeps open: hosts, user names, from address."""
        smtp_security = self.smtp_security or by_port({"smtp_port": self.smtp_port}, "smtp")
        server: dict[str, Any] = {
            "label": self.label or self.from_email,
            "smtp_host": self.smtp_host,
            "smtp_port": self.smtp_port,
            "smtp_security": smtp_security,
            "smtp_username": self.smtp_username,
            "from_name": self.from_name,
            "from_email": self.from_email,
            "reply_to": self.reply_to,
        }
        if self.oauth2 is not None:
            server["oauth2"] = self.oauth2.shown_part()
        if self.dkim is not None:
            server["dkim"] = {"domain": self.dkim.domain, "selector": self.dkim.selector}
        if self.imap_host is not None:
            server |= {
                "imap_host": self.imap_host,
                "imap_port": self.imap_port,
                "imap_security": self.imap_security or by_port({**server, "imap_port": self.imap_port}, "imap"),
                "imap_username": self.imap_username,
            }
        return server

    def secrets(self) -> dict[str, str]:
        """What the vault keeps sealed."""
        grant = self.oauth2
        given = {
            "smtp_password": self.smtp_password,
            "imap_password": self.imap_password,
            CLIENT_SECRET: None if grant is None else grant.client_secret,
            REFRESH_TOKEN: None if grant is None else grant.refresh_token,
            DKIM_KEY: None if self.dkim is None else self.dkim.private_key,
        }
        return {name: secret for name, secret in given.items() if secret is not None}


class SmtpCredentialBody(Body):
    """POST and PATCH of /campaigns/:id/smtp_credentials."""

    smtp_credential: NewSmtpCredential


def by_port(server: Mapping[str, Any], part: str) -> str:
    """The security that goes with the port, where none is named."""
    smtp = "tls" if server["smtp_port"] == SMTPS else "starttls"
    if part == "smtp":
        return smtp
    return {IMAPS: "tls", IMAP_PORT: "starttls"}.get(server["imap_port"], server.get("smtp_security") or smtp)


def _in_one_line(value: str | None) -> str | None:
    if value is not None and not value.isprintable():
        raise wrong("must be one line of printable characters")
    return value


def _context(info: ValidationInfo) -> Context:
    return cast("Context", info.context)


def _address(value: str) -> str:
    try:
        return parse_address(value)
    except BadAddress as bad:
        raise wrong(bad.reason) from None


def _host(value: str, info: ValidationInfo) -> str:
    """The host, trimmed and in lower case: a name, IPv4 or bare IPv6, and none inside the house unless allowed."""
    host = value.strip().lower().rstrip(".")
    literal = is_address(host)
    labels = host.split(".")
    named = len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)
    if not literal and (not named or labels[-1].isdigit()):
        raise wrong("must be a host name, an IPv4 or an IPv6 address")
    local = not is_public(host) if literal else labels[-1] == "localhost"
    if local and not _context(info).allow_insecure_hosts:
        raise wrong("must not be a loopback or private address")
    return host
