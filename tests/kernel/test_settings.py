"""Settings: from the environment alone, everything that is wrong said at once, nothing secret shown."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from outrider.events.settings import BadSettings, Settings

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
ENOUGH = {
    "OUTRIDER_DATABASE_URL": "postgresql://outrider_api:databasepass@127.0.0.1:5432/outrider",
    "OUTRIDER_NATS_URL": "nats://natspass@127.0.0.1:4222",
    "OUTRIDER_HEALTH_LISTEN": "127.0.0.1:9090",
    "OUTRIDER_HASH_KEY": KEY,
    "PATH": "/bin",
}


def test_what_is_needed_is_enough() -> None:
    settings = Settings.from_env(ENOUGH)
    assert settings.log_url == settings.database_url == ENOUGH["OUTRIDER_DATABASE_URL"]
    assert (settings.allow_insecure_hosts, settings.settle_seconds) == (False, 900.0)
    assert (settings.rate_limit_per_minute, settings.imap_poll_seconds) == (600, 90.0)


def test_everything_given_is_read() -> None:
    settings = Settings.from_env(
        {
            **ENOUGH,
            "OUTRIDER_LOG_URL": "postgresql://outrider_api:p@127.0.0.1:5433/log",
            "OUTRIDER_HASH_KEY": f"{KEY.rstrip('=')},{KEY}",
            "OUTRIDER_SEAL_PUBLIC_KEY": KEY.rstrip("="),
            "OUTRIDER_ALLOW_INSECURE_HOSTS": "1",
            "OUTRIDER_RATE_LIMIT_PER_MINUTE": "60",
            "OUTRIDER_IMAP_POLL_SECONDS": "0.5",
            "OUTRIDER_START_LAG_SECONDS": "0",
            "OUTRIDER_LINGER_SECONDS": "7.5",
            "OUTRIDER_LISTEN": "[::1]:0",
            "OUTRIDER_LOG_LEVEL": "DEBUG",
            "OUTRIDER_HOME": "/a/variable/of/the/runner",
        }
    )
    assert settings.log_url.endswith("/log")
    assert (settings.allow_insecure_hosts, settings.rate_limit_per_minute) == (True, 60)
    assert (settings.imap_poll_seconds, settings.listen, settings.log_level) == (0.5, "[::1]:0", "DEBUG")
    assert (settings.start_lag_seconds, settings.linger_seconds) == (0.0, 7.5)


def test_every_mistake_is_named_at_once_and_no_value_is_shown() -> None:
    with pytest.raises(BadSettings) as bad:
        Settings.from_env(
            {
                "OUTRIDER_DATABASE_URL": "nowhere",
                "OUTRIDER_HEALTH_LISTEN": "9090",
                "OUTRIDER_HASH_KEY": "not-a-key-but-secret",
                "OUTRIDER_SEAL_PRIVATE_KEY": "####",
                "OUTRIDER_ALLOW_INSECURE_HOSTS": "perhaps",
                "OUTRIDER_RATE_LIMIT_PER_MINUTE": "-1",
                "OUTRIDER_SETTLE_SECONDS": "nan",
                "OUTRIDER_START_LAG_SECONDS": "-1",
                "OUTRIDER_LINGER_SECONDS": "11",
                "OUTRIDER_LOG_LEVEL": "LOUD",
                "OUTRIDER_DATABSE_URL": "a slip of the pen",
            }
        )
    assert str(bad.value).split("; ") == [
        "OUTRIDER_DATABSE_URL is unknown",
        "OUTRIDER_NATS_URL is missing",
        *(
            f"OUTRIDER_{name} has a value that cannot be read"
            for name in (
                "ALLOW_INSECURE_HOSTS",
                "DATABASE_URL",
                "HASH_KEY",
                "HEALTH_LISTEN",
                "LINGER_SECONDS",
                "LOG_LEVEL",
                "RATE_LIMIT_PER_MINUTE",
                "SEAL_PRIVATE_KEY",
                "SETTLE_SECONDS",
                "START_LAG_SECONDS",
            )
        ),
    ]


def test_no_secret_is_shown() -> None:
    shown = repr(
        Settings.from_env({**ENOUGH, "OUTRIDER_SEAL_PRIVATE_KEY": KEY, "OUTRIDER_OPERATOR_TOKEN": "operatorpass"})
    )
    for secret in ("databasepass", "natspass", "operatorpass", KEY, KEY.rstrip("=")):
        assert secret not in shown


SERVICE = """
from outrider.events.service import main

async def build(service):
    pass

main("api", build)
"""


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "api: OUTRIDER_DATABASE_URL is missing; OUTRIDER_HASH_KEY is missing"),
        ({**ENOUGH, "OUTRIDER_DATABASE_URL": "postgresql://a:databasepass@127.0.0.1:1/x"}, "api: "),
    ],
)
def test_a_service_that_cannot_be_configured_says_why_in_one_line(environment: Mapping[str, str], words: str) -> None:
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", SERVICE],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
    assert "databasepass" not in done.stderr
