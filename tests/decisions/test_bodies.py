"""Bodies: which values are taken, and what holds where nothing is said."""

from collections.abc import Mapping, Sequence

import pytest

from outrider.api.bodies import Body, Context, NewApiKey, validated
from outrider.api.bodies_campaigns import NewCampaignBody
from outrider.api.bodies_contacts import NewContactBody
from outrider.events.errors import ValidationFailed
from tests.support.http import CAMPAIGN, CREDENTIAL, STEP

PRODUCTION = Context(allow_insecure_hosts=False)
Values = Sequence[tuple[str, object, object]]
OF_CAMPAIGNS: Values = [
    ("name", "n" * 200, "n" * 201),
    ("name", f"  {'n' * 200}  ", "   "),
    ("min_wait_seconds", 0, -1),
    ("max_wait_seconds", 86_400, 86_401),
    ("min_wait_seconds", 5.0, 5.5),
    ("min_wait_seconds", 420, "420"),
    ("min_wait_seconds", 1, True),
    ("bounce_rate_threshold", 8, "8.0"),
    ("track_opens", False, 0),
    ("spacing", "credential", "contact"),
    ("on_auto_reply", "resume_on_return", "stop"),
    ("send_window", None, {"days": ["mon"], "start": "09:00", "end": "09:00", "timezone": "UTC"}),
]
OF_STEPS: Values = [
    ("subject", "s" * 998, "s" * 999),
    ("subject", "x", ""),
    ("body_html", "<p></p>", ""),
    ("body_text", None, 5),
    ("delay_minutes", 525_600, 525_601),
    ("delay_minutes", 0, -1),
    ("position", 1.0, "1"),
    ("thread", True, "yes"),
]
OF_CREDENTIALS: Values = [
    ("daily_limit", 1, 0),
    ("daily_limit", 100_000, 100_001),
    ("daily_limit", 5.0, 5.5),
    ("smtp_port", 1, 0),
    ("smtp_port", 65_535, 65_536),
    ("smtp_security", "tls", "ssl"),
    ("smtp_host", "1.1.1.1", "127.0.0.1"),
    ("smtp_host", "2606:4700:4700::1111", "[2606:4700:4700::1111]"),
    ("smtp_host", "mail.example.com", "10.0.0.1"),
    ("smtp_host", "mail.example.com", "http://mail.example.com"),
    ("follow_ups_exempt", True, 1),
]
OF_CONTACTS: Values = [
    ("email", "a@special.test", "a@"),
    ("email", "a@special.example", "a b@special.example"),
    ("first_name", "\u00e9\U0001f600", 5),
    ("timezone", "Europe/Berlin", "Berlin"),
    ("custom", {"a": "x", "b": 5, "c": True, "d": None, "e": 1.5}, {"a": ["x"]}),
    ("custom", {"a": "x" * 16_000}, {"a": "x" * 16_400}),
    ("custom", {}, {"a": {"b": 1}}),
]


def flaws(model: type[Body], value: Mapping[str, object]) -> Sequence[str]:
    """The fields that are wrong."""
    try:
        validated(model, value, PRODUCTION)
    except ValidationFailed as failed:
        return [error["field"] for error in failed.details["errors"]]
    return []


def campaign(**changed: object) -> Mapping[str, object]:
    return {"campaign": {**CAMPAIGN, **changed}}


@pytest.mark.parametrize(("name", "good", "bad"), OF_CAMPAIGNS)
def test_a_campaign_takes_what_it_may_and_nothing_beyond(name: str, good: object, bad: object) -> None:
    assert flaws(NewCampaignBody, campaign(**{name: good})) == []
    [flaw] = flaws(NewCampaignBody, campaign(**{name: bad}))
    assert flaw.startswith(f"campaign.{name}")


@pytest.mark.parametrize(("name", "good", "bad"), OF_STEPS)
def test_a_step_takes_what_it_may_and_nothing_beyond(name: str, good: object, bad: object) -> None:
    assert flaws(NewCampaignBody, campaign(sequence_steps=[{**STEP, name: good}])) == []
    wrong = flaws(NewCampaignBody, campaign(sequence_steps=[{**STEP, name: bad}]))
    assert wrong == [f"campaign.sequence_steps[0].{name}"]


