"""CSV from outside: rows, their physical lines, and what becomes of garbage."""

import csv
import io
from collections.abc import Sequence

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.api.csv_people import WrongHeader, columns
from outrider.api.csv_text import BROKEN, LONGEST_ROW, NO_END, TOO_LONG, Record, Records
from outrider.api.importing import Candidate, Intake
from outrider.events.clock import real_clock
from outrider.events.ids import new_id

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"))
ROWS = st.lists(st.lists(TEXTS, min_size=2, max_size=4))


def read(body: bytes, size: int = 0) -> list[Record]:
    """The records of a body that comes in blocks of that size."""
    records = Records()
    size = size or len(body) or 1
    found = [record for at in range(0, len(body), size) for record in records.feed(body[at : at + size])]
    return [*found, *records.feed(b"", last=True)]


def said(body: bytes, size: int = 0) -> list[tuple[int, Sequence[str] | str]]:
    """Of each record its line, with its fields or its flaw."""
    return [(record.line, record.flaw or list(record.fields)) for record in read(body, size)]


@examples(ROWS, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 50))
def test_what_a_spreadsheet_writes_is_read_wherever_it_is_cut(rows: list[list[str]], end: str, size: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    body = text.getvalue().replace("\n", end).encode()
    assert [list(record.fields) for record in read(body, size)] == rows
    assert read(b"\xef\xbb\xbf" + body, size) == read(body)


@examples(st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b"\xff", b"\0", "é".encode()])), st.integers(1, 9))
def test_whatever_comes_is_read_to_its_end_and_alike_wherever_it_is_cut(parts: list[bytes], size: int) -> None:
    body = b"".join(parts)
    assert read(body, size) == read(body)
    lines = [record.line for record in read(body)]
    assert lines == sorted(set(lines))


def test_lines_are_physical_and_quoted_ends_of_lines_are_counted() -> None:
    body = b'email,company\r\na@x.example,"Two\r\nlines"\r\n\r\nb@x.example,One\rc@x.example,"x"'
    assert said(body) == [
        (1, ["email", "company"]),
        (2, ["a@x.example", "Two\nlines"]),
        (5, ["b@x.example", "One"]),
        (6, ["c@x.example", "x"]),
    ]


def test_a_broken_quote_costs_its_own_row_alone() -> None:
    assert said(b'a,"b"c\nd,e\nf,"g\nh,i\nj,"k"\n"l",m\n') == [
        (1, BROKEN), (2, ["d", "e"]), (3, BROKEN), (4, ["h", "i"]), (5, ["j", "k"]), (6, ["l", "m"]),
    ]  # fmt: skip
    assert said(b'a,b\n"c,d\ne,f') == [(1, ["a", "b"]), (2, NO_END), (3, ["e", "f"])]


def test_a_row_that_is_too_long_costs_itself_alone() -> None:
    giant = b"x" * (5 * LONGEST_ROW)
    assert said(b"a,b\n" + giant + b"\nc,d\n", 1000) == [(1, ["a", "b"]), (2, TOO_LONG), (3, ["c", "d"])]
    assert said(giant) == [(1, TOO_LONG)]
    quoted = b'"' + b"x\n" * LONGEST_ROW + b'"\n'
    found = said(b"a,b\n" + quoted + b"c,d\n", 4096)
    assert found[:3] == [(1, ["a", "b"]), (2, TOO_LONG), (3, ["x"])]
    assert found[-1] == (LONGEST_ROW + 3, ["c", "d"])


def test_a_file_made_to_be_read_again_and_again_is_not() -> None:
    records, reread = Records(), 0
    for _ in range(40):
        records.feed(b'a",b,"\n' * 20_000)
        reread = records.read_again
    assert reread < 2 * 1024 * 1024 + 40 * 20_000 * 7


def test_the_header_names_the_fields_and_what_it_does_not_know_is_custom() -> None:
    found = columns(Record(1, [" Email", "FIRST_NAME", "Role", "timezone"]))
    assert found.person(Record(2, ["a@x.example", "", "=SUM(A1)", "UTC"])) == Candidate(
        2,
        "a@x.example",
        {"email": "a@x.example", "first_name": None, "timezone": "UTC", "custom": {"Role": "=SUM(A1)"}},
    )
    assert found.person(Record(3, ["b@x.example", "+1", "", "-"])).person == {
        "email": "b@x.example", "first_name": "+1", "timezone": "-", "custom": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "flaw"),
    [
        (["a@x.example"], "the row has 1 fields, the header 3"),
        (["a@x.example", "b", "c", "d"], "the row has 4 fields, the header 3"),
        (["a@x.example", "b\0", "c"], "holds a NUL character"),
        (["a@x.example", "b\udcff", "c"], "is not UTF-8"),
        (["a@x.example", "b" * 1001, "c"], "first_name has more than 1000 characters"),
        (["a@x.example", "b", "c" * 17_000], "the custom fields have more than 16 KiB"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(fields: list[str], flaw: str) -> None:
    found = columns(Record(1, ["email", "first_name", "note"])).person(Record(7, fields))
    assert (found.line, found.email, found.person, found.flaw) == (7, "a@x.example", None, flaw)


@pytest.mark.parametrize(
    ("header", "errors"),
    [
        (None, ["header is required"]),
        (Record(1, ["name", "mail"]), ["header has no column email"]),
        (Record(1, ["email", "EMAIL", "x", "x"]), ["header names email twice", "header names x twice"]),
        (Record(1, ["email", " ", "x" * 201]), ["header[1] has no name", "header[2] is longer than 200 characters"]),
        (Record(1, ["email", "a\udcff", "\0"]), ["header[1] is not UTF-8", "header[2] holds a NUL character"]),
        (Record(1, ["email", *map(str, range(100_000))]), ["header has more than 500 columns"]),
        (Record(1, (), TOO_LONG), [f"header {TOO_LONG}"]),
    ],
)
def test_a_header_that_cannot_be_names_every_failure(header: Record | None, errors: list[str]) -> None:
    with pytest.raises(WrongHeader) as wrong:
        columns(header)
    assert [f"{one['field']} {one['message']}" for one in wrong.value.errors] == errors


def test_taken_skipped_and_rejected_add_up_and_lie_in_chunks() -> None:
    intake = Intake(new_id(), new_id(), b"k" * 32, real_clock().real())
    rows = [Candidate(n, f"p{n % 2500}@x.example", {"email": f"p{n % 2500}@x.example"}) for n in range(2600)]
    bad = [Candidate(n, "x\0" * 999, None, "why") for n in range(2600, 4650)]
    entries = [*intake.sort(rows[:1300]), *intake.sort([*rows[1300:], *bad]), *intake.sort([], last=True)]
    assert (intake.chunks, intake.taken, intake.skipped, intake.rejected, intake.read) == (3, 2600, 0, 2050, 4650)
    sizes = {entry.name: len(entry.value["rows"]) for entry in entries}
    assert sizes == {
        "rows-0": 1000, "rows-1": 1000, "rejects-000000003599": 1000, "rejects-000000004599": 1000,
        "rows-2": 600, "rejects-000000004649": 50,
    }  # fmt: skip
    shown = next(entry for entry in entries if entry.name.startswith("rejects")).value["rows"][0]["email"]
    assert shown == "x\ufffd" * 160
