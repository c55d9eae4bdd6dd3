"""Why was this mail sent, or not: one call tells every event of an enrollment's life."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import asyncpg

from outrider.events.campaign import StepsRetimed
from tests.support.client import until
from tests.support.story import DAY, Story

OF_ENROLLMENT = """
select position from log.events
where type not in ('QuotaClaimed', 'QuotaReleased') and (data ->> 'enrollment_id' = $1 or (type = $2 and exists (
    select from jsonb_array_elements(data -> 'steps') as s where s ->> 'enrollment_id' = $1
)))
order by position
"""
Rows = Sequence[Mapping[str, Any]]


def of(rows: Rows, kind: str) -> Rows:
    """Those of the type."""
    return [row for row in rows if row["type"] == kind]


async def test_a_history_has_every_event_of_its_enrollment_and_the_words_that_belong_to_it(fast_story: Story) -> None:
    story = fast_story
    names = ("eager+open+reply2", "unknown+refused", "grey+grey", "silent")
    people = [story.person(name) for name in names]
    campaign_id = story.dispatched(people, 0, 2 * DAY, wait_seconds=3600, send_window=None)
    story.client.until(campaign_id, "one is sent", lambda shown: shown.emails_sent > 0)
    story.client.pause(campaign_id)
    story.client.resume(campaign_id)
    story.client.until(campaign_id, "completed", lambda shown: shown.completed_at is not None)
    story.client.until(campaign_id, "eager opened", lambda shown: shown.totals.opened == 1)

    enrolled = cast("Rows", story.client.get(f"/campaigns/{campaign_id}/enrollments").body)
    told: dict[str, Rows] = {}
    connection = await asyncpg.connect(story.database_url)
    try:
        for row in enrolled:
            email = cast("Mapping[str, str]", story.client.get(f"/enrollments/{row['id']}").body)["email"]
            shown = cast("Rows", story.client.get(f"/enrollments/{row['id']}/history").body)
            told[email.partition("@")[0]] = shown
            kept = {one["position"] for one in await connection.fetch(OF_ENROLLMENT, row["id"], StepsRetimed.name)}
            assert kept <= {one["position"] for one in shown}
            assert not {"email", "enrollment_id", "claim"} & {name for one in shown for name in one}
            gates = cast("Mapping[str, Any]", story.client.get(f"/enrollments/{row['id']}/explain").body)
            assert gates["next"] is None
            assert [gate["verdict"] for gate in gates["gates"] if gate["gate"] == "stop"] == ["closed"]
    finally:
        await connection.close()

    eager, unknown, grey, silent = (told[name] for name in names)
    assert [len(of(rows, "sent")) for rows in (eager, unknown, grey, silent)] == [2, 0, 2, 2]
    assert of(silent, "sent")[0]["message_id"] == story.letters("silent")[0]["message_id"]
    assert (of(silent, "sent")[0]["smtp_reply"], bool(of(silent, "finished"))) != (None, False)
    [reply] = of(eager, "replied")
    assert (reply["step_position"], bool(reply["snippet"])) == (2, True)
    assert of(eager, "opened")
    [refused] = of(unknown, "refused")
    assert (refused["kind"], refused["reason"]) == ("hard", "user_unknown")
    assert str(refused["smtp_reply"]).startswith("5.1.1")
    assert "try again later" in of(grey, "deferred")[0]["reason"]
    assert [len(of(grey, kind)) for kind in ("campaign_paused", "campaign_resumed")] == [1, 1]
    assert of(silent, "claimed")[0]["reason"].endswith("every gate was open")


async def test_a_step_over_the_daily_limit_says_so(calm_story: Story) -> None:
    story = calm_story
    campaign_id = story.dispatched(story.people(2), wait_seconds=60)
    shown = story.client.until(campaign_id, "one is sent", lambda shown: shown.emails_sent == 1)
    path = f"/campaigns/{campaign_id}/smtp_credentials/{shown.credentials[0].id}"
    assert story.client.patch(path, {"smtp_credential": {"daily_limit": 1}}).status == 200
    [waiting] = story.client.enrollments(campaign_id, "scheduled")

    def explained() -> Mapping[str, Any] | None:
        body = cast("Mapping[str, Any]", story.client.get(f"/enrollments/{waiting.id}/explain").body)
        return body if [gate for gate in body["gates"] if gate["verdict"] == "closed"] else None

    body = until("the quota is said to be used up", explained, 5)
    [gate] = [gate for gate in body["gates"] if gate["verdict"] == "closed"]
    assert (gate["gate"], gate["reason"], gate["event"]["type"]) == ("quota", "daily_limit_reached", "quota_claimed")
    assert gate["until"] > body["next"]["at"]
