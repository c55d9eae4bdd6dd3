"""Bodies of imports: people as a caller sends them."""

import json
from functools import cache
from typing import Annotated, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from outrider.api.bodies import Body, Int, Name, wrong

LONGEST_VALUE: Final = 1000
LONGEST_CUSTOM: Final = 16 * 1024
Scalar = str | bool | Int | float | None


def _small(custom: dict[str, Scalar]) -> dict[str, Scalar]:
    if len(json.dumps(custom, ensure_ascii=False).encode()) > LONGEST_CUSTOM:
        raise wrong("has more than 16 KiB")
    return custom


Value = Annotated[str, Field(max_length=LONGEST_VALUE)]
Custom = Annotated[dict[str, Scalar], AfterValidator(_small)]


class Person(Body):
    """One row. A bad address or zone rejects the row, not the request."""

    shown = frozenset({"id", "unsubscribed_at", "bounced_at", "bounce_reason", "created_at"})

    email: str
    first_name: Value | None = None
    last_name: Value | None = None
    company: Value | None = None
    timezone: str | None = None
    custom: Custom | None = None


class NewImport(Body):
    """People to import."""

    shown = frozenset({"id", "status", "record_count", "contact_count", "skipped", "rejected", "created_at"})

    name: Name
    contacts: list[Person] = Field(default_factory=list[Person])


class NewImportBody(Body):
    """POST /contact_imports."""

    contact_import: NewImport


@cache
def zones() -> frozenset[str]:
    """Every name of the IANA database."""
    return frozenset(available_timezones())
