"""A short run of `make kill-loop`: two of every service, processes killed and stopped, then every promise counted."""

from rich.console import Console

from tests.kill_loop.loop import run
from tests.kill_loop.script import Script

KILLS, SENDS, SEED = 5, 40, 11


async def test_every_promise_is_kept_whatever_is_killed() -> None:
    verdict = await run(Script.of(SEED, KILLS, SENDS), Console())
    assert verdict.problems == []
    assert verdict.kills == KILLS
    assert verdict.sends > SENDS / 2


def test_the_same_seed_is_the_same_script() -> None:
    assert Script.of(SEED, 40, 800) == Script.of(SEED, 40, 800)
    assert Script.of(SEED, 40, 800).blows != Script.of(SEED + 1, 40, 800).blows
