"""A mail says what was put in, and nothing that a value holds can say more."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address, AddressHeader
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outrider.events.mime import LONGEST_LINE, BadHeader, Mail, build, clean, needs_smtputf8

MAIL = Mail(
    delivery=UUID("01900000-0000-5000-8000-0000000000ff"),
    message_id="<0190000000005000800000000000.aa00@example.com>",
    date=datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC),
    from_email="joe@example.com",
    to_email="ada@example.org",
    subject="Hi Ada",
    html="<p>Hi</p>",
    text="Hi",
)
FULL = replace(
    MAIL,
    from_name="Joe Doe",
    to_name="Ada",
    reply_to="desk@example.com",
    in_reply_to="<a@b>",
    references=["<a@b>", "<c@d>"],
    unsubscribe_url="https://example.com/u/token",
)
HEADERS = [
    *("Date", "From", "To", "Reply-To", "Subject", "Message-ID", "In-Reply-To", "References"),
    *("List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version", "Content-Type"),
]
ONE_WORD = 16
"""Octets of a name that surely fits one encoded word."""
TEXT = st.text(st.characters(codec="utf-8"))


def parsed(mail: Mail) -> EmailMessage:
    """The mail as a receiver reads it, once its bytes are seen to be sound."""
    raw = build(mail)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)
    assert all(len(line) <= LONGEST_LINE for line in raw.split(b"\r\n"))
    assert b"\0" not in raw
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    assert [type(part.defects) for part in message.walk() if part.defects] == []
    return message


def bodies(message: EmailMessage) -> list[tuple[str, str]]:
    """Type and text of every part."""
    return [(part.get_content_type(), str(part.get_content()).replace("\r\n", "\n")) for part in message.iter_parts()]


def sole(message: EmailMessage, header: str) -> Address:
    """The only address of a header."""
    value = message[header]
    assert isinstance(value, AddressHeader)
    assert len(value.addresses) == 1
    return value.addresses[0]


def test_a_mail_has_its_headers_and_both_bodies() -> None:
    message = parsed(FULL)
    assert message.keys() == HEADERS
    assert message["Date"] == "Sun, 22 Nov 2026 09:30:05 +0000"
    assert (sole(message, "From").display_name, sole(message, "From").addr_spec) == ("Joe Doe", "joe@example.com")
    assert message["References"] == "<a@b> <c@d>"
    assert message["List-Unsubscribe"] == "<https://example.com/u/token>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_content_type() == "multipart/alternative"
    assert bodies(message) == [("text/plain", "Hi"), ("text/html", "<p>Hi</p>")]


def test_a_mail_without_extras_has_no_empty_headers() -> None:
    optional = {"Reply-To", "In-Reply-To", "References", "List-Unsubscribe", "List-Unsubscribe-Post"}
    assert parsed(MAIL).keys() == [one for one in HEADERS if one not in optional]


def test_the_same_mail_is_the_same_bytes() -> None:
    assert build(FULL) == build(FULL)


@given(TEXT)
@example("Bj\u00f6rn: =?utf-8?q?x?=")
@example("a" * 500)
@example("word " * 100 + "end")
@example("\U0001f600" * 90)
@example("a\r\nBcc: x@y.z")
@example('"quoted" (comment) <x@y.z>, "')
def test_a_subject_is_read_as_it_was_written(subject: str) -> None:
    message = parsed(replace(FULL, subject=subject))
    assert message["Subject"] == clean(subject)
    assert message.keys() == HEADERS


@given(TEXT, TEXT)
@example('Joe "the" \\ Doe', "Doe, Joe")
@example("a@b.c", "=?utf-8?q?x?=")
@example("x <evil@example.net>, y", "\u00c4" * 200)
@example("a\r\nBcc: x@y.z", "\0")
@example("two  blanks", "tab\tbed")
def test_a_name_is_read_as_it_was_written_and_adds_nobody(from_name: str, to_name: str) -> None:
    message = parsed(replace(FULL, from_name=from_name, to_name=to_name))
    for header, written in (("From", from_name), ("To", to_name)):
        name = re.sub(r"\s{2,}", " ", clean(written))
        read = sole(message, header).display_name
        one_word = len(name.encode()) <= ONE_WORD  # Python's parser keeps the fold between two words of a phrase
        assert read == name if one_word else read.replace(" ", "") == name.replace(" ", "")
    assert (sole(message, "From").addr_spec, sole(message, "To").addr_spec) == ("joe@example.com", "ada@example.org")
    assert message.keys() == HEADERS


@given(TEXT, TEXT)
@example("--=_01900000000050008000000000" + "0000ff\r\n\r\nx", "--=_019000000000500080000000000000ff--\n")
@example(".\n..\nFrom x\n", " trailing \t\n" + "x" * 2000)
@example("\u4f60\u597d\n" * 300, "\r\r\n\n\0")
def test_bodies_are_read_as_they_were_written(text: str, html: str) -> None:
    message = parsed(replace(FULL, text=text, html=html))
    expected = [one.replace("\r\n", "\n").replace("\r", "\n") for one in (text, html)]
    assert bodies(message) == [("text/plain", expected[0]), ("text/html", expected[1])]
    assert message.keys() == HEADERS


def test_half_a_surrogate_pair_becomes_a_sign() -> None:
    message = parsed(replace(MAIL, subject="a\ud83d", from_name="b\ud83d", text="c\ud83d"))
    assert (message["Subject"], sole(message, "From").display_name) == ("a\ufffd", "b\ufffd")
    assert bodies(message)[0][1] == "c?"


@pytest.mark.parametrize("length", [40, 79, 400, LONGEST_LINE - len("List-Unsubscribe: <>")])
def test_the_unsubscribe_url_stands_unbroken_on_the_wire(length: int) -> None:
    url = "https://example.com/u/".ljust(length, "x")
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in build(replace(MAIL, unsubscribe_url=url))
    assert parsed(replace(MAIL, unsubscribe_url=url))["List-Unsubscribe"] == f"<{url}>"


@pytest.mark.parametrize(
    ("header", "mail"),
    [
        ("From", replace(MAIL, from_email="joe@example.com\r\nBcc: x@y.z")),
        ("From", replace(MAIL, from_email="joe@example.com, x@y.zz")),
        ("To", replace(MAIL, to_email="a,b@example.com")),
        ("To", replace(MAIL, to_email="Ada <ada@example.com>")),
        ("To", replace(MAIL, to_email="")),
        ("Reply-To", replace(MAIL, reply_to="x\0@example.com")),
        ("Message-ID", replace(MAIL, message_id="<a@b>\r\nBcc: x@y.z")),
        ("In-Reply-To", replace(MAIL, in_reply_to="a@b")),
        ("References", replace(MAIL, references=["<a@b>", "<a b>"])),
        ("List-Unsubscribe", replace(MAIL, unsubscribe_url="https://x/\r\nBcc: x@y.z")),
        ("List-Unsubscribe", replace(MAIL, unsubscribe_url="https://x/>,<mailto:x@y.z")),
        ("List-Unsubscribe", replace(MAIL, unsubscribe_url="mailto:x@y.z")),
        ("List-Unsubscribe", replace(MAIL, unsubscribe_url="https://x/" + "x" * LONGEST_LINE)),
    ],
)
def test_what_cannot_stand_in_a_header_is_refused(header: str, mail: Mail) -> None:
    with pytest.raises(BadHeader) as refused:
        build(mail)
    assert refused.value.header == header


@given(st.text(min_size=1))
def test_no_value_adds_a_header(value: str) -> None:
    for mail in (
        replace(FULL, from_email=value),
        replace(FULL, to_email=f"{value}@example.com"),
        replace(FULL, reply_to=f"joe@{value}"),
        replace(FULL, message_id=f"<{value}>"),
        replace(FULL, in_reply_to=value),
        replace(FULL, references=[f"<{value}@x>"]),
        replace(FULL, unsubscribe_url=f"https://{value}"),
    ):
        try:
            raw = build(mail)
        except BadHeader:
            continue
        assert message_from_bytes(raw, policy=default).keys() == HEADERS


def test_an_international_domain_is_written_in_ascii() -> None:
    assert (
        sole(parsed(replace(MAIL, to_email="ada@B\u00fccher.example")), "To").addr_spec == "ada@xn--bcher-kva.example"
    )


def test_a_quoted_or_long_address_stays_whole() -> None:
    quoted = replace(
        MAIL, from_name="J" * 60, from_email='"joe, doe"@example.com', to_email=f"{'a' * 64}@{'b' * 63}.com"
    )
    message = parsed(quoted)
    assert sole(message, "From").username == "joe, doe"
    assert sole(message, "To").addr_spec == quoted.to_email


def test_a_utf8_local_part_needs_smtputf8() -> None:
    mail = replace(MAIL, to_email="j\u00f6rg@example.com", to_name="J\u00f6rg")
    assert (needs_smtputf8(mail), needs_smtputf8(MAIL), needs_smtputf8(FULL)) == (True, False, False)
    assert "<j\u00f6rg@example.com>\r\n".encode() in build(mail)
    assert build(FULL).isascii()
