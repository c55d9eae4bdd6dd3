"""Erasing a person leaves nothing that tells who it was, in any table or in what services print; figures stay."""

import sys
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

import httpx

from tests.support import story_log
from tests.support.client import Json, until
from tests.support.client_answers import Contact
from tests.support.story import DAY, Story
from tests.support.system import MAILING

# No three or four signs: sealed answers are base64, and have those by chance.
HABITS = ("zq8wy7ada+open+reply1", "zq8wy7ben+refused", "zq8wy7slow")
NAMES = {
    "first_name": "Zq8wy7Élodie",
    "last_name": "Zq8wy7Ørsted",
    "company": "Zq8wy7Werke",
    "custom": {"role": "Zq8wy7Chefin"},
}
REASON = "Zq8wy7asked us on the phone"


def contact_of(story: Story, name: str) -> Contact:
    """Answer the contact with this person's address."""
    [found] = story.client.rows(f"/contacts?email={quote(story.address(name))}", Contact)
    return found


def copies(story: Story, campaign_id: str, contact_id: str) -> httpx.Response:
    """Name the first person wherever copies are kept for a while; answers a call that is kept to be repeated."""
    address = story.address(HABITS[0])
    rejected = {"email": address, "timezone": "Mars/Zq8wy7"}
    story.client.bring_in([rejected, {"email": f"other@{story.to_domain}"}])
    body = {"emails": [address], "contact_id": contact_id}
    sent = story.client.post(f"/campaigns/{campaign_id}/test_send", body)
    assert sent.status == httpx.codes.ACCEPTED
    until("the test has ended", lambda: "accepted" in cast("Json", told(story, sent.headers["location"])["body"]))
    suppression = {"suppression": {"value": address, "reason": REASON}}
    assert story.client.post("/suppressions", suppression).status == httpx.codes.CREATED
    return keyed(story, contact_id)


def told(story: Story, location: str) -> Json:
    """Answer how a command stands."""
    return cast("Json", story.client.get(location).body)


def keyed(story: Story, contact_id: str) -> httpx.Response:
    """Change the person, with an Idempotency-Key."""
    return story.client.web.patch(
        f"/contacts/{contact_id}", json={"contact": {"first_name": "Zq8wy7Elo"}}, headers={"Idempotency-Key": "zq8wy7"}
    )


async def named(story: Story) -> list[str]:
    """Answer where somebody is named: tables (and their rows), the log, and what the services have printed."""
    words = ("zq8wy7", story.address(HABITS[0]).partition("+")[0])
    tables = {name: text.casefold() for name, text in (await story_log.dump(story.database_url)).items()}
    tables |= {f"{name}.log": (story.system.folder / f"{name}.log").read_text().casefold() for name in MAILING}
    found = {
        name: [line for line in text.splitlines() if any(word in line for word in words)]
        for name, text in tables.items()
    }
    for name, lines in found.items():
        for line in lines:
            sys.stdout.write(f"{name}: {line[:300]}\n")
    return [name for name, lines in found.items() if lines]


async def test_an_erased_person_is_named_nowhere_and_the_figures_stay(calm_story: Story) -> None:
    story = calm_story
    story.rule(stage="rcpt", answer="stall", recipient=story.address("zq8wy7slow"), times=1)
    people = [story.person(name, **NAMES) for name in HABITS]
    campaign_id = story.dispatched(people, 0, DAY)
    before = story.client.until(
        campaign_id,
        "one has opened and replied, one is refused, one is under way",
        lambda shown: (
            (shown.totals.opened, shown.totals.replied, shown.totals.bounced) == (1, 1, 1)
            and shown.credentials[0].remaining_today == 1000 - 2
        ),
    )
    ids = {name: contact_of(story, name).id for name in HABITS}
    answered = copies(story, campaign_id, ids[HABITS[0]])
    assert "Zq8wy7Elo" in answered.text
    assert await named(story) == ["log.vault"]

    for contact_id in ids.values():
        erased = story.client.post(f"/contacts/{contact_id}/erase")
        assert erased.status == httpx.codes.OK, erased
        assert story.client.get(f"/contacts/{contact_id}").problem == (404, "contact_not_found")
        receipt = cast("Json", story.client.get(f"/contacts/{contact_id}/erasure").body)
        assert cast("Json", erased.body) == {"contact_id": contact_id, "erased_at": receipt["erased_at"]}
        again = story.client.post(f"/contacts/{contact_id}/erase")
        assert (again.status, again.body) == (200, erased.body)
    with story.without("sender"):  # which would wait for the silent server
        pass
    assert await named(story) == []

    proof = cast("Mapping[str, Any]", story.client.get(f"/contacts/{ids[HABITS[0]]}/erasure").body)
    assert {"values", "copies", "import_rows", "suppressions"} <= proof["removed"].keys()
    assert (len(proof["kept"]), proof["position"] > 0) == (1, True)
    repeated = keyed(story, ids[HABITS[0]])
    assert (repeated.status_code, repeated.headers["idempotency-replayed"]) == (answered.status_code, "true")
    assert (repeated.json()["email"], "zq8wy7" in repeated.text.casefold()) == (None, False)

    after = story.client.show(campaign_id)
    assert after.totals == before.totals.model_copy(update={"pending": 0}), "who was never reached is not waited for"
    assert (after.rates, after.emails_sent, after.credentials) == (before.rates, before.emails_sent, before.credentials)
    assert [bounce.email for bounce in after.recent_bounces] == [None]
    [reply] = cast("list[Json]", story.client.get(f"/campaigns/{campaign_id}/replies").body)
    assert [reply[name] for name in ("email", "subject", "snippet")] == [None] * 3
    assert {one.status for one in story.client.enrollments(campaign_id)} == {"replied", "bounced", "stopped"}
    [suppression] = cast("list[Json]", story.client.get("/suppressions").body)
    assert (suppression["value"], suppression["reason"]) == (None, None)
    back = story.client.post("/contacts", {"contact": {"email": story.address(HABITS[0])}})
    barred = {"contact_id": cast("Json", back.body)["id"]}
    refused = story.client.post(f"/campaigns/{campaign_id}/enroll_contact", barred)
    assert (refused.problem, refused.details["kind"]) == ((422, "contact_skipped"), "suppressed")
