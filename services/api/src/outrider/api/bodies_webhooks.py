"""Bodies of webhooks."""

from collections.abc import Sequence
from typing import Annotated, Final, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from outrider.api.bodies import Body, Context, wrong
from outrider.api.public_events import TYPES, unknown_filters
from outrider.events.public_addresses import is_address, is_public

LONGEST_URL: Final = 2048
MOST_FILTERS: Final = 50


def _filter(value: str) -> str:
    if unknown_filters([value]):
        raise wrong(f"is none of {', '.join(('*', 'enrollment.*', *TYPES))}")
    return value


Filters = Annotated[list[Annotated[str, AfterValidator(_filter)]], Field(min_length=1, max_length=MOST_FILTERS)]


class NewWebhook(Body):
    """A webhook to register."""

    shown = frozenset({
        "id", "secret", "created_at", "disabled_at", "disabled_reason", "consecutive_failures",
    })  # fmt: skip

    url: str
    event_filters: Filters = Field(default=["*"])

    @field_validator("url")
    @classmethod
    def _a_url_that_may_be(cls, value: str, info: ValidationInfo) -> str:
        return _url(value, cast("Context", info.context))


class NewWebhookBody(Body):
    """POST /webhooks."""

    webhook: NewWebhook


class ChangedWebhook(NewWebhook):
    """What may be changed of a webhook; what is left out stays. `disabled_at: null` enables it."""

    shown = NewWebhook.shown - {"disabled_at"}

    url: str = ""
    disabled_at: str | None = None


class ChangedWebhookBody(Body):
    """PATCH /webhooks/:id."""

    webhook: ChangedWebhook


def filters_of(given: Sequence[str]) -> tuple[str, ...]:
    """Each of them once, in order."""
    return tuple(dict.fromkeys(given))


def _url(value: str, context: Context) -> str:
    """The URL as it is kept. Names are looked at when something is delivered: what they lead to may change."""
    text = value.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise wrong("must be a URL") from None
    schemes = ("https", "http") if context.allow_insecure_hosts else ("https",)
    if parts.scheme not in schemes or not host:
        raise wrong(f"must be a URL that begins with {' or '.join(f'{one}://' for one in schemes)}")
    if len(text) > LONGEST_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise wrong(f"must have at most {LONGEST_URL} characters, all of them visible ASCII")
    if parts.username is not None or parts.fragment:
        raise wrong("must have neither a user nor a fragment")
    inside = not is_public(host) if is_address(host) else host.rstrip(".").rpartition(".")[2] == "localhost"
    if inside and not context.allow_insecure_hosts:
        raise wrong("must not be a loopback or private address")
    return text
