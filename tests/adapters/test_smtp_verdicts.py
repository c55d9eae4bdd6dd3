"""What a reply means, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider.events.public_addresses import is_public
from outrider.sender.smtp_addresses import is_plain
from outrider.sender.smtp_outcomes import CredentialFailed, Deferred, Rejected, Server
from outrider.sender.smtp_verdicts import REPLY_MAX, Asked, Reply, classify

VERDICTS: list[tuple[Asked, str, str]] = [
    ("rcpt", "550 5.1.1 The email account that you tried to reach does not exist", "hard"),
    ("rcpt", "550 User unknown", "hard"),
    ("rcpt", "550 5.7.1 No such user here", "hard"),
    ("rcpt", "550 Requested action not taken: mailbox unavailable", "hard"),
    ("rcpt", "550 sorry, no mailbox here by that name (#5.1.1)", "hard"),
    ("rcpt", "556 5.1.10 Recipient domain has null MX", "hard"),
    ("rcpt", "553 5.1.2 Domain does not exist", "hard"),
    ("rcpt", "550 5.2.1 This account is disabled", "hard"),
    ("dot", "550 5.1.1 User unknown", "hard"),
    ("rcpt", "552 5.2.2 Mailbox full", "soft"),
    ("rcpt", "550 Mailbox is full", "soft"),
    ("rcpt", "552 storage exceeded", "soft"),
    ("rcpt", "554 5.3.2 System not accepting messages", "soft"),
    ("rcpt", "501 Syntax error", "soft"),
    ("mail", "552 5.3.4 Message size exceeds fixed limit", "soft"),
    ("dot", "552 Message too large", "soft"),
    ("rcpt", "550 5.7.1 Rejected by policy", "block"),
    ("rcpt", "554 Service unavailable; client host blocked using Spamhaus", "block"),
    ("rcpt", "550 Access denied", "block"),
    ("dot", "554 5.7.1 Spam message rejected", "block"),
    ("dot", "554 Transaction failed", "block"),
    ("dot", "550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy", "block"),
    ("mail", "535 5.7.8 Username and password not accepted", "auth_failed"),
    ("mail", "530 5.7.0 Authentication required", "auth_failed"),
    ("rcpt", "534 5.7.9 Please log in through your web browser", "auth_failed"),
    ("mail", "550 5.7.30 Basic authentication is not supported", "auth_failed"),
    ("rcpt", "550 Authentication is required for relay", "auth_failed"),
    ("dot", "550 5.4.5 Daily user sending limit exceeded", "held_today"),
    ("mail", "454 Throttling failure: Daily message quota exceeded", "held_today"),
    ("dot", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", "held_today"),
    ("rcpt", "550 5.1.90 You have reached your daily limit for message recipients", "held_today"),
    ("mail", "550 5.1.8 Access denied, bad outbound sender", "policy"),
    ("mail", "550 Not today", "policy"),
    ("rcpt", "553 5.7.1 <ann@x.example>: Sender address rejected: not owned by user bob", "policy"),
    ("rcpt", "554 5.7.1 <bob@x.example>: Relay access denied", "policy"),
    ("dot", "550 5.7.1 Your account has been suspended", "policy"),
    ("dot", "554 Message rejected: Email address is not verified.", "policy"),
    ("dot", "550 5.7.501 Service unavailable. Spam abuse detected", "policy"),
    ("rcpt", "450 4.2.1 Greylisted", "deferred"),
    ("mail", "451 4.7.1 Try later", "deferred"),
    ("dot", "452 4.3.1 Insufficient system storage", "deferred"),
    ("rcpt", "452 4.2.2 Over quota", "deferred"),
    ("rcpt", "550 5.2.121 Daily limit: recipient can't receive more", "soft"),
]


@pytest.mark.parametrize(("asked", "line", "verdict"), VERDICTS)
def test_a_refusal_means(asked: Asked, line: str, verdict: str) -> None:
    code, _, text = line.partition(" ")
    outcome = classify(asked, Reply(int(code), text))
    said = "deferred" if isinstance(outcome, Deferred) else outcome.kind
    assert (said, outcome.status_code, outcome.reply) == (verdict, int(code), text)
    if isinstance(outcome, Rejected):
        assert outcome.stage == asked
    assert isinstance(outcome, CredentialFailed) == (verdict in {"auth_failed", "held_today", "policy"})


def test_an_echoed_address_is_not_the_servers_opinion() -> None:
    outcome = classify("rcpt", Reply(550, "<no.such.user.relay.denied@spam.example> is full"))
    assert isinstance(outcome, Rejected)
    assert outcome.kind == "hard"


@given(st.integers(400, 599), st.text(max_size=2000), st.sampled_from(["mail", "rcpt", "data", "dot"]))
def test_every_refusal_has_a_verdict_and_bounded_clean_words(code: int, text: str, asked: Asked) -> None:
    words = classify(asked, Reply(code, text)).reply
    assert len(words) <= REPLY_MAX
    assert all(sign.isprintable() for sign in words)


@pytest.mark.parametrize(
    "address", ["ann@example.com", "a..b@docomo.example", "o'neil+x@e-x.example", "é@bücher.example"]
)
def test_a_plain_address_is_taken(address: str) -> None:
    assert is_plain(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "ann", "@example.com", "ann@", "ann@.com", "ann@exa mple.com", "ann@example.com.", "a@b@c.example"),
        *("Ann <ann@example.com>", "<ann@example.com>", "ann@example.com> SIZE=1", "ann@example.com\r\nDATA"),
        *("ann\0@example.com", "ann@example.com\n", '"ann"@example.com', "ann,bob@example.com", "ann@-x.example"),
        *("a" * 65 + "@example.com", "ann@" + "a." * 130 + "example", "a\u202e@example.com", "a\ud800@example.com"),
    ],
)
def test_anything_else_is_not(address: str) -> None:
    assert not is_plain(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2a00:1450:4001::1", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]
)
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104  # looked at only
            "224.0.0.1",
        ),
        *("::1", "::", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"),
        *("2002:a00:1::1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "192.0.2.1", "198.18.0.1"),
        *("fd00:ec2::254", "2001:db8::1", "2001:0:a00:1::1", "::127.0.0.1", "64:ff9b:1::a00:1"),
    ],
)
def test_a_private_address_may_not(address: str) -> None:
    assert not is_public(address)


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(Server("mail.example", 587, "starttls", "ann", "secret"))
