"""Who runs when: at most two processes of pytest hold whole systems at a time, and they begin with these.

Whole systems are what a machine of two cores is busy with. Begun last, as xdist does by default (files of few tests
come last), three at once starved each other until waits of a minute ran out.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

STORIES, ALONE = "stories", "alone"
FILES_ALONE = (
    "test_a_killed_sender",
    "test_a_restored_backup",
    "test_a_rolling_upgrade",
    "test_a_trace",
    "test_an_import_survives",
    "test_everything_restarted",
    "test_rotated_seal_keys",
    "test_the_kill_loop",
    "test_the_runner",
    "test_the_ways_out",
    "test_versions_side_by_side",
)
"""Flows that start systems of their own. The others tell their stories on the systems that `tests/flows` shares."""
ORDER = (
    "tests/flows/test_",
    "tests/flows/",
    "tests/contract/",
    "tests/kernel/",
    "tests/adapters/",
    "tests/projections/",
)
"""Folders by what one test costs; the last are quick, so that all processes end together."""


def first_the_costly(items: list[pytest.Item]) -> None:
    """The tests are in the order in which they are to be begun; those of one file stay together."""
    items.sort(
        key=lambda item: next((n for n, folder in enumerate(ORDER) if item.nodeid.startswith(folder)), len(ORDER))
    )


class Turns(LoadScopeScheduling):  # type: ignore[misc]
    """Every file stays in one process, and so do all stories, and all flows that start systems of their own."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if not file.startswith("tests/flows/test_"):
            return file
        return ALONE if file.rpartition("/")[2].removesuffix(".py") in FILES_ALONE else STORIES
