"""What is said to somebody whose mailbox refuses the log-in, and when it is tried again."""

import pytest

from outrider.reply_watcher.imap_advice import advice
from outrider.reply_watcher.imap_values import refused_seconds


@pytest.mark.parametrize(
    ("host", "words", "said"),
    [
        ("imap.gmail.com", "[ALERT] Application-specific password required", "app password"),
        ("imap.gmail.com", "[AUTHENTICATIONFAILED] Invalid credentials (Failure)", "OAuth2"),
        ("imap.gmail.com", "[ALERT] Please log in via your web browser", "browser"),
        ("outlook.office365.com", "AUTHENTICATE failed.", "no passwords"),
        ("mail.example.com", "IMAP access is disabled for your account", "switched off"),
        ("mail.notgmail.com.example", "no", "Check user name and password."),
    ],
)
def test_a_refused_log_in_says_what_to_do(host: str, words: str, said: str) -> None:
    assert said in advice(host, words)


def test_a_refused_log_in_is_tried_again_ever_later() -> None:
    assert [refused_seconds(failures) for failures in (1, 2, 3, 6, 7, 100)] == [600, 1200, 2400, 19200, 21600, 21600]
