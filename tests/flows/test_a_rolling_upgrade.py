"""Every process replaced while all of it is used, as the chart does it. `make rollout`: longer, with more mail."""

from rich.console import Console

from outrider.local.services import SERVICES
from tests.kill_loop.fleet import REPLICAS
from tests.rollout.rolling import Ordeal, run

ORDEAL = Ordeal(sends=60, rollouts=1, seed=7)


async def test_an_upgrade_loses_doubles_and_refuses_nothing() -> None:
    verdict = await run(ORDEAL, Console())
    assert verdict.problems == []
    assert verdict.replaced == REPLICAS * (len(SERVICES) + 1), "everybody, and the senders once more"
    assert verdict.killed == [], "the grace of the chart is enough for all of them"
    assert verdict.sends > ORDEAL.sends / 2
    assert verdict.parting, "those that were asked to stop answered for a while"
    assert verdict.hung == ["unknown"], "what a killed sender was in the middle of is listed, and not sent again"
