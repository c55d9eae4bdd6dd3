"""An open is a person's: not a scanner's on arrival, not a proxy's."""

from datetime import UTC, datetime

import httpx

from outrider.local.people import pixel
from outrider.local.sandbox import BROWSER
from outrider.local.sandbox_record import Accepted
from tests.support.client import until
from tests.support.story import Story

PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
TOO_SOON_SECONDS = 2.0


def fetch(story: Story, letter: Accepted, agent: str) -> httpx.Response:
    """Load the image of a letter."""
    address = pixel(story.letter(letter))
    assert address, letter["html"]
    return story.web.get(address, headers={"User-Agent": agent})


def age(letter: Accepted) -> float:
    """Answer how many seconds ago it arrived."""
    return (datetime.now(UTC) - datetime.fromisoformat(letter["at"])).total_seconds()


async def test_a_fetch_on_arrival_or_by_a_proxy_is_no_open_and_a_later_one_is_one(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched([story.person(name) for name in ("ann", "bob", "cy")])
    [ann], [bob], [cy] = (story.until_letters(name) for name in ("ann", "bob", "cy"))

    def opened(letter: Accepted, number: int) -> bool:
        response = fetch(story, letter, BROWSER)
        assert (response.status_code, response.headers["content-type"]) == (200, "image/gif")
        return story.client.show(campaign_id).totals.opened == number

    early = opened(ann, 1)
    assert not early or age(ann) > TOO_SOON_SECONDS
    until("ann opened", lambda: opened(ann, 1))
    assert age(ann) > TOO_SOON_SECONDS
    until("all are old", lambda: min(map(age, (ann, bob, cy))) > TOO_SOON_SECONDS)
    assert fetch(story, bob, PROXY).is_success
    until("cy opened", lambda: opened(cy, 2))

    shown = story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    assert (shown.totals.opened, shown.rates.open_rate) == (2, 66.7)


async def test_loading_it_again_counts_once(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched([story.person("often+open")])
    story.client.until(campaign_id, "opened", lambda shown: shown.totals.opened == 1)
    [letter] = story.letters("often+open")
    for _ in range(30):
        assert fetch(story, letter, BROWSER).is_success
    assert story.client.show(campaign_id).totals.opened == 1


async def test_a_forged_pixel_is_not_found(calm_story: Story) -> None:
    story = calm_story
    story.dispatched([story.person("somebody")])
    [letter] = story.until_letters("somebody")
    address = pixel(story.letter(letter))
    for forged in (address.replace(".gif", ""), address.replace(".gif", "A.gif"), f"{story.system.url}/t/o/x.gif"):
        assert story.web.get(forged).status_code == httpx.codes.NOT_FOUND


async def test_a_campaign_that_tracks_no_opens_has_no_pixel(calm_story: Story) -> None:
    story = calm_story
    story.dispatched([story.person("private")], track_opens=False)
    [letter] = story.until_letters("private")
    assert pixel(story.letter(letter)) == ""
    assert "<img" not in letter["html"]
