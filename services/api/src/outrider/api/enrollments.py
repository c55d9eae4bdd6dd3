"""Enrollments: who is enrolled, how far each is, who was skipped, who answered."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, post

from outrider.api import queries_campaigns
from outrider.api.answers_people import ContactEnrolled, Enrolled, EnrollmentRow, EnrollmentShown, ReplyRow, SkipRow
from outrider.api.bodies import EnrollBody, EnrollContactBody
from outrider.api.describing import PAGE, Query, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.api.presenting import enrolled, people
from outrider.api.reasons import REASONS
from outrider.events.campaign import (
    LAST_BATCH_NUMBER,
    BatchNumbersUsedUp,
    DeleteEnrollment,
    EnrollContact,
    EnrollImport,
)
from outrider.events.contact import ContactImportFailed, ContactImportNotFound, ContactNotFound
from outrider.events.database import Row
from outrider.events.enrollment import ContactAlreadyEnrolled, ContactSkipped, EnrollmentNotFound
from outrider.events.errors import ValidationFailed
from outrider.events.ids import new_id
from outrider.events.message import Json

STATUSES: Final = (
    "pending", "scheduled", "sent", "opened", "replied", "bounced", "unsubscribed", "skipped", "failed", "stopped",
)  # fmt: skip
BY_STATUS: Final = Query("status", "Those with this status alone.", {"type": "string", "enum": list(STATUSES)})
BY_BATCH: Final = Query(
    "batch_number", "Those of this batch alone.", {"type": "integer", "minimum": 0, "maximum": LAST_BATCH_NUMBER}
)
BY_KIND: Final = Query("kind", "Those of this kind alone.", {"type": "string", "enum": list(REASONS)})
FIELDS: Final = """
e.enrollment_id, e.position, e.campaign_id, e.contact_id, e.credential_id, e.status, e.batch_number, e.steps_sent,
e.sent_at, e.opened_at, e.replied_at, e.bounced_at, e.bounce_reason, e.skip_kind, e.unsubscribed_at, e.created_at,
e.ended_at,
(select min(p.at) from planned_steps p where p.enrollment_id = e.enrollment_id and p.open) as next_send_at
"""
OF_CAMPAIGN: Final = f"""
select {FIELDS}
from enrollments e
where e.campaign_id = $1 and e.position < $2 and ($4::text is null or e.status = $4)
    and ($5::bigint is null or e.batch_number = $5)
order by e.position desc
limit $3
"""  # noqa: S608  # a constant
ONE: Final = f"""
select {FIELDS}
from enrollments e
join campaigns c on c.campaign_id = e.campaign_id and c.deleted_at is null
where e.account_id = $1 and e.enrollment_id = $2
"""  # noqa: S608  # a constant
SKIPS: Final = """
select position, contact_id, kind, created_at
from skips
where campaign_id = $1 and position < $2 and ($4::text is null or kind = $4)
order by position desc
limit $3
"""
REPLIES: Final = """
select r.position, r.enrollment_id, r.contact_id, r.inbound, r.step_position, r.replied_at, r.suspected,
    s.at as answered_at
