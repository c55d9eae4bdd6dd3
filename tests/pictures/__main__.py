"""`python -m tests.pictures --seconds 150`: the dashboards, drawn with figures of a run of their own.

No Grafana draws them: each panel's queries are answered by a Prometheus that scraped the run.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from outrider.local.services import SERVICES
from tests.pictures.drawing import picture
from tests.pictures.recording import lines, prometheus, tell
from tests.support.alone import alone
from tests.support.collector import collecting
from tests.support.story import opened

HERE: Final = Path(__file__).parents[2]
BOARDS: Final = HERE / "deploy/helm/outrider/files/dashboards"
PICTURES: Final = HERE / "docs/pictures"
ABOUT: Final = "drawn from the dashboard's JSON and a recorded run, not by Grafana"


async def run(seconds: float) -> None:
    """The pictures are those of a run that just ended."""
    async with alone(SERVICES) as its:
        ports = its.system.site.ports
        targets = {name: ports[f"{name} health"] for name in SERVICES}
        with (
            tempfile.TemporaryDirectory() as folder,
            prometheus(Path(folder), ports.pick("prometheus"), targets) as url,
            collecting() as collector,
            closing(opened(its.system)) as story,
        ):
            began = time.time()
            tell(story, collector, seconds)
            ended = time.time()
            for file in sorted(BOARDS.glob("*.json")):
                board = json.loads(file.read_text(encoding="utf-8"))
                drawn = picture(board, lines(url, board, began, ended), ended - began, ABOUT)
                (PICTURES / f"{file.stem}.svg").write_text(drawn, encoding="utf-8")


def main() -> int:
    """Answers 0 once all are drawn."""
    parser = argparse.ArgumentParser(prog="dashboards", description="The dashboards as pictures.")
    parser.add_argument("--seconds", type=float, default=150, help="of campaigns, one after the other")
    asyncio.run(run(parser.parse_args().seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
