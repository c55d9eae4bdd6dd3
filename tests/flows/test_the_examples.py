"""The programs in examples/, run as they stand there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.system import System

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 300


def run(system: System, *command: str) -> str:
    """Answer what the program prints; it ends well."""
    given = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "OUTRIDER_URL": system.url,
        "OUTRIDER_OPERATOR_TOKEN": system.operator_token,
        "OUTRIDER_SMTP_PORT": str(system.smtp_port),
        "OUTRIDER_IMAP_PORT": str(system.imap_port),
    }
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603  # ours
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="it is told in curl, which this machine does not have")
async def test_the_first_hour_in_curl(calm_system: System) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    told = run(calm_system, bash, str(EXAMPLES / "first_hour.sh"))
    assert '"record_count": 4' in told
    assert '"line": 7' in told
    assert "campaign.sequence_stepz" in told
    assert told.count('"last_send_at"') == 2  # the repeated dispatch is answered alike
    assert "enrollment.replied" in told
    assert told.rstrip().endswith("Done.\033[0m")


async def test_the_first_hour_in_python(calm_system: System) -> None:
    told = run(calm_system, sys.executable, str(EXAMPLES / "first_hour.py"))
    assert "subjekt" in told
    assert "enrolled: 4" in told
    assert "replied   next: nothing, closed by stop" in told
    assert "totals: {'pending': 0, 'sent': 4, 'opened': " in told
