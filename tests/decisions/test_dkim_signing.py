# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
"""A signature holds for the bytes that are sent, headers for unsubscribing included, and for no others."""

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from outrider.events.dkim_signing import BadKey, DkimKey, check_key, sign
from outrider.events.mime import Mail, build

RSA = rsa.generate_private_key(65537, 2048)
PUBLIC = base64.b64encode(
    RSA.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
)
MAIL = Mail(
    delivery=UUID(int=1),
    message_id="<a@b>",
    date=datetime(2026, 11, 22, tzinfo=UTC),
    from_email="joe@example.com",
    to_email="ada@example.org",
    subject="Grüße",
    html="<p>Hi</p>",
    text=".dots\n..\n\n\n",
    reply_to="desk@example.com",
    in_reply_to="<c@d>",
    references=["<c@d>"],
    unsubscribe_url="https://example.com/u/".ljust(500, "x"),
)


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
    secret: serialization.KeySerializationEncryption | None = None,
) -> str:
    encryption = secret or serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


KEY = DkimKey("example.com", "s1", pem(RSA))


def verified(message: bytes) -> bool:
    def record(name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG001  # as dkimpy calls it
        assert name == b"s1._domainkey.example.com."
        return b"v=DKIM1; k=rsa; p=" + PUBLIC

    return bool(dkim.verify(message, dnsfunc=record))


def test_a_signature_covers_what_is_sent_and_the_ways_to_unsubscribe() -> None:
    signed = sign(build(MAIL), KEY)
    assert verified(signed)
    header = signed.partition(b"\r\n\r\n")[0].decode()
    assert not re.search(r"(?<!\r)\n|\r(?!\n)", header)
    names = re.sub(r"\s", "", re.search(r"h=([^;]*);", header)[1]).split(":")  # type: ignore[index]  # it is there
    assert {"list-unsubscribe", "list-unsubscribe-post", "message-id", "to", "subject", "date"} <= set(names)
    assert names.count("from") == 2
    assert signed.endswith(build(MAIL))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"List-Unsubscribe: <https://example.com", b"List-Unsubscribe: <https://evil.example"),
        (b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Click"),
        (b"From: joe@", b"From: eve@"),
        (b"MIME-Version: 1.0", b"From: eve@example.com\r\nMIME-Version: 1.0"),
        (b"<p>Hi</p>", b"<p>Ho</p>"),
    ],
)
def test_what_is_changed_on_the_way_is_not_signed(before: bytes, after: bytes) -> None:
    signed = sign(build(MAIL), KEY)
    assert before in signed
    assert not verified(signed.replace(before, after))


def test_a_message_without_optional_headers_is_signed_too() -> None:
    assert verified(sign(build(replace(MAIL, reply_to=None, references=(), unsubscribe_url=None)), KEY))


def test_both_forms_of_a_key_are_taken() -> None:
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        check_key(pem(RSA, form))


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "RSA"),
        ("ä", "RSA"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "RSA"),  # pragma: allowlist secret
        (pem(ec.generate_private_key(ec.SECP256R1())), "RSA"),
        (pem(RSA)[:400], "RSA"),
        (pem(RSA, secret=serialization.BestAvailableEncryption(b"x")), "encrypted"),
    ],
)
def test_what_cannot_sign_is_refused_and_not_shown(key: str, why: str) -> None:
    with pytest.raises(BadKey, match=why) as refused:
        check_key(key)
    assert not key or key[:40] not in str(refused.value)
    assert repr(KEY) == "DkimKey(domain='example.com', selector='s1')"