from replies r
left join sends s on s.delivery_id = r.delivery_id
where r.campaign_id = $1 and r.position < $2
order by r.position desc
limit $3
"""
TEXTS: Final = """
select v.owner, v.name, v.value
from unnest($1::uuid[], $2::text[]) as a (owner, name)
join log.vault v on v.owner = a.owner and v.name = a.name
where v.account_id = $3
"""


@post(
    "/campaigns/{campaign_id:str}/enroll",
    status_code=200,
    opt=tells(Enrolled, body=EnrollBody, refuses=[ContactImportNotFound, ContactImportFailed, BatchNumbersUsedUp]),
)
async def enroll(request: Asked, campaign_id: str) -> Response[bytes]:
    """Enroll every contact of an import, in batches, once the import is complete."""
    call = request.user
    campaign = (await queries_campaigns.find(call, campaign_id))["campaign_id"]
    body = call.body(EnrollBody)
    known = await call.gateway.tables.fetchval(
        "select import_id from imports where account_id = $1 and import_id = $2 and deleted_at is null",
        call.account_id,
        as_id(body.contact_import_id),
    )
    if known is None:
        raise ContactImportNotFound
    verdict = await call.ask(
        EnrollImport(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=campaign,
            import_id=known,
            batch_size=body.batch_size,
        )
    )
    return call.answer(await enrolled(call, verdict.body or {}), verdict.http_status or 200)


@post(
    "/campaigns/{campaign_id:str}/enroll_contact",
    status_code=201,
    opt=tells(
        ContactEnrolled,
        body=EnrollContactBody,
        refuses=[ContactNotFound, ContactAlreadyEnrolled, ContactSkipped],
    ),
)
async def enroll_contact(request: Asked, campaign_id: str) -> Response[bytes]:
    """Enroll one contact."""
    call = request.user
    campaign = (await queries_campaigns.find(call, campaign_id))["campaign_id"]
    body = call.body(EnrollContactBody)
    contact = as_id(body.contact_id)
    if contact is None:
        raise ContactNotFound
    verdict = await call.ask(
        EnrollContact(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=campaign,
            contact_id=contact,
            batch_number=body.batch_number,
            priority=body.priority,
        )
    )
    return call.answer(verdict.body, verdict.http_status or 201)


@get("/campaigns/{campaign_id:str}/enrollments", opt=tells(rows=EnrollmentRow, query=(*PAGE, BY_STATUS, BY_BATCH)))
async def list_enrollments(request: Asked, campaign_id: str) -> Response[bytes]:
    """The enrollments of a campaign, of one status or batch if asked for."""
    call = request.user
    campaign = (await queries_campaigns.find(call, campaign_id))["campaign_id"]
    page, options = call.page("status", "batch_number")
    status = _one_of("status", options.get("status"), STATUSES)
    rows = await call.gateway.tables.fetch(
        OF_CAMPAIGN, campaign, page.before, page.more, status, _batch_number(options.get("batch_number"))
    )
    shown, cursor = page.cut(rows)
    return call.rows([_enrollment(row) for row in shown], cursor)


@get("/enrollments/{enrollment_id:str}", opt=tells(EnrollmentShown))
async def show_enrollment(request: Asked, enrollment_id: str) -> Response[bytes]:
    """One enrollment."""
    call = request.user
    row = await find(call, enrollment_id)
    call.options()
    return call.answer(await shown(call, row))


async def shown(call: Call, row: Row) -> Json:
    """One enrollment, with its person."""
    found = await people(call, {row["contact_id"]})
    email = found.get(row["contact_id"], {}).get("email")
    return {**_enrollment(row), "campaign_id": row["campaign_id"], "email": email}


@delete("/enrollments/{enrollment_id:str}", status_code=200, opt=tells())
async def delete_enrollment(request: Asked, enrollment_id: str) -> Response[bytes]:
    """What is left of it is not sent; it stays to be seen, and cannot be created again."""
    call = request.user
    row = await find(call, enrollment_id)
    call.options()
    await call.ask(
        DeleteEnrollment(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=row["campaign_id"],
            enrollment_id=row["enrollment_id"],
            contact_id=row["contact_id"],
        )
    )
    return call.done()


@get("/campaigns/{campaign_id:str}/skips", opt=tells(rows=SkipRow, query=(*PAGE, BY_KIND)))
async def list_skips(request: Asked, campaign_id: str) -> Response[bytes]:
    """Who was not enrolled, or not mailed, and why."""
    call = request.user
    campaign = (await queries_campaigns.find(call, campaign_id))["campaign_id"]
    page, options = call.page("kind")
    kind = _one_of("kind", options.get("kind"), tuple(REASONS))
    rows, cursor = page.cut(await call.gateway.tables.fetch(SKIPS, campaign, page.before, page.more, kind))
    found = await people(call, {row["contact_id"] for row in rows})
    shown = [
        {
            "kind": row["kind"],
            "contact_id": row["contact_id"],
            "email": found.get(row["contact_id"], {}).get("email"),
            "reason": REASONS.get(row["kind"]),
            "created_at": row["created_at"],
        }
        for row in rows
    ]
    return call.rows(shown, cursor)


@get("/campaigns/{campaign_id:str}/replies", opt=tells(rows=ReplyRow, query=PAGE))
async def list_replies(request: Asked, campaign_id: str) -> Response[bytes]:
    """Who answered, how long after the message, and how the answer begins."""
    call = request.user
    campaign = (await queries_campaigns.find(call, campaign_id))["campaign_id"]
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.tables.fetch(REPLIES, campaign, page.before, page.more))
    found = await people(call, {row["contact_id"] for row in rows})
    texts = await _texts(call, rows)
    shown = [
        {
            "enrollment_id": row["enrollment_id"],
            "contact_id": row["contact_id"],
            "email": found.get(row["contact_id"], {}).get("email"),
            "step_position": row["step_position"],
            "replied_at": row["replied_at"],
            "hours_to_reply": _hours(row["answered_at"], row["replied_at"]),
            "suspected": row["suspected"],
            "subject": texts.get(row["inbound"], {}).get("subject"),
            "snippet": texts.get(row["inbound"], {}).get("snippet"),
        }
        for row in rows
    ]
    return call.rows(shown, cursor)


async def find(call: Call, text: str) -> Row:
    """The enrollment of the account. Raises EnrollmentNotFound."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, as_id(text))
    if row is None:
        raise EnrollmentNotFound
    return row


