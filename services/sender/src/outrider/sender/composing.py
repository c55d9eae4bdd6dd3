"""Composing: one letter as the bytes that go into DATA. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from outrider.events.campaign import CampaignSettings, StepPlan
from outrider.events.delivery import SendStep
from outrider.events.dkim_signing import DkimKey, sign
from outrider.events.ids import delivery_id, domain_of
from outrider.events.message import Json
from outrider.events.mime import Mail, build
from outrider.events.rendering import BadTemplate, Rendered, Template, add_pixel, merge_of
from outrider.events.rendering_footer import add_footer
from outrider.events.rendering_links import lead_links
from outrider.events.tokens import LONGEST_TARGET, Keyring, message_id, track_click, track_open, unsubscribe
from outrider.sender.smtp_outcomes import Server


@dataclass(frozen=True, slots=True)
class CampaignPlan:
    """What a campaign asks of every message."""

    settings: CampaignSettings
    steps: Mapping[int, StepPlan]


@dataclass(frozen=True, slots=True)
class Mailer:
    """A credential as its messages show it, and its server."""

    server: Server
    from_email: str
    from_name: str | None
    reply_to: str | None
    dkim: DkimKey | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """To whom, and the keys under which the address may be suppressed."""

    email: str
    merge: Json
    address_key: str
    domain_key: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, not rendered yet."""

    job: SendStep
    person: Person
    mailer: Mailer
    plan: CampaignPlan
    template: Template | BadTemplate
    thread_domain: str
    """Of the from address of the first message of its thread."""
    postal_address: str | None = None
    """Of the account, for a footer."""
    versions: Mapping[str, int] = field(default_factory=dict[str, int])
    """Of the streams that say what it is made of, as they stood before it was: its claim asserts these."""

    @property
    def step(self) -> StepPlan:
        """The step that it is."""
        return self.plan.steps[self.job.position]


def compose(letter: Letter, keys: Keyring, public_url: str, date: datetime) -> bytes:
    """The message as it goes into DATA. Raises CannotRender, BadHeader, BadTemplate.

    The Message-ID is the same on every attempt. A threaded step answers the first one (RFC 5322 3.6.4).
    """
    job, settings = letter.job, letter.plan.settings
    leave = f"{public_url}/u/{unsubscribe(keys, job.delivery_id)}"
    shown = _content(letter, keys, public_url, leave)
    domain = domain_of(letter.mailer.from_email)
    first = message_id(keys, delivery_id(job.enrollment_id, 1), letter.thread_domain)
    threaded = letter.step.thread and job.position > 1
    return written(
        letter.mailer,
        Mail(
            delivery=job.delivery_id,
            message_id=message_id(keys, job.delivery_id, domain),
            date=date,
            from_email=letter.mailer.from_email,
            from_name=letter.mailer.from_name,
            to_email=letter.person.email,
            subject=shown.subject,
            html=shown.html,
            text=shown.text,
            reply_to=letter.mailer.reply_to,
            in_reply_to=first if threaded else None,
            references=(first,) if threaded else (),
            unsubscribe_url=leave if settings.unsubscribe_header else None,
        ),
    )


def written(mailer: Mailer, mail: Mail) -> bytes:
    """The mail as its mailer sends it: signed, where it has a key. Raises BadHeader."""
    content = build(mail)
    return content if mailer.dkim is None else sign(content, mailer.dkim)


def _content(letter: Letter, keys: Keyring, public_url: str, leave: str) -> Rendered:
    """Subject and bodies, with what the campaign wants added: tracked links, a footer, a pixel.

    Links are led over us in the HTML alone, after rendering: the text shows where they lead, and a long address instead
    would be all that a reader sees of them.
    """
    if isinstance(letter.template, BadTemplate):
        raise letter.template
    delivery, settings = letter.job.delivery_id, letter.plan.settings
    shown = letter.template.render(merge_of(letter.person.merge, leave))
    if settings.track_clicks:

        def lead(number: int, target: str) -> str | None:
            if target.startswith(f"{public_url}/") or len(target) > LONGEST_TARGET:
                return None  # unsubscribing, above all, is nobody's to count
            return f"{public_url}/t/c/{track_click(keys, delivery, number, target)}"

        shown = replace(shown, html=lead_links(shown.html, lead))
    if settings.unsubscribe_footer:
        shown = add_footer(shown, letter.postal_address, leave)
    if settings.track_opens:
        shown = replace(shown, html=add_pixel(shown.html, f"{public_url}/t/o/{track_open(keys, delivery)}.gif"))
    return shown
