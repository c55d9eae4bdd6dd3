"""What a CSV file says of people: the header names the fields, unknown columns are `custom`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outrider.api.bodies_contacts import LONGEST_CUSTOM, LONGEST_VALUE
from outrider.api.csv_text import Record
from outrider.api.importing import Candidate
from outrider.events.message import Json

FIELDS: Final = ("email", "first_name", "last_name", "company", "timezone")
LONGEST_COLUMN_NAME: Final = 200
MOST_COLUMNS: Final = 500
ESCAPED: Final = 6
"""Bytes that a character takes at most in JSON."""


class WrongHeader(Exception):
    """The header is none; `errors` as ValidationFailed lists them."""

    def __init__(self, *errors: Mapping[str, str]) -> None:
        """Keep what is wrong."""
        super().__init__("wrong header")
        self.errors = [dict(one) for one in errors]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in a row which field of a person stands."""

    width: int
    fields: Mapping[str, int]
    """Of FIELDS, those that there are."""
    custom: Mapping[str, int]
    overhead: int
    """Bytes of `custom` without its values."""

    def person(self, record: Record) -> Candidate:
        """The person of this row, every value as it stands there (an empty one is none), or what is wrong with it."""
        fields = record.fields
        if flaw := record.flaw or self._flaw(fields):
            at = self.fields["email"]
            return Candidate(record.line, fields[at] if at < len(fields) else None, None, flaw)
        person: Json = {name: fields[at] or None for name, at in self.fields.items()}
        person["custom"] = {name: fields[at] for name, at in self.custom.items() if fields[at]}
        return Candidate(record.line, person["email"] or "", person)

    def _flaw(self, fields: Sequence[str]) -> str:
        if len(fields) != self.width:
            return f"the row has {len(fields)} fields, the header {self.width}"
        row = "".join(fields)
        if flaw := _unsound(row):
            return flaw
        if len(row) <= LONGEST_VALUE:
            return ""
        for name, at in self.fields.items():
            if len(fields[at]) > LONGEST_VALUE:
                return f"{name} has more than {LONGEST_VALUE} characters"
        if len(row) * ESCAPED + self.overhead > LONGEST_CUSTOM:
            custom = {name: fields[at] for name, at in self.custom.items() if fields[at]}
            if len(json.dumps(custom, ensure_ascii=False).encode()) > LONGEST_CUSTOM:
                return "the custom fields have more than 16 KiB"
        return ""


def columns(header: Record | None) -> Columns:
    """What the header says; its names are trimmed, those of a person's fields in any case. Raises WrongHeader."""
    if header is None:
        raise WrongHeader(_error("header", "is required"))
    if header.flaw:
        raise WrongHeader(_error("header", header.flaw))
    if len(header.fields) > MOST_COLUMNS:
        raise WrongHeader(_error("header", f"has more than {MOST_COLUMNS} columns"))
    names = [_field_name(text) for text in header.fields]
    errors = [_error(f"header[{number}]", flaw) for number, name in enumerate(names) if (flaw := _wrong(name))]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    errors += [_error("header", f"names {name} twice") for name in twice if not _wrong(name)]
    if "email" not in names:
        errors.append(_error("header", "has no column email"))
    if errors:
        raise WrongHeader(*errors)
    places = {name: at for at, name in enumerate(names)}
    custom = {name: at for name, at in places.items() if name not in FIELDS}
    overhead = len(json.dumps(dict.fromkeys(custom, ""), ensure_ascii=False).encode())
    return Columns(len(names), {name: places[name] for name in FIELDS if name in places}, custom, overhead)


def _field_name(text: str) -> str:
    name = text.strip()
    return name.lower() if name.lower() in FIELDS else name


def _wrong(name: str) -> str:
    if not name:
        return "has no name"
    if len(name) > LONGEST_COLUMN_NAME:
        return f"is longer than {LONGEST_COLUMN_NAME} characters"
    return _unsound(name)


def _unsound(text: str) -> str:
    if "\0" in text:
        return "holds a NUL character"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "is not UTF-8"
    return ""


def _error(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}
