"""Webhooks, the stream and NATS tell of everything, whoever is killed meanwhile. `make ways-out`: a thousand people."""

from outrider.local.services import SERVICES
from tests.support.servers import Server
from tests.support.story import Begin
from tests.support.system import StartSystem
from tests.ways_out.hearing import CARRIERS, Ordeal, heard

ORDEAL = Ordeal(people=60, kills=len(CARRIERS), seed=7)


async def test_all_three_hear_of_everything_though_their_carriers_are_killed(
    start_system: StartSystem, nats_server: Server, begin: Begin
) -> None:
    system = await start_system(services=SERVICES)
    found = await heard(system, nats_server, begin(system), ORDEAL)
    assert set(found.killed) == set(CARRIERS)
    assert found.subscribed == found.recorded, "NATS: in order, without gap or repeat"
    assert found.streamed == found.public, "the stream: likewise"
    ids = {position: {id_ for id_, at in found.posted if at == position} for _, position in found.posted}
    assert sorted(ids) == found.public, "webhooks: at least once"
    assert {len(same) for same in ids.values()} == {1}, "a repeat has the same id"
    assert len({id_ for id_, _ in found.posted}) == len(found.public), "and nothing else has it"
