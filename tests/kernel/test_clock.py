"""One clock for every process, kept with the data."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from outrider.events.clock import Clock, read_clock
from outrider.events.database import connect, migrate
from tests.support.servers import Servers

SPEC = "2026-01-05T08:00:00Z@3600"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


async def unset(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("delete from log.clock")
    await owner.close()


async def read(url: str) -> Clock:
    pool = await connect(url, "log")
    try:
        return await read_clock(pool)
    finally:
        await pool.close()


async def test_every_process_and_every_restart_has_the_same_business_time(
    servers: Servers, urls: Mapping[str, str]
) -> None:
    await unset(urls["owner"])
    await migrate(urls["owner"], {}, SPEC)
    before = datetime.now(UTC)
    one = await read(urls["outrider_api"])
    await migrate(urls["owner"], servers.keys.passwords, SPEC)
    two = await read(urls["outrider_sender"])
    assert one == two
    assert one.speed == 3600
    assert abs(one.started - before) < timedelta(minutes=1)
    assert START <= one.now() <= two.now()
    instant = before + timedelta(seconds=10)
    assert one.to_business(instant) == START + (instant - one.started) * 3600
    assert one.to_real(one.to_business(instant)) == instant
    assert 0.9 < two.real_seconds_until(two.now() + timedelta(hours=1)) <= 1.0
    assert one.real_seconds_until(START) == 0.0


async def test_without_a_word_business_time_is_real_time(urls: Mapping[str, str]) -> None:
    clock = await read(urls["outrider_api"])
    assert clock.speed == 1
    assert abs(clock.now() - clock.real()) < timedelta(milliseconds=1)


@pytest.mark.parametrize("other", ["2026-01-05T08:00:00Z@60", "2026-01-06T08:00:00Z@3600", None])
async def test_data_of_one_clock_are_not_begun_with_another(urls: Mapping[str, str], other: str | None) -> None:
    await unset(urls["owner"])
    await migrate(urls["owner"], {}, SPEC)
    with pytest.raises(ValueError, match="begun with the clock"):
        await migrate(urls["owner"], {}, other)
    assert (await read(urls["outrider_api"])).speed == 3600


@pytest.mark.parametrize("spec", ["2026-01-05T08:00:00@60", "soon", "2026-01-05T08:00:00Z@fast"])
async def test_a_clock_that_cannot_be_read_is_refused(urls: Mapping[str, str], spec: str) -> None:
    await unset(urls["owner"])
    with pytest.raises(ValueError, match=r"2026|soon|fast"):
        await migrate(urls["owner"], {}, spec)


async def test_without_a_clock_nothing_starts(urls: Mapping[str, str]) -> None:
    await unset(urls["owner"])
    with pytest.raises(LookupError, match="migrate"):
        await read(urls["outrider_api"])
