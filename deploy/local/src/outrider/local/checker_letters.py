"""What a letter of the demo must say and where it belongs in a thread: worked out from the list, without Liquid."""

from collections.abc import Iterator
from html.parser import HTMLParser

from outrider.local.demo_campaign import Person, stored
from outrider.local.sandbox_record import Accepted


def threading(first: Accepted, number: int, letter: Accepted) -> Iterator[str]:
    """Answer what keeps the letter out of the conversation (RFC 5322 3.6.4)."""
    root = first["message_id"]
    if not root.startswith("<") or not root.endswith(">"):
        yield f"letter {number} has no Message-ID"
    if number == 1 and (letter["in_reply_to"] or letter["references"]):
        yield "the first letter is a reply"
    if number > 1 and (letter["in_reply_to"] != root or root not in letter["references"]):
        yield f"letter {number} is not in the thread of the first"


def content(person: Person, number: int, letter: Accepted) -> Iterator[str]:
    """Answer where the letter differs from what this person must read."""
    subject, body = wanted(person, number)
    for part, found, expected in (
        ("subject", letter["subject"], subject),
        ("text", flat(letter["text"]), body),
        ("HTML", flat(" ".join(_Text.of(letter["html"]))), body),
    ):
        if found != expected:
            yield f"{part} of letter {number} reads {found!r} instead of {expected!r}"


def wanted(person: Person, number: int) -> tuple[str, str]:
    """Answer subject and body of the letter as this person must read it, blanks made one."""
    row = person.row
    first, company = row["first_name"], row["company"]
    subject = f"{first or 'Hello'}, a question about {company or 'your work'}"
    match number:
        case 1:
            who = f"who at {company}" if company else "who among you"
            body = f"Hello {first or 'there'}, {who} looks after mail that nobody reads?"
        case 2:
            role, city = row["role"] or "somebody who knows", row["city"] or "your town"
            body = f"Dear {first} {row['last_name']}, as {role} in {city} you will have an opinion."
        case _:
            note = f" (My notes say: {row['note']}.)" if row["note"] else ""
            body = f"This is my last letter to {stored(row['email'])}.{note}"
    again = "Re: " if number > 1 else ""
    return flat(again + subject), flat(f"{body} Greetings Outreach Ltd")


def flat(text: str) -> str:
    """Answer the text with every run of blanks made one, and none before a comma where a name is missing."""
    return " ".join(text.split()).replace(" ,", ",")


class _Text(HTMLParser):
    """Collects what a reader of the HTML sees; a value that was not escaped would be a tag and be missing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_data(self, data: str) -> None:
        self.seen.append(data)

    @classmethod
    def of(cls, html: str) -> list[str]:
        """Answer the texts between the tags."""
        parser = cls()
        parser.feed(html)
        parser.close()
        return parser.seen
