"""Ids, shards and addresses come out alike in every service and release."""

import re
import threading
from collections.abc import Sequence
from uuid import UUID, uuid5

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outrider.events.ids import (
    BadAddress,
    address_key,
    delivery_id,
    domain_key,
    domain_of,
    enrollment_id,
    new_id,
    new_ids,
    parse_address,
    parse_domain,
    partition,
    shard,
)

ACCOUNT = UUID("01900000-0000-7000-8000-000000000001")
OTHER = UUID("01900000-0000-7000-8000-000000000002")
KEY = b"k" * 32
HEX = re.compile("[0-9a-f]{32}")


def test_new_ids_are_version_7_and_rise() -> None:
    made = [new_id() for _ in range(2000)]
    assert made == sorted(set(made))
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}


def test_many_new_ids_at_once_rise_with_those_before_and_after() -> None:
    made = [new_id(), *map(UUID, new_ids(1000)), new_id(), *map(UUID, new_ids(1)), *map(UUID, new_ids(0)), new_id()]
    assert made == sorted(set(made))
    assert len(made) == 1004
    assert all(text == str(UUID(text)) for text in new_ids(100)), "in the one usual spelling"
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}


def test_new_ids_of_many_threads_are_all_different() -> None:
    made: list[UUID] = []

    def make() -> None:
        for _ in range(50):
            made.extend([*(new_id() for _ in range(5)), *map(UUID, new_ids(5))])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(made)) == len(made) == 4 * 500


def test_derived_ids_never_change_between_releases() -> None:
    assert enrollment_id(ACCOUNT, OTHER) == uuid5(ACCOUNT, str(OTHER))
    assert enrollment_id(ACCOUNT, OTHER) == UUID("c6c769ee-ae49-589b-94a8-97c70bb05b02")
    assert delivery_id(ACCOUNT, 1) == uuid5(ACCOUNT, "1")
    assert delivery_id(ACCOUNT, 1) != delivery_id(ACCOUNT, 2)
    assert (shard(ACCOUNT), partition(ACCOUNT)) == (36, 36)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("  Joe.Doe+x@Example.COM\n", "Joe.Doe+x@example.com"),
        ("joe@Bücher.Example", "joe@xn--bcher-kva.example"),
        ("joe@bücher。example", "joe@xn--bcher-kva.example"),
        ("joe@faß.de", "joe@xn--fa-hia.de"),
        ("joe@XN--BCHER-KVA.example", "joe@xn--bcher-kva.example"),
        ("Jörg@example.com", "Jörg@example.com"),
        ("用户@例子.测试", "用户@xn--fsqu00a.xn--0zwm56d"),
        ('"joe doe"@example.com', '"joe doe"@example.com'),
        (r'"a@b\"c"@example.com', r'"a@b\"c"@example.com'),
        ("o'hara@r3---sn.example.com", "o'hara@r3---sn.example.com"),
        ("joe@localhost", "joe@localhost"),
        ("joe@shop.test", "joe@shop.test"),
        (f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.de", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 57}.de"),
    ],
)
def test_an_address_is_stored_in_one_spelling(text: str, parsed: str) -> None:
    assert parse_address(text) == parsed
    assert parse_address(parsed) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joe",
        "@example.com",
        "joe@",
        "joe@gmail",
        "joe@.com",
        "joe@example..com",
        "joe@example.com.",
        "joe@-example.com",
        "joe@exa_mple.com",
        "joe@1.2.3.4",
        "joe@[1.2.3.4]",
        "joe@exa mple.com",
        "joe@@example.com",
        ".joe@example.com",
        "joe.@example.com",
        "jo..e@example.com",
        "joe doe@example.com",
        "joe\r\nBcc: x@example.com",
        "jo\r\ne@example.com",
        '"jo\r\ne"@example.com',
        "jo\0e@example.com",
        "<joe@example.com>",
        '"<"@example.com',
        "Joe <joe@example.com>",
        "a@x.com,b@y.com",
        "jo\u200be@example.com",
        "jo\udc80e@example.com",
        "joe@exam\udc80ple.com",
        '"joe@example.com',
        '"jo"e"@example.com',
        "joe@xn--a.com",
        "joe@\u0300x.com",
        f"{'a' * 65}@example.com",
        f"{'ä' * 33}@example.com",
        f"joe@{'a' * 64}.com",
        f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 59}.de",
        "a" * 100_000 + "@" + "ü" * 100_000,
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        parse_address(text)
    assert refused.value.reason == str(refused.value) != ""


@given(st.text())
def test_whatever_is_given_is_parsed_or_refused(text: str) -> None:
    for candidate in (text, f"{text}@example.com", f"joe@{text}"):
        try:
            parsed = parse_address(candidate)
        except BadAddress:
            continue
        assert parse_address(parsed) == parsed
        assert not set(parsed) & set("\r\n\0<>")
        assert domain_of(parsed).isascii()
        assert HEX.fullmatch(address_key(KEY, ACCOUNT, parsed))


@given(
    st.text("aZ9.!'+\"<", max_size=70),
    st.lists(st.text("ab9-xn", max_size=70), max_size=5),
    st.sampled_from(["a", "com", "-", "9", "A", ""]),
)
@example("joe", ["xn--a"], "com")
@example("a" * 64, ["b" * 63, "b" * 63, "b" * 55], "com")
@example("a" * 64, ["b" * 63, "b" * 63, "b" * 56], "com")
@example("a" * 65, ["b"], "com")
@example("joe", ["b" * 64], "com")
def test_usual_addresses_are_parsed_as_all_others_are(local: str, labels: Sequence[str], last: str) -> None:
    def parsed(text: str) -> str:
        try:
            return parse_address(text)
        except BadAddress as bad:
            return f"refused: {bad.reason}"

    text = f"{local}@{'.'.join([*labels, last])}"
    assert parsed(text) == parsed(f" {text}"), "a space in front: that is not looked at as a usual one"


def test_a_domain_may_stand_with_its_at_sign() -> None:
    assert parse_domain(" @Example.com ") == parse_domain("example.com") == "example.com"
    assert domain_of(parse_address('"a@b"@Example.com')) == "example.com"


def test_one_mailbox_has_one_key_however_it_is_spelt() -> None:
    key = address_key(KEY, ACCOUNT, "Joe@example.com")
    assert HEX.fullmatch(key)
    assert key == address_key(KEY, ACCOUNT, "jOE@example.com") == address_key(KEY, ACCOUNT, r'"j\oe"@example.com')
    assert address_key(KEY, ACCOUNT, "j\u00f6@x.de") == address_key(KEY, ACCOUNT, "JO\u0308@x.de")


def test_keys_differ_by_account_key_address_and_kind() -> None:
    keys = [
        address_key(KEY, ACCOUNT, "joe@example.com"),
        address_key(KEY, OTHER, "joe@example.com"),
        address_key(b"x" * 32, ACCOUNT, "joe@example.com"),
        address_key(KEY, ACCOUNT, "joe@example.org"),
        domain_key(KEY, ACCOUNT, "example.com"),
        domain_key(KEY, ACCOUNT, "example.org"),
    ]
    assert len(set(keys)) == len(keys)
