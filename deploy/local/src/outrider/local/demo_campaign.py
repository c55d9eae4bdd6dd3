"""What the demo sends, to whom, and through which mail accounts."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from outrider.local.people import Habits, habits

CONTACTS = Path(__file__).parents[3] / "demo" / "contacts.csv"
FIELDS = ("email", "first_name", "last_name", "company", "timezone")
BATCH_SIZE = 80
SENDERS = (
    {"label": "Ann", "from_name": "Ann Larsson", "from_email": "ann@outreach.example"},
    {"label": "Ben", "from_name": "Ben Óskarsson", "from_email": "ben@outreach.example"},
)
STEPS: tuple[Mapping[str, object], ...] = (
    {
        "position": 1,
        "delay_minutes": 0,
        "subject": '{{ first_name | default: "Hello" }}, a question about {{ company | default: "your work" }}',
        "body_html": '<html><body><p>Hello {{ first_name | default: "there" }},</p>'
        "<p>{% if company %}who at {{ company }} looks after{% else %}who among you looks after{% endif %}"
        " mail that nobody reads?</p>"
        "<p>Greetings<br>Outreach Ltd</p></body></html>",
        "body_text": 'Hello {{ first_name | default: "there" }},\n\n'
        "{% if company %}who at {{ company }} looks after{% else %}who among you looks after{% endif %}"
        " mail that nobody reads?\n\n"
        "Greetings\nOutreach Ltd\n",
    },
    {
        "position": 2,
        "delay_minutes": 2 * 24 * 60,
        "subject": 'Re: {{ first_name | default: "Hello" }}, a question about {{ company | default: "your work" }}',
        "body_html": "<html><body><p>Dear {{ first_name }} {{ last_name }},</p>"
        '<p>as {{ custom.role | default: "somebody who knows" }} in {{ custom.city | default: "your town" }}'
        " you will have an opinion.</p>"
        "<p>Greetings<br>Outreach Ltd</p></body></html>",
    },
    {
        "position": 3,
        "delay_minutes": 3 * 24 * 60,
        "subject": 'Re: {{ first_name | default: "Hello" }}, a question about {{ company | default: "your work" }}',
        "body_html": "<html><body><p>This is my last letter to {{ email }}.</p>"
        "{% if custom.note %}<p>(My notes say: {{ custom.note }}.)</p>{% endif %}"
        "<p>Greetings<br>Outreach Ltd</p></body></html>",
    },
)


@dataclass(frozen=True)
class Person:
    """Somebody on the list: the first row with the address."""

    key: str
    """The address as it is compared: lower case, the domain as A-label."""
    row: Mapping[str, str]
    habits: Habits


@dataclass(frozen=True)
class People:
    """The list as one who reads it with care understands it."""

    rows: list[dict[str, str]]
    known: dict[str, Person] = field(default_factory=dict[str, Person])
    duplicates: int = 0
    rejected: int = 0

    @classmethod
    def of(cls, rows: list[dict[str, str]]) -> "People":
        """Count every row as a person, as somebody known already, or as one without an address."""
        known: dict[str, Person] = {}
        duplicates = rejected = 0
        for row in rows:
            name = key(row["email"])
            if name.count("@") != 1:
                rejected += 1
            elif name in known:
                duplicates += 1
            else:
                known[name] = Person(name, row, habits(name))
        return cls(rows, known, duplicates, rejected)


def read(path: Path = CONTACTS) -> People:
    """Answer the people of the CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return People.of(list(csv.DictReader(file)))


def stored(address: str) -> str:
    """Answer the address as it is written to: trimmed, the domain as lower-case A-label."""
    local, at, domain = address.strip().rpartition("@")
    return f"{local}{at}{domain.lower().encode('idna').decode()}" if at else domain


def key(address: str) -> str:
    """Answer the address as it is compared."""
    return stored(address).casefold()


def contact(row: Mapping[str, str]) -> dict[str, object]:
    """Answer the row as the API takes it: empty fields left out, columns of no known name under `custom`."""
    given = {name: value for name, value in row.items() if value}
    custom = {name: value for name, value in given.items() if name not in FIELDS}
    return {**{name: value for name, value in given.items() if name in FIELDS}, "custom": custom}


def campaign(smtp_port: int, imap_port: int, senders: Iterable[Mapping[str, str]] = SENDERS) -> dict[str, object]:
    """Answer the body of POST /campaigns."""
    host = {
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp_port,
        "smtp_security": "none",
        "imap_host": "127.0.0.1",
        "imap_port": imap_port,
        "imap_security": "none",
        "daily_limit": 1000,
    }
    credentials = [
        {
            **sender,
            **host,
            "smtp_username": sender["from_email"],
            "smtp_password": "sandbox",
            "imap_username": sender["from_email"],
            "imap_password": "sandbox",
        }
        for sender in senders
    ]
    return {
        "name": "The demo",
        "min_wait_seconds": 120,
        "max_wait_seconds": 420,
        "bounce_rate_threshold": 60.0,  # of 20 sends more than 1 may well be a bounce here; the rule itself has tests
        "smtp_credentials": credentials,
        "sequence_steps": [dict(step) for step in STEPS],
    }
