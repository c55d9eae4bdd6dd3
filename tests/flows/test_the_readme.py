"""The walk that README shows, executed as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.support.system import System
from tests.support.waiting import wait_until

README = Path(__file__).parents[2] / "README.md"
SOURCED = "set -a; . .outrider/env; set +a\n"


def walk() -> str:
    """Answer the shell commands of the walk but the one that reads the env file; the last line is what it learned."""
    blocks: list[str] = re.findall(r"<!-- walk -->\n```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    script = "".join(blocks)
    assert SOURCED in script
    return f'set -euo pipefail\n{script.replace(SOURCED, "")}\necho; echo "$TOKEN $CAMPAIGN"\n'


def walked(system: System, folder: Path) -> tuple[str, str]:
    """Answer the account's key and the campaign's id, after the walk."""
    bash = shutil.which("bash")
    assert bash is not None
    given = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "OUTRIDER_URL": system.url,
        "OUTRIDER_OPERATOR_TOKEN": system.operator_token,
        "OUTRIDER_SMTP_PORT": str(system.smtp_port),
        "OUTRIDER_IMAP_PORT": str(system.imap_port),
        "OUTRIDER_SANDBOX_URL": system.sandbox_url,
    }
    done = subprocess.run(  # noqa: S603  # the commands are the README's
        [bash, "-c", walk()], env=given, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    token, campaign = done.stdout.split()[-2:]
    return token, campaign


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk is told in curl, which this machine does not have")
async def test_the_walk_of_the_readme_does_what_it_says(calm_system: System, tmp_path: Path) -> None:
    token, campaign = walked(calm_system, tmp_path)
    told = {"pending": 0, "sent": 4, "opened": 1, "replied": 1, "bounced": 1}
    with httpx.Client(base_url=calm_system.url, headers={"Authorization": f"Bearer {token}"}) as client:

        def shown() -> bool:
            return bool(client.get(f"/campaigns/{campaign}").json()["totals"] == told)

        wait_until("four sent, one opened, one replied, one bounced", shown)
