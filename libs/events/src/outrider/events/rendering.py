"""Templates: what may stand in a step's subject and bodies, and the mail that one contact gets of them.

Pure: the check at creation, the preview, the test send and the sender all apply these rules.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from outrider.events.rendering_liquid import BadSyntax, Part
from outrider.events.rendering_text import text_of

Scalar = str | int | float | bool | None
Where = Literal["subject", "body_html", "body_text"]

FIELDS: Final = ("first_name", "last_name", "email", "company", "unsubscribe_url")
"""And `custom.<name>`."""

LARGEST_SAMPLE: Final = 512 * 1024
"""Octets that a part may have when rendered with sample values; a real mail may have twice as many."""

_LINE_BREAKERS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_END_OF_BODY: Final = re.compile(r"</body\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """What an author has to change: the field of the step, and where in it what is wrong."""

    field: Where
    message: str


class BadTemplate(ValueError):
    """The source of a step cannot be compiled."""

    def __init__(self, problems: list[Problem]) -> None:
        """Keep what is wrong, for the answer."""
        super().__init__("; ".join(f"{one.field}: {one.message}" for one in problems))
        self.problems = problems


class CannotRender(ValueError):
    """This contact's values do not go with the template, as a division by its missing number; nothing may be sent.

    `problem` says where and why, and holds no value of the contact.
    """

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(f"{problem.field}: {problem.message}")
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Merge:
    """The values of one contact. What is missing or empty renders as empty, and counts as false in an `if`."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    company: str | None = None
    unsubscribe_url: str | None = None
    custom: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])


