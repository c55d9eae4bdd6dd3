"""Keyset pagination: newest first by the log position at which a row began; never OFFSET."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from outrider.events.database import Row
from outrider.events.errors import ValidationFailed

DEFAULT: Final = 100
MOST: Final = 1000
NEWEST: Final = 2**63 - 1
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """How many rows, and before which position."""

    limit: int
    before: int

    @property
    def more(self) -> int:
        """How many rows to fetch: one more than shown tells whether there is a next page."""
        return self.limit + 1

    def cut(self, rows: Sequence[Row]) -> tuple[Sequence[Row], str | None]:
        """The rows to show, which have a `position`, and the cursor of the next page, if there is one."""
        shown = rows[: self.limit]
        return shown, self.after(shown[-1]["position"]) if len(rows) > self.limit and shown else None

    def after(self, position: int) -> str:
        """The cursor of the page behind this position."""
        return _cursor(position)


def page(options: Mapping[str, str]) -> Page:
    """The page that `limit` and `cursor` ask for; `limit` over 1000 is 1000. Raises ValidationFailed."""
    errors: list[dict[str, str]] = []
    limit, before = DEFAULT, NEWEST
    if "limit" in options:
        if re.fullmatch(r"[0-9]{1,18}", options["limit"]) and int(options["limit"]):
            limit = min(int(options["limit"]), MOST)
        else:
            errors.append({"field": "limit", "message": "must be a number from 1"})
    if "cursor" in options:
        read = _read_cursor(options["cursor"])
        if read is None:
            errors.append({"field": "cursor", "message": "is none that was answered"})
        before = read or NEWEST
    if errors:
        raise ValidationFailed(errors)
    return Page(limit, before)


def as_id(text: str) -> UUID | None:
    """The id, or None for what cannot be one: an unknown id like any other."""
    return UUID(text) if _ID.fullmatch(text) else None


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"p{position}".encode()).rstrip(b"=").decode()


def _read_cursor(text: str) -> int | None:
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        return None
    return int(plain[1:]) if re.fullmatch(r"p[0-9]{1,18}", plain) else None
