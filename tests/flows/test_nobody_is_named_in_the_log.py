"""The log, the commands and what the services print hold ids: people and passwords are the vault's alone."""

from tests.support import story_log
from tests.support.client import Json
from tests.support.client_answers import Campaign
from tests.support.story import DAY, Story
from tests.support.system import MAILING

PASSWORD, IMAP_PASSWORD = "Zq7pässwort-smtp", "Zq7pässwort-imap"  # the sandbox takes any
NAMES = ("Zq7Élodie", "Zq7Ørsted", "Zq7Werke", "Zq7Vorständin", "Zq7letterhead", "Zq7Zwiebelkuchen", "Zq7plaintext")
LABELS = ("Zq7Feldzug", "Zq7Liste", "Zq7Etikett", "Zq7Absender")
TAGS = ("+open", "+reply1", "+away", "+bounce", "+refused", "+grey", "")


def people(story: Story) -> list[Json]:
    """Answer two of every habit: at most one of all is mailed through the credential that cannot log in."""
    first, last, company, role, *_ = NAMES
    fields = {"first_name": first, "last_name": last, "company": company, "custom": {"role": role}}
    return [story.person(f"zq7somebody{number}{tags}", **fields) for number, tags in enumerate(2 * TAGS)]


def campaign(story: Story) -> str:
    """Create one that says something in every field; answers its id."""
    name, _, label, from_name = LABELS
    *_, subject, html, text = NAMES
    passwords = {"smtp_password": PASSWORD, "imap_password": IMAP_PASSWORD}
    named = {"label": label, "from_name": from_name, "reply_to": f"zq7replies@{story.from_domain}"}
    step = {
        "subject": f"{subject} {{{{first_name}}}}",
        "body_html": f"<p>{html} {{{{custom.role}}}}</p>",
        "body_text": f"{text} {{{{company}}}}",
    }
    return story.campaign(
        credentials=[
            story.credential("zq7ann", **passwords, **named),
            story.credential("zq7ben", **{**passwords, "smtp_password": "wrong"}, **named, daily_limit=1),
        ],
        name=name,
        sequence_steps=[{**step, "position": 1}, {**step, "position": 2, "delay_minutes": DAY}],
    )


def disabled(shown: Campaign) -> str:
    """Answer the id of the credential that could not log in."""
    return next(one.id for one in shown.credentials if one.disabled_at)


def everybody_acted(shown: Campaign) -> bool:
    """Say whether each habit has shown in the statistics, and two letters went to who has none."""
    totals = shown.totals
    return min(totals.opened, totals.replied, totals.bounced - 1, shown.finished) > 0


def printed(story: Story, service: str) -> str:
    """Answer what a service has said."""
    return (story.system.folder / f"{service}.log").read_text().casefold()


async def test_nothing_personal_stands_anywhere_but_in_the_vault(fast_story: Story) -> None:
    story = fast_story
    campaign_id, rows = campaign(story), people(story)
    brought = story.client.bring_in([*rows, {"email": "zq7 is no address"}], LABELS[1])
    assert (brought.record_count, brought.rejected) == (len(rows), 1)
    story.client.enroll(campaign_id, brought.id)
    story.client.enroll(campaign_id, brought.id)
    story.client.dispatch(campaign_id)
    shown = story.client.until(
        campaign_id,
        "one credential is disabled, and the other's people have done what they do",
        lambda shown: any(one.disabled_at for one in shown.credentials) and everybody_acted(shown),
    )
    story.client.post(f"/campaigns/{campaign_id}/smtp_credentials/{disabled(shown)}/reenable")
    refused = story.client.post("/contact_imports", {"contact_import": {"name": "zq7", "contacts": [{"emial": "zq7"}]}})
    assert refused.problem == (422, "validation_failed")

    tables = {name: text.casefold() for name, text in (await story_log.dump(story.database_url)).items()}
    vault = tables.pop("log.vault")
    assert tables["log.events"]
    assert tables["log.commands"]
    for value in (*NAMES, *LABELS, story.to_domain, story.from_domain):
        assert value.casefold() in vault, f"{value} is not even in the vault: the search is no proof"
    for word in ("zq7", story.to_domain, story.from_domain):
        found = [name for name, text in tables.items() if word in text]
        found += [f"{name}.log" for name in MAILING if word in printed(story, name)]
        assert found == [], word
    for password in (PASSWORD, IMAP_PASSWORD):
        assert password.casefold() not in vault
