"""Bodies of imports: people as a caller sends them."""

import json
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, cast

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import InitErrorDetails

from outrider.api.bodies import MOST_ERRORS, Body, Name, failures, wrong
from outrider.events.ids import BadAddress, parse_address, parse_domain

LONGEST_VALUE: Final = 1000
LONGEST_CUSTOM: Final = 16 * 1024
PART_ROWS: Final = 1000
"""So many rows of an import are judged at a time."""


def _scalar(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    raise wrong("must be a string, a number, true, false or null")


Scalar = Annotated[
    str | bool | int | float | None,
    PlainValidator(_scalar, json_schema_input_type=str | bool | int | float | None),
]
"""One failure says what it may be; a union would list one for each of its members."""


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


def _address(value: str) -> str:
    try:
        return parse_address(value)
    except BadAddress as bad:
        raise wrong(bad.reason) from None


Address = Annotated[str, AfterValidator(_address)]


class NewContact(Person):
    """One contact: here a bad address or zone is the caller's."""

    email: Address

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in zones():
            raise wrong("must be a name of the IANA time zone database")
        return value


class NewContactBody(Body):
    """POST /contacts."""

    contact: NewContact


class ChangedContact(NewContact):
    """What may be changed of a contact; what is left out stays."""

    email: Address = ""


class ChangedContactBody(Body):
    """PATCH /contacts/:id."""

    contact: ChangedContact


def _address_or_domain(value: str) -> str:
    if not value.strip().startswith("@"):
        return _address(value)
    try:
        return f"@{parse_domain(value)}"
    except BadAddress as bad:
        raise wrong(bad.reason) from None


class NewSuppression(Body):
    """Whom not to write to: an address, or `@` and a domain."""

    shown = frozenset({"id", "created_at"})

    value: Annotated[str, AfterValidator(_address_or_domain)]
    reason: Value | None = None


class NewSuppressionBody(Body):
    """POST /suppressions."""

    suppression: NewSuppression


class NewImport(Body):
    """People to import."""

    shown = frozenset({"id", "status", "record_count", "contact_count", "skipped", "rejected", "created_at"})

    name: Name
    contacts: list[Person] = Field(default_factory=list[Person])

    @field_validator("contacts", mode="wrap")
    @classmethod
    def _by_parts(cls, value: object, judged: ValidatorFunctionWrapHandler) -> list[Person]:
        """Other threads run between the parts, and nobody gathers a million failures to list a thousand."""
        if not isinstance(value, list):
            return cast("list[Person]", judged(value))
        rows, people, wrongs = cast("list[object]", value), list[Person](), list[InitErrorDetails]()
        for start in range(0, len(rows), PART_ROWS):
            try:
                people += judged(rows[start : start + PART_ROWS])
            except ValidationError as error:
                wrongs += failures(error, start)
            if len(wrongs) >= MOST_ERRORS:
                break
        if wrongs:
            raise ValidationError.from_exception_data("contacts", wrongs)
        return people


class CsvImport(Body):
    """The query of POST /contact_imports with a CSV file."""

    name: Name


class NewImportBody(Body):
    """POST /contact_imports."""

    contact_import: NewImport


@cache
def zones() -> frozenset[str]:
    """Every name of a place in the IANA database, whatever else this machine has: `localtime` would be its own."""
    return frozenset((files("tzdata") / "zones").read_text().split()) - {"Factory"}
