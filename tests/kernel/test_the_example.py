"""The package `outrider-events` alone is enough to hear of events: the example runs where nothing else is installed."""

import subprocess
from pathlib import Path

import nats
import pytest

from outrider.events.bus import EVENTS_STREAM
from outrider.events.streams import declare_subscriber
from tests.kernel.test_subscribing import MINE, publish
from tests.kernel.until import until

HERE = Path(__file__).parents[2]
UV = HERE / ".tools/bin/uv"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the package and what the lock gives it."""
    if not UV.exists():
        pytest.fail("uv is missing: `make setup` brings it")
    folder = tmp_path_factory.mktemp("subscriber") / "venv"
    found = folder / "bin/python"
    for command in (
        ("venv", "--quiet", "--python", HERE / ".venv/bin/python", folder),
        (
            "pip",
            "install",
            "--quiet",
            "--python",
            found,
            "--constraint",
            "deploy/image/requirements.lock",
            "./libs/events",
        ),
    ):
        done = subprocess.run([UV, *command], cwd=HERE, capture_output=True, text=True, check=False)  # noqa: S603  # our own arguments
        assert done.returncode == 0, done.stderr
    return found


async def test_the_example_runs_from_an_empty_environment(python: Path, bus_url: str, tmp_path: Path) -> None:
    await declare_subscriber(bus_url, "example", MINE)
    await publish(bus_url, 1, 2, 3, 4)
    said = tmp_path / "said"
    with said.open("w") as out:
        started = subprocess.Popen(  # noqa: ASYNC220, S603  # our own program; it does not wait
            [python, HERE / "examples/subscriber.py", bus_url, "example"], stdout=out, stderr=out
        )
    try:
        await until("both events are told", lambda: said.read_text().count("\n") >= 2)
    finally:
        started.terminate()
        started.wait(10)
    lines = said.read_text().splitlines()[:2]
    assert lines == [f"{number}: PlanChanged on account-{MINE}" for number in (2, 4)]
    found = subprocess.run([python, "-c", "import outrider.api"], capture_output=True, check=False)  # noqa: ASYNC221, S603  # short
    assert found.returncode != 0, "nothing else of the product is there"
    client = await nats.connect(bus_url)
    info = await client.jetstream().consumer_info(EVENTS_STREAM, "example")
    await client.close()
    assert info.num_pending == 0
