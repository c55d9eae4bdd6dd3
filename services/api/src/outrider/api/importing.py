"""Sorting the rows of an import: who is taken, who is there twice, who cannot be taken and why.

JSON and CSV alike come here as candidates. What is taken lies in the vault, in chunks, until it is contacts; who is
there twice in different chunks, or in the account, is found out when the contacts are added.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from outrider.api.bodies_contacts import Person, zones
from outrider.events.ids import BadAddress, address_key, domain_key, domain_of, new_ids, parse_address
from outrider.events.message import Json
from outrider.events.vault import Entry

CHUNK_ROWS: Final = 1000
ROWS_KEPT: Final = timedelta(hours=24)
"""Real time: by then they are contacts, or the import is to be made again."""
MOST_DOMAINS: Final = 50_000
"""Whose keys are remembered."""
LONGEST_SHOWN: Final = 320
"""Characters of what stood where an address should stand."""


class Candidate(NamedTuple):
    """A row, read."""

    line: int
    email: str | None
    """What stands there, whatever it is."""
    person: Json | None
    """None where it cannot be one: `flaw` says why."""
    flaw: str = ""


def candidates(rows: Iterable[Person], first: int) -> Iterable[Candidate]:
    """Rows of a JSON body; `first` is the number of the first of them, from 1."""
    for line, row in enumerate(rows, first):
        yield Candidate(line, row.email, {**row.model_dump(), "custom": row.custom or {}})


@dataclass(slots=True)
class Intake:
    """What became of the rows of one import so far, and those that are not in the vault yet."""

    import_id: UUID
    account_id: UUID
    key: bytes
    until: datetime
    """How long they are kept; real time."""
    chunks: int = 0
    taken: int = 0
    """In the chunks."""
    skipped: int = 0
    """Addresses that stood in the same chunk before."""
    rejected: int = 0
    _domains: dict[str, str] = field(default_factory=dict[str, str])
    """Keys of domains: an import has few of them."""
    _good: dict[str, Json] = field(default_factory=dict[str, Json])
    _bad: list[Json] = field(default_factory=list[Json])

    def sort(self, rows: Iterable[Candidate], *, last: bool = False) -> list[Entry]:
        """What is to be put into the vault now: full chunks, and with the last rows whatever is left."""
        ready: list[Entry] = []
        for row in rows:
            self._sort(row)
            if len(self._good) == CHUNK_ROWS:
                ready.append(self._chunk())
            if len(self._bad) == CHUNK_ROWS:
                ready.append(self._rejects())
        if last and self._good:
            ready.append(self._chunk())
        if last and self._bad:
            ready.append(self._rejects())
        return ready

    @property
    def read(self) -> int:
        """How many rows there were."""
        return self.taken + self.skipped + self.rejected

    def _sort(self, row: Candidate) -> None:
        person = row.person
        if person is None:
            self._reject(row, row.flaw)
            return
        try:
            address = parse_address(person["email"] or "")
        except BadAddress as bad:
            self._reject(row, f"email {bad.reason}")
            return
        if person.get("timezone") is not None and person["timezone"] not in zones():
            self._reject(row, "timezone is not in the IANA database")
            return
        known = address_key(self.key, self.account_id, address)
        if known in self._good:
            self.skipped += 1
            return
        self.taken += 1
        person["email"] = address
        self._good[known] = {
            "address_key": known,
            "domain_key": self._domain_key(domain_of(address)),
            "person": person,
        }

    def _domain_key(self, domain: str) -> str:
        if len(self._domains) > MOST_DOMAINS:
            self._domains.clear()
        if domain not in self._domains:
            self._domains[domain] = domain_key(self.key, self.account_id, domain)
        return self._domains[domain]

    def _reject(self, row: Candidate, reason: str) -> None:
        self.rejected += 1
        email = row.email and row.email[:LONGEST_SHOWN].replace("\0", "\ufffd").encode(errors="replace").decode()
        self._bad.append({"line": row.line, "email": email, "reason": reason})

    def _chunk(self) -> Entry:
        rows = list(self._good.values())
        for one, row in zip(new_ids(len(rows)), rows, strict=True):
            row["contact_id"] = one
        entry = self._entry(f"rows-{self.chunks}", rows)
        self.chunks += 1
        self._good = {}
        return entry

    def _rejects(self) -> Entry:
        entry = self._entry(rejects_name(self._bad[-1]["line"]), self._bad)
        self._bad = []
        return entry

    def _entry(self, name: str, rows: list[Json]) -> Entry:
        return Entry(self.import_id, name, self.account_id, "import", {"rows": rows}, self.until)


def rejects_name(line: int) -> str:
    """Under which name rejects lie of which this is the last line: they are found by line, in order."""
    return f"rejects-{line:012}"
