"""The next version of the services, made of this one: an event more to tell, a column more to keep it in.

What is installed in this checkout is the older version. The newer one is a copy of the three members that the change
touches, laid before them on the path of its processes: the same as an image that was built from a later commit, but for
what no rolling update could notice. A real earlier commit would be older by whatever lies between the two, and could be
had only where the history can be; this is older by one known change, of every kind that an upgrade brings: an event in
another version that the older one cannot read, a decision that writes it, a migration that adds a column to a table in
use, and a projection that fills it.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from outrider.local.home import Ports
from outrider.local.machine import Machine
from outrider.local.serving import answers, call
from tests.support.system import System

HERE: Final = Path(__file__).parents[2]
MEMBERS: Final = ("libs/events", "services/api", "services/dispatcher")
MIGRATION: Final = "schema/998_why_paused.sql"
WORDS: Final = "as the newer version says it"
EVENT: Final = "CampaignPaused"
CHANGES: Final = (
    (
        "libs/events/src/outrider/events/campaign.py",
        "class CampaignPaused(Event, version=2):",
        "class CampaignPaused(Event, version=3):",
    ),
    (
        "libs/events/src/outrider/events/campaign.py",
        "    upcasters: ClassVar = {1: lambda data: data}\n",
        '    why: str\n    upcasters: ClassVar = {1: lambda data: data, 2: lambda data: {"why": "", **data}}\n',
    ),
    (
        "services/dispatcher/src/outrider/dispatcher/campaign.py",
        "[CampaignPaused(campaign_id=command.campaign_id)]",
        f'[CampaignPaused(campaign_id=command.campaign_id, why="{WORDS}")]',
    ),
    (
        "services/api/src/outrider/api/projections_campaigns.py",
        '    """The campaigns are paused."""\n',
        (
            '    """The campaigns are paused."""\n'
            "    said = [(item.event.campaign_id, item.event.why) for item in events]\n"
            '    await db.executemany("update campaigns set why_paused = $2 where campaign_id = $1", said)\n'
        ),
    ),
)
"""Each a file, what stands there once, and what stands there in the newer version."""


class Newer:
    """Its processes, beside those of a system that runs the older version."""

    def __init__(self, system: System, folder: Path) -> None:
        """It lies in the folder; nothing of it runs, and the database is the older version's."""
        self._owner_url, self._path = system.site.database_url, _laid(folder)
        self._site = replace(system.site, ports=Ports(folder / "ports.json", usual=False))
        self._parts = {part.name: part for part in self._site.services(("api", "dispatcher"))}
        self._machine = Machine(folder, folder)

    @property
    def url(self) -> str:
        """Of its gateway."""
        return self._site.url

    def migrate(self) -> None:
        """The database is the newer version's."""
        environment = {**os.environ, **self._path, "OUTRIDER_DATABASE_URL": self._owner_url}
        command = [sys.executable, "-m", "outrider.local", "migrate"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # ours
        assert done.returncode == 0, done.stdout + done.stderr

    def begin(self, service: str) -> None:
        """It lives; see `trouble`."""
        part, port = self._parts[service], self._site.ports[f"{service} health"]
        python, *rest = part.command
        command = (python, "-s", *rest)  # not as the nursery knows it: that has the older version
        environment = {**part.environment, **self._path}
        self._machine.start(
            replace(part, command=command, environment=environment, ready=answers(port, "/health/live"))
        )

    def trouble(self, service: str) -> list[str]:
        """What keeps it from being ready."""
        return trouble(self._site.ports[f"{service} health"])

    def end(self, service: str) -> None:
        """It has stopped in order."""
        self._machine.drop(service)

    def stop(self) -> None:
        """Nothing of it runs."""
        self._machine.stop()


def trouble(port: int) -> list[str]:
    """What keeps the process from being ready whose health is told there."""
    status, body = call(port, "GET", "/health/ready")
    found: list[str] = json.loads(body)["trouble"] if body else ["it does not answer"]
    assert bool(found) == (status != HTTPStatus.OK)
    return found


def _laid(folder: Path) -> dict[str, str]:
    """The changed copy lies there: what its processes need in their environment."""
    for member in MEMBERS:
        shutil.copytree(HERE / member / "src", folder / member / "src")
    for name, before, after in CHANGES:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name} is another one now: {before}"
        (folder / name).write_text(text.replace(before, after), encoding="utf-8")
    migration = folder / "services/api/src/outrider/api" / MIGRATION
    migration.write_text("alter table campaigns add column why_paused text not null default '';\n", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join(str(folder / member / "src") for member in MEMBERS)}
