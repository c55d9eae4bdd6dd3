"""Preview: what a campaign's mails say to one contact, or to a sample person, as JSON or as a page to look at."""

import asyncio
import html
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from litestar import Response, get

from outrider.api import queries_campaigns as queries
from outrider.api.accounts import postal_address
from outrider.api.answers_campaigns import Preview
from outrider.api.describing import Query, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.events import vault
from outrider.events.campaign import SequenceStepNotFound
from outrider.events.contact import ContactNotFound
from outrider.events.errors import ValidationFailed
from outrider.events.message import Json
from outrider.events.rendering import BadTemplate, CannotRender, Merge, Rendered, compile_step, merge_of, sample
from outrider.events.rendering_footer import add_footer

MERGED_WITH: Final = (
    Query("contact_id", "Whose values are merged; a sample person's where nobody is named."),
    Query("position", "This step alone.", {"type": "integer", "minimum": 1}),
)
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>Preview</title></head>
<body style="font-family:sans-serif;max-width:48em;margin:2em auto;padding:0 1em">{steps}</body></html>
"""
STEP: Final = """<section><h2>{position}. {subject}</h2>
<iframe sandbox="" referrerpolicy="no-referrer" title="Step {position}" srcdoc="{body}"
style="width:100%;height:24em;border:1px solid #ccc"></iframe>
<details><summary>Text</summary><pre style="white-space:pre-wrap">{text}</pre></details></section>
"""
SANDBOXED: Final = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; form-action 'none'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}
"""A template is its author's HTML: nothing in it may run, send or frame anything. The frames inherit the policy."""


@get(
    "/campaigns/{campaign_id:str}/preview",
    opt=tells(
        Preview,
        media=["text/html"],
        query=MERGED_WITH,
        refuses=[ContactNotFound, SequenceStepNotFound],
    ),
)
async def preview(request: Asked, campaign_id: str) -> Response[bytes]:
    """Every step, or one, with merge values applied; a sandboxed page for whoever asks for text/html."""
    call = request.user
    row = await queries.find(call, campaign_id)
    options = call.options("contact_id", "position")
    steps = _chosen(row["steps"], options.get("position"))
    merge = await merge_for(call, options.get("contact_id"))
    texts = await queries.templates(call, row["campaign_id"], steps)
    footer = None
    if row["settings"].get("unsubscribe_footer"):
        footer = partial(add_footer, postal_address=await postal_address(call, call.account_id))
    shown = await asyncio.to_thread(_rendered, steps, texts, merge, footer)
    if request.accept.best_match(["application/json", "text/html"]) == "text/html":
        return Response(_page(shown), media_type="text/html", headers=SANDBOXED)
    call.headers["Vary"] = "Accept"
    return call.answer({"steps": shown})


async def merge_for(call: Call, contact_id: str | None) -> Merge:
    """The merge values of the contact, or of a sample person where none is named. Raises ContactNotFound."""
    if contact_id is None:
        return sample()
    contact: UUID | None = await call.gateway.tables.fetchval(
        "select contact_id from contacts where account_id = $1 and contact_id = $2 and deleted_at is null",
        call.account_id,
        as_id(contact_id),
    )
    person = None
    if contact is not None:
        person = await vault.get(call.gateway.log_pool, call.account_id, contact, "person")
    if person is None:
        raise ContactNotFound
    return merge_of(person, sample().unsubscribe_url)


def _chosen(steps: Sequence[Json], position: str | None) -> Sequence[Json]:
    """All of them, or the one. Raises ValidationFailed, SequenceStepNotFound."""
    if position is None:
        return steps
    if not (position.isascii() and position.isdecimal() and position.strip("0")):
        raise ValidationFailed([{"field": "position", "message": "must be a number from 1"}])
    found = [step for step in steps if str(step["position"]) == position.lstrip("0")]
    if not found:
        raise SequenceStepNotFound
    return found


def _rendered(
    steps: Sequence[Json], texts: Mapping[int, Json], merge: Merge, footer: Callable[..., Rendered] | None
) -> list[Json]:
    """What each step says. Raises ValidationFailed where the contact's values do not go with a template."""
    shown: list[Json] = []
    for step in steps:
        position, text = step["position"], texts.get(step["position"])
        if text is None:
            continue  # deleted meanwhile
        try:
            mail = compile_step(text["subject"], text["body_html"], text.get("body_text")).render(merge)
        except BadTemplate as broken:
            raise ValidationFailed(_flaws(position, [(one.field, one.message) for one in broken.problems])) from None
        except CannotRender as cannot:
            raise ValidationFailed(_flaws(position, [(cannot.problem.field, cannot.problem.message)])) from None
        if footer is not None:
            mail = footer(mail, unsubscribe_url=merge.unsubscribe_url)
        shown.append({"position": position, "subject": mail.subject, "body_html": mail.html, "body_text": mail.text})
    return shown


def _flaws(position: int, problems: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"field": f"sequence_steps[{position - 1}].{field}", "message": message} for field, message in problems]


def _page(steps: Sequence[Json]) -> bytes:
    sections = [
        STEP.format(
            position=step["position"],
            subject=html.escape(step["subject"]),
            body=html.escape(step["body_html"]),
            text=html.escape(step["body_text"]),
        )
        for step in steps
    ]
    return PAGE.format(steps="".join(sections)).encode()


ROUTES = (preview,)