@dataclass(frozen=True, slots=True)
class Rendered:
    """One mail's content; the subject is a single line."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """A step compiled once per version, rendered once per mail."""

    subject: Part
    html: Part
    text: Part | None
    """None: the text is derived from each rendered HTML body."""

    def render(self, merge: Merge) -> Rendered:
        """The mail for these values, escaped in the HTML body alone; raises CannotRender."""
        fields = _fields(merge)
        subject = _LINE_BREAKERS.sub(" ", _rendered("subject", self.subject, fields)).strip()
        body_html = _rendered("body_html", self.html, fields)
        body_text = text_of(body_html) if self.text is None else _rendered("body_text", self.text, fields)
        return Rendered(subject, body_html, body_text)


class _Named(dict[str, Scalar]):
    """Sample values of custom fields: each shows its own name."""

    def __missing__(self, name: str) -> Scalar:
        return f"[{name}]"


class _Numbered(_Named):
    """Sample values of custom fields that are numbers: a template may compare them."""

    def __missing__(self, name: str) -> Scalar:
        return len(name)


def compile_step(subject: str, body_html: str, body_text: str | None = None) -> Template:
    """The compiled step; raises BadTemplate for broken syntax. What `check` let through compiles."""
    problems = list[Problem]()
    parts = [_part(where, source, problems) for where, source in _sources(subject, body_html, body_text)]
    if problems or parts[0] is None or parts[1] is None:
        raise BadTemplate(problems)
    return Template(parts[0], parts[1], parts[2] if body_text is not None else None)


def check(subject: str, body_html: str, body_text: str | None = None) -> list[Problem]:
    """Everything that keeps these sources from being a step; empty if they are sound."""
    return [one for where, source in _sources(subject, body_html, body_text) for one in check_part(where, source)]


def check_part(where: Where, source: str) -> list[Problem]:
    """Everything that keeps this source from being that part of a step; empty if it is sound.

    Beyond syntax, fields and filters it is rendered with sample values and with none at all.
    """
    problems = list[Problem]()
    part = _part(where, source, problems)
    return problems if part is None else _unknown(where, source, part) or _tried(where, source, part)


def merge_of(person: Mapping[str, Any], unsubscribe_url: str | None) -> Merge:
    """The values of a contact as the vault has the person."""
    return Merge(
        first_name=person.get("first_name"),
        last_name=person.get("last_name"),
        email=person.get("email"),
        company=person.get("company"),
        unsubscribe_url=unsubscribe_url,
        custom=person.get("custom") or {},
    )


def sample() -> Merge:
    """Values to show a template with: of a person who does not exist; `custom.role` shows as `[role]`."""
    return Merge(
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        company="Example Ltd",
        unsubscribe_url="https://example.com/u/sample",
        custom=_Named(),
    )


def add_pixel(body_html: str, url: str) -> str:
    """The HTML with an invisible image of that address at its end, inside the body where there is one."""
    pixel = f'<img src="{html.escape(url)}" width="1" height="1" alt="" style="border:0;width:1px;height:1px">'
    return before_end_of_body(body_html, pixel)


def before_end_of_body(body_html: str, more: str) -> str:
    """The HTML with more of it at its end, inside the body where there is one."""
    ends = list(_END_OF_BODY.finditer(body_html))
    at = ends[-1].start() if ends else len(body_html)
    return body_html[:at] + more + body_html[at:]


def _sources(subject: str, body_html: str, body_text: str | None) -> list[tuple[Where, str]]:
    sources: list[tuple[Where, str]] = [("subject", subject), ("body_html", body_html)]
    return sources if body_text is None else [*sources, ("body_text", body_text)]


def _part(where: Where, source: str, problems: list[Problem]) -> Part | None:
    try:
        return Part(source, html=where == "body_html")
    except BadSyntax as error:
        problems.append(_problem(where, source, error.index, error.message))
        return None


def _unknown(where: Where, source: str, part: Part) -> list[Problem]:
    fields, unknown_filters = part.mentions()
    found = [(one.index, f"unknown filter '{one}'") for one in unknown_filters]
    found += [
        (one.index, f"unknown field '{one}'; fields are {', '.join(FIELDS)}, custom.<name>")
        for one in fields
        if not _is_field(one.path)
    ]
    if where == "subject":
        urls = [one.index for one in fields if one.path[:1] == ("unsubscribe_url",)]
        found += [(index, "unsubscribe_url may stand in a body only") for index in urls]
    return [_problem(where, source, index, message) for index, message in sorted(found)]


def _is_field(path: tuple[object, ...]) -> bool:
    match path:
        case ("custom", str()) | ("custom", str(), "size"):
            return True
        case (str(name),) | (str(name), "size"):
            return name in FIELDS
        case _:
            return False


def _tried(where: Where, source: str, part: Part) -> list[Problem]:
    named = _attempt(where, source, part, sample())
    if named and not _attempt(where, source, part, replace(sample(), custom=_Numbered())):
        named = None
    missing = _attempt(where, source, part, Merge())
    return list(dict.fromkeys(one for one in (named, missing) if one))


def _attempt(where: Where, source: str, part: Part, merge: Merge) -> Problem | None:
    try:
        rendered = part.render(_fields(merge))
    except BadSyntax as error:
        return _problem(where, source, error.index, error.message)
    if len(rendered.encode()) > LARGEST_SAMPLE:
        return Problem(where, f"renders to more than {LARGEST_SAMPLE // 1024} KiB")
    return None


def _rendered(where: Where, part: Part, fields: Mapping[str, object]) -> str:
    try:
        return part.render(fields)
    except BadSyntax as error:
        raise CannotRender(Problem(where, error.message)) from error


def _fields(merge: Merge) -> dict[str, object]:
    return {
        "first_name": merge.first_name or None,
        "last_name": merge.last_name or None,
        "email": merge.email or None,
        "company": merge.company or None,
        "unsubscribe_url": merge.unsubscribe_url or None,
        "custom": _custom(merge.custom),
    }


def _custom(values: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    if isinstance(values, _Named):
        return values
    return {name: None if value == "" else value for name, value in values.items()}


def _problem(where: Where, source: str, index: int, message: str) -> Problem:
    line = source.count("\n", 0, index) + 1
    column = index - source.rfind("\n", 0, index)
    return Problem(where, f"line {line}, column {column}: {message}")