@pytest.mark.parametrize(("name", "good", "bad"), OF_CREDENTIALS)
def test_a_credential_takes_what_it_may_and_nothing_beyond(name: str, good: object, bad: object) -> None:
    assert flaws(NewCampaignBody, campaign(smtp_credentials=[{**CREDENTIAL, name: good}])) == []
    wrong = flaws(NewCampaignBody, campaign(smtp_credentials=[{**CREDENTIAL, name: bad}]))
    assert wrong == [f"campaign.smtp_credentials[0].{name}"]


@pytest.mark.parametrize(("name", "good", "bad"), OF_CONTACTS)
def test_a_contact_takes_what_it_may_and_nothing_beyond(name: str, good: object, bad: object) -> None:
    person = {"email": "value@values.example"}
    assert flaws(NewContactBody, {"contact": {**person, name: good}}) == []
    wrong = flaws(NewContactBody, {"contact": {**person, name: bad}})
    assert wrong
    assert all(flaw.startswith(f"contact.{name}") for flaw in wrong)


def test_what_is_allowed_for_one_machine_is_refused_by_default() -> None:
    here = {**CREDENTIAL, "smtp_host": "127.0.0.1", "smtp_security": "none"}
    value = campaign(smtp_credentials=[here])
    assert flaws(NewCampaignBody, value) == [
        "campaign.smtp_credentials[0].smtp_host",
        "campaign.smtp_credentials[0].smtp_security",
    ]
    [taken] = validated(NewCampaignBody, value, Context(allow_insecure_hosts=True)).campaign.smtp_credentials
    assert (taken.smtp_host, taken.smtp_security) == ("127.0.0.1", "none")


def test_other_names_are_bounded_too() -> None:
    assert flaws(NewApiKey, {"label": "n" * 200}) == []
    for wrong in (" ", "n" * 201, 5):
        assert flaws(NewApiKey, {"label": wrong}) == ["label"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            {},
            {"smtp_port": 587, "smtp_security": "starttls", "from_email": "me@example.com", "label": "me@example.com"},
        ),
        ({"smtp_port": 465}, {"smtp_security": "tls"}),
        ({"smtp_port": 2525}, {"smtp_security": "starttls"}),
        ({"smtp_port": 465, "smtp_security": "starttls"}, {"smtp_security": "starttls"}),
        (
            {"smtp_username": "me", "from_email": "us@example.com", "from_name": "Us", "reply_to": "you@example.com"},
            {
                "label": "us@example.com",
                "from_email": "us@example.com",
                "from_name": "Us",
                "reply_to": "you@example.com",
            },
        ),
        ({"imap_port": 993}, {"imap_security": "tls"}),
        ({"imap_port": 143}, {"imap_security": "starttls"}),
        ({"imap_port": 1993}, {"imap_security": "starttls"}),
        ({"imap_port": 1993, "smtp_port": 465}, {"imap_security": "tls"}),
    ],
)
def test_what_a_credential_leaves_out_is_filled_in(given: Mapping[str, object], shown: Mapping[str, object]) -> None:
    mailbox = {
        "imap_host": "imap.example.com",
        "imap_username": "me",
        "imap_password": "word",
    }  # pragma: allowlist secret
    credential = {**CREDENTIAL, **(mailbox if "imap_port" in given else {}), **given}
    body = validated(NewCampaignBody, campaign(smtp_credentials=[credential]), PRODUCTION)
    [found] = body.campaign.smtp_credentials
    assert shown.items() <= found.server().items()
    assert not found.follow_ups_exempt
    assert ("imap_host" in found.server()) == ("imap_port" in given)


def test_a_step_answers_the_first_one_unless_told_otherwise() -> None:
    steps = [{**STEP, "position": 1}, {**STEP, "position": 2}, {**STEP, "position": 3, "thread": False}]
    body = validated(NewCampaignBody, campaign(sequence_steps=steps), PRODUCTION)
    assert [step.plan().thread for step in body.campaign.sequence_steps] == [False, True, False]
