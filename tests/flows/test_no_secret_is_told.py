"""Secrets go in and never come out: no answer, log line, event or table has them, in the clear or as base64."""

from base64 import b64encode
from collections.abc import Iterator
from typing import cast

import httpx

from tests.support import story_log
from tests.support.story import Story
from tests.support.system import MAILING

SMTP = "Vq9smtp-geheimnis-4711"
IMAP = "Vq9imap-geheimnis-4712"
WRONG = "Vq9falsch-geheimnis-4713"
SECRETS = (SMTP, IMAP, WRONG)


def forms(secret: str) -> Iterator[str]:
    """How it can look: as it is, and in the middle of something in base64 (AUTH PLAIN, LOGIN)."""
    yield secret
    for shift in range(3):
        yield b64encode(b"x" * shift + secret.encode())[4:-4].decode()


async def test_no_secret_is_in_any_answer_log_line_event_or_table(calm_story: Story) -> None:
    story, answers = calm_story, list[str]()

    def heard(response: httpx.Response) -> None:
        answers.append(f"{response.headers} {response.read().decode(errors='replace')}")

    story.client.web.event_hooks["response"].append(heard)
    good = story.credential("vq9ann", smtp_password=SMTP, imap_password=IMAP)
    bad = story.credential("vq9ben", smtp_password=WRONG, imap_password=IMAP)
    story.rule(stage="auth", answer="535 5.7.8 not with this", user=bad["smtp_username"])
    campaign_id = story.dispatched([story.person("vq9+reply1")], credentials=[good])
    path = f"/campaigns/{campaign_id}/smtp_credentials"
    added = story.client.post(path, {"smtp_credential": bad})
    assert added.status == 201, added
    for credential in story.client.show(campaign_id).credentials:
        story.client.post(f"{path}/{credential.id}/verify")
        story.client.patch(f"{path}/{credential.id}", {"smtp_credential": {"label": "Renamed"}})
        story.client.get(f"{path}/{credential.id}")
    story.client.until(campaign_id, "the person has answered", lambda shown: shown.totals.replied == 1)
    for flaw in ({"smtp_password": [SMTP]}, {"smtp_password": WRONG * 300}, {"smtp_host": "a b"}, {"imap_host": None}):
        refused = story.client.post(path, {"smtp_credential": {**good, **flaw}})
        assert refused.problem == (422, "validation_failed")
    story.client.web.post(path, content=f'{{"smtp_credential": {{"smtp_password": "{SMTP}"'.encode())
    story.client.web.post(path, content=f'{{"smtp_password": "{SMTP}"'.encode(), headers={"Content-Type": "a/json"})
    key = story.client.post("/api_keys", {"label": "another"})
    assert "plaintext" in key.text
    made = answers.pop()
    plaintext = str(cast("dict[str, object]", key.body)["plaintext"])
    assert plaintext in made
    story.client.get("/api_keys")
    story.client.get("/events?after=0&limit=1000")

    story.forget_rules()
    told = {"answers": "\n".join(answers)}
    told |= {name: (story.system.folder / f"{name}.log").read_text() for name in MAILING}
    told |= await story_log.dump(story.database_url)
    assert told["log.vault"]
    for secret in (*SECRETS, plaintext, story.client.key, story.system.operator_token):
        for form in forms(secret):
            assert [place for place, text in told.items() if form in text] == [], form