def _enrollment(row: Row) -> Json:
    return {
        "id": row["enrollment_id"],
        "contact_id": row["contact_id"],
        "smtp_credential_id": row["credential_id"],
        "status": row["status"],
        "batch_number": row["batch_number"],
        "steps_sent": row["steps_sent"],
        "sent_at": row["sent_at"],
        "opened_at": row["opened_at"],
        "replied_at": row["replied_at"],
        "bounced_at": row["bounced_at"],
        "bounce_reason": row["bounce_reason"] or (row["skip_kind"] if row["skip_kind"] == "mx_invalid" else None),
        "unsubscribed_at": row["unsubscribed_at"],
        "next_send_at": row["next_send_at"] if row["ended_at"] is None else None,
        "finished_at": row["ended_at"],
        "created_at": row["created_at"],
    }


async def _texts(call: Call, replies: Sequence[Row]) -> dict[UUID, Json]:
    """Subject and snippet by the inbound message they belong to."""
    names = {f"inbound-{row['inbound']}": row["inbound"] for row in replies}
    rows = await call.gateway.log_pool.fetch(
        TEXTS, [row["contact_id"] for row in replies], [f"inbound-{row['inbound']}" for row in replies], call.account_id
    )
    return {names[row["name"]]: row["value"] for row in rows}


def _hours(answered_at: datetime | None, replied_at: datetime) -> float | None:
    """From the message answered to the answer; None where it is not known which one that was."""
    return None if answered_at is None else round(max(0.0, (replied_at - answered_at).total_seconds()) / 3600, 2)


def _one_of(field: str, value: str | None, known: Sequence[str]) -> str | None:
    if value is not None and value not in known:
        raise ValidationFailed([{"field": field, "message": f"must be one of {', '.join(known)}"}])
    return value


def _batch_number(value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > LAST_BATCH_NUMBER:
        raise ValidationFailed([{"field": "batch_number", "message": "must be a number from 0"}])
    return int(value)


ROUTES = (enroll, enroll_contact, list_enrollments, show_enrollment, delete_enrollment, list_skips, list_replies)
