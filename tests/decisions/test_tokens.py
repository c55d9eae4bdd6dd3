"""What we signed we read back; what we did not sign is nothing to us."""

import base64
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider.events.tokens import (
    LONGEST_TARGET,
    MOST_FOUND,
    Click,
    Keyring,
    Purpose,
    Token,
    find_own_ids,
    message_id,
    read_click,
    read_message_id,
    read_token,
    track_click,
    track_open,
    unsubscribe,
)

KEYS = Keyring(b"a" * 32)
ROTATED = Keyring(b"b" * 32, [b"a" * 32])
STRANGER = Keyring(b"c" * 32)
DELIVERY = UUID("01900000-0000-5000-8000-0000000000ff")


def test_a_message_id_has_the_shape_that_the_design_names() -> None:
    made = message_id(KEYS, DELIVERY, "example.com")
    local, _, domain = made.strip("<>").partition("@")
    delivery, _, signature = local.partition(".")
    assert (delivery, signature[:2], domain) == (DELIVERY.hex, KEYS.key_id, "example.com")
    assert len(bytes.fromhex(signature)) == 1 + 8
    assert made == message_id(KEYS, DELIVERY, "example.com")


@given(st.uuids())
def test_a_message_id_is_read_back_whatever_became_of_its_domain_and_case(delivery: UUID) -> None:
    made = message_id(KEYS, delivery, "example.com")
    assert read_message_id(KEYS, made) == delivery
    assert read_message_id(KEYS, f" {made.upper()}\r\n") == delivery
    assert read_message_id(KEYS, made.strip("<>").replace("example.com", "gateway.invalid")) == delivery


def test_a_rotated_key_still_verifies_and_a_strange_one_never_did() -> None:
    made = message_id(KEYS, DELIVERY, "example.com")
    assert read_message_id(ROTATED, made) == DELIVERY
    assert read_message_id(STRANGER, made) is None
    assert read_message_id(KEYS, message_id(ROTATED, DELIVERY, "example.com")) is None
    assert read_token(ROTATED, Purpose.OPEN, track_open(KEYS, DELIVERY)) == Token(DELIVERY)
    assert read_token(STRANGER, Purpose.OPEN, track_open(KEYS, DELIVERY)) is None


def test_addresses_keep_their_hashes_when_keys_rotate() -> None:
    assert ROTATED.address_key == KEYS.address_key != STRANGER.address_key


@given(st.integers(0, 50), st.sampled_from("0123456789abcdef"))
def test_one_changed_digit_makes_a_message_id_strange(index: int, digit: str) -> None:
    local = message_id(KEYS, DELIVERY, "example.com").strip("<>").partition("@")[0]
    changed = local[:index] + digit + local[index + 1 :]
    assert (read_message_id(KEYS, f"<{changed}@example.com>") == DELIVERY) == (changed == local)


@given(st.text())
def test_any_text_is_no_message_id_and_no_token(text: str) -> None:
    assert read_message_id(KEYS, text) is None
    assert find_own_ids(KEYS, text) == []
    assert all(read_token(KEYS, purpose, text) is None for purpose in Purpose)


def test_own_ids_are_found_in_references_and_returned_parts() -> None:
    first, second = uuid4(), uuid4()
    text = (
        f"References: <x@y>\r\n {message_id(KEYS, first, 'a.example')}\r\n {message_id(STRANGER, uuid4(), 'a.example')}"
        f"\r\n\r\n> Message-ID: {message_id(KEYS, second, 'b.example')} {message_id(KEYS, first, 'c.example')}"
    )
    assert find_own_ids(KEYS, text) == [first, second]


def test_the_search_for_own_ids_is_bounded() -> None:
    forged = "".join(message_id(STRANGER, uuid4(), "x.example") for _ in range(MOST_FOUND))
    assert find_own_ids(KEYS, forged + message_id(KEYS, DELIVERY, "x.example")) == []
    assert find_own_ids(KEYS, "a" * 2_000_000) == []


@given(st.uuids(), st.integers(0, 65535), st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=2000))
def test_a_token_says_what_was_put_in(delivery: UUID, link: int, target: str) -> None:
    assert read_token(KEYS, Purpose.OPEN, track_open(KEYS, delivery)) == Token(delivery)
    assert read_token(KEYS, Purpose.UNSUBSCRIBE, unsubscribe(KEYS, delivery)) == Token(delivery)
    assert read_click(KEYS, track_click(KEYS, delivery, link, target)) == Click(delivery, link, target)


def test_a_token_is_good_for_its_purpose_alone() -> None:
    made = {
        Purpose.OPEN: track_open(KEYS, DELIVERY),
        Purpose.CLICK: track_click(KEYS, DELIVERY, 0, "https://example.com/"),
        Purpose.UNSUBSCRIBE: unsubscribe(KEYS, DELIVERY),
    }
    for purpose in (Purpose.OPEN, Purpose.UNSUBSCRIBE):
        assert [one for one in made if read_token(KEYS, purpose, made[one])] == [purpose]
    assert [one for one in made if read_click(KEYS, made[one])] == [Purpose.CLICK]


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    token = data.draw(
        st.sampled_from([track_open(KEYS, DELIVERY), track_click(KEYS, DELIVERY, 7, "https://a.example/")])
    )
    index = data.draw(st.integers(0, len(token) - 1))
    changed = token[:index] + data.draw(st.sampled_from("AZaz09-_")) + token[index + 1 :]
    if changed != token:
        assert all(read_token(KEYS, purpose, changed) is None for purpose in Purpose)
        assert read_click(KEYS, changed) is None
    assert all(read_token(KEYS, purpose, token[:index]) is None for purpose in Purpose)
    assert read_click(KEYS, token[:index]) is None


def test_a_links_token_is_a_third_longer_than_its_target_and_outlives_its_key() -> None:
    longest = "https://example.com/".ljust(LONGEST_TARGET, "x")
    token = track_click(KEYS, DELIVERY, 1, longest)
    assert len(token) == 39 + len(longest) * 4 // 3 + 1
    assert read_click(ROTATED, token) == Click(DELIVERY, 1, longest)
    assert read_click(STRANGER, token) is None
    with pytest.raises(ValueError, match="too long"):
        track_click(KEYS, DELIVERY, 1, longest + "x")


def test_a_ring_is_read_from_its_setting() -> None:
    old, new = (base64.urlsafe_b64encode(one * 32).decode() for one in (b"a", b"b"))
    assert Keyring.parse(old).key_id == KEYS.key_id
    assert read_message_id(Keyring.parse(f"{new.rstrip('=')}, {old}"), message_id(KEYS, DELIVERY, "x.y")) == DELIVERY


@pytest.mark.parametrize("text", ["", "AAAA", "!", "ä", "A" * 44, "A" * 43 + ",", "A" * 42])
def test_a_bad_setting_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"32 bytes") as refused:
        Keyring.parse(text)
    assert not text or text not in str(refused.value)
    assert "key" not in repr(KEYS).lower().replace("keyring", "")
