"""What one letter says on the wire, with everything that a campaign may want added to it."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from uuid import UUID

from outrider.events.campaign import CampaignSettings, StepPlan
from outrider.events.delivery import SendStep
from outrider.events.ids import delivery_id, enrollment_id
from outrider.events.rendering import compile_step
from outrider.events.tokens import Click, Keyring, Purpose, Token, read_click, read_token
from outrider.sender.composing import CampaignPlan, Letter, Mailer, Person, compose
from outrider.sender.smtp import Server

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
KEYS = Keyring(b"a" * 32)
PUBLIC = "https://track.example.com"
CAMPAIGN, CONTACT = UUID(int=1), UUID(int=2)
ENROLLMENT = enrollment_id(CAMPAIGN, CONTACT)
DELIVERY = delivery_id(ENROLLMENT, 1)
BODY = (
    '<html><body><p><a href="https://example.com/?a=1&amp;name={{first_name | url_encode}}">Look</a>'
    '<a href="mailto:ann@sender.example">Write</a><a href="{{unsubscribe_url}}">Leave</a></p></body></html>'
)


def letter(settings: CampaignSettings, postal_address: str | None = None) -> Letter:
    step = StepPlan(position=1, delay_minutes=0, thread=False)
    job = SendStep(
        account_id=UUID(int=3),
        seen=0,
        delivery_id=DELIVERY,
        enrollment_id=ENROLLMENT,
        campaign_id=CAMPAIGN,
        contact_id=CONTACT,
        credential_id=UUID(int=4),
        position=1,
        attempt=1,
        planned_at=NOW,
        previous_delivery_id=None,
    )
    return Letter(
        job,
        Person("zoe@people.example", {"email": "zoe@people.example", "first_name": "Zoë & Co"}, "a" * 32, "b" * 32),
        Mailer(Server("mail.example.com", 587, "starttls"), "ann@sender.example", None, None),
        CampaignPlan(settings, {1: step}),
        compile_step("Hi", BODY),
        "sender.example",
        postal_address,
    )


def bodies(written: Letter) -> tuple[str, str]:
    """HTML and text, as a mail program shows them."""
    message = message_from_bytes(compose(written, KEYS, PUBLIC, NOW), policy=default)
    assert isinstance(message, EmailMessage)
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    return html.get_content(), text.get_content()


def tokens(html: str, kind: str) -> list[str]:
    return re.findall(rf'"{PUBLIC}/{kind}/([\w-]+)(?:\.gif)?"', html)


def test_only_web_links_of_the_html_are_led_over_us_and_unsubscribing_is_not_counted() -> None:
    html, text = bodies(letter(CampaignSettings(track_clicks=True)))
    [link] = tokens(html, "t/c")
    assert read_click(KEYS, link) == Click(DELIVERY, 1, "https://example.com/?a=1&name=Zo%C3%AB+%26+Co")
    assert 'href="mailto:ann@sender.example"' in html
    [leave] = tokens(html, "u")
    assert read_token(KEYS, Purpose.UNSUBSCRIBE, leave) == Token(DELIVERY)
    assert len(tokens(html, "t/o")) == 1
    assert "/t/c/" not in text
    assert "https://example.com/?a=1&name=Zo%C3%AB+%26+Co" in text


def test_a_campaign_that_tracks_nothing_has_its_links_as_they_are() -> None:
    html, _ = bodies(letter(CampaignSettings(track_opens=False)))
    assert "/t/" not in html
    assert 'href="https://example.com/?a=1&amp;name=Zo%C3%AB+%26+Co"' in html


def test_a_link_too_long_for_a_token_leads_where_it_did() -> None:
    target = f"https://example.com/{'x' * 3000}"
    template = compile_step("Hi", f'<a href="{target}">')
    written = replace(letter(CampaignSettings(track_clicks=True)), template=template)
    assert f'href="{target}"' in bodies(written)[0]


def test_a_footer_has_the_postal_address_and_a_way_out_in_both_parts() -> None:
    settings = CampaignSettings(unsubscribe_footer=True, track_clicks=True, unsubscribe_header=False)
    html, text = bodies(letter(settings, "Example & Co\n1 Road"))
    footer = html[html.index("<p style=") :]
    assert "Example &amp; Co<br>1 Road<br>" in footer
    assert read_token(KEYS, Purpose.UNSUBSCRIBE, tokens(footer, "u")[0]) == Token(DELIVERY)
    assert footer.index(">Unsubscribe</a></p>") < footer.index("<img") < footer.index("</body>")
    assert (
        text.replace("\r\n", "\n")
        .rstrip()
        .endswith(f"-- \nExample & Co\n1 Road\nUnsubscribe: {PUBLIC}/u/{tokens(footer, 'u')[0]}")
    )


def test_a_footer_without_a_postal_address_has_the_way_out_alone() -> None:
    html, text = bodies(letter(CampaignSettings(unsubscribe_footer=True)))
    assert ">Unsubscribe</a></p>" in html
    assert "\n-- \nUnsubscribe: https://" in text.replace("\r\n", "\n")
