"""What a campaign's pages show: counters as they are maintained, names and addresses joined from the vault."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from outrider.api.gateway import Call
from outrider.api.paging import as_id
from outrider.api.reasons import REASONS
from outrider.events import vault
from outrider.events.campaign import CampaignNotFound
from outrider.events.database import Row
from outrider.events.message import Json

RECENT_BOUNCES: Final = 20
LIST: Final = """
select campaign_id, position, status, created_at
from campaigns
where account_id = $1 and deleted_at is null and position < $2
order by position desc
limit $3
"""
ONE: Final = """
select c.campaign_id, c.status, c.settings, c.steps, c.created_at, c.completed_at,
    n.pending, n.sent, n.opened, n.clicked, n.replied, n.bounced, n.unsubscribed, n.finished, n.sends, n.accepted,
    n.suspected_replies,
    (select jsonb_object_agg(s.kind, s.skips) from skip_counts s where s.campaign_id = c.campaign_id) as skips
from campaigns c
join campaign_counts n using (campaign_id)
where c.account_id = $1 and c.campaign_id = $2 and c.deleted_at is null
"""
CREDENTIALS: Final = """
select c.credential_id, c.position, c.daily_limit, c.follow_ups_exempt, c.disabled_at, c.disabled_reason,
    c.imap_refused_at,
    coalesce(n.sends, 0) as sends, coalesce(n.bounces, 0) as bounces,
    coalesce(d.accepted, 0) as sent_today, coalesce(d.claimed, 0) as claimed_today
from credentials c
left join credential_counts n using (credential_id)
left join credential_days d on d.credential_id = c.credential_id and d.day = $2
where c.campaign_id = $1 and c.removed_at is null
"""
IN_ORDER: Final = f"{CREDENTIALS} order by c.position, c.credential_id"
NEWEST_FIRST: Final = f"{CREDENTIALS} and c.position < $3 order by c.position desc limit $4"
OF_CREDENTIALS: Final = ("server", "smtp_error", "imap_error")
"""What the vault keeps of a credential that is shown."""
ONE_CREDENTIAL: Final = f"{CREDENTIALS} and c.credential_id = $3"
BATCHES: Final = """
select batch_number, pending, sent, opened, replied, bounced, dispatched_at
from batches
where campaign_id = $1
order by batch_number
"""
BOUNCES: Final = """
select enrollment_id, contact_id, credential_id, bounce_kind, bounce_code, bounce_reason, bounced_at
from enrollments
where campaign_id = $1 and bounced_at is not null
order by bounced_at desc, position desc
limit $2
"""


async def find(call: Call, text: str) -> Row:
    """The campaign of the account. Raises CampaignNotFound."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, as_id(text))
    if row is None:
        raise CampaignNotFound
    return row


async def listed(call: Call, rows: Sequence[Row]) -> list[Json]:
    """Rows of a list."""
    names = await vault.get_many(call.gateway.log_pool, call.account_id, [row["campaign_id"] for row in rows], "name")
    return [
        {
            "id": row["campaign_id"],
            "name": names.get(row["campaign_id"], {}).get("name"),
            "status": row["status"],
            "created_at": row["created_at"],
        }
        for row in rows
    ]


async def shown(call: Call, row: Row) -> Json:
    """One campaign with its settings, steps, credentials and full statistics."""
    campaign: UUID = row["campaign_id"]
    settings, steps = row["settings"], row["steps"]
    async with call.gateway.tables.acquire() as db:
        mailers = await db.fetch(IN_ORDER, campaign, call.gateway.clock.now().date())
        batches = await db.fetch(BATCHES, campaign)
        bounces = await db.fetch(BOUNCES, campaign, RECENT_BOUNCES) if row["bounced"] else ()
    kept = await vault.get_all(
        call.gateway.log_pool,
        call.account_id,
        [campaign, *(mailer["credential_id"] for mailer in mailers), *(bounce["contact_id"] for bounce in bounces)],
        ["name", *(_template(step) for step in steps), *OF_CREDENTIALS, "person"],
    )
    texts = kept[campaign]
    return {
        "id": campaign,
        "name": texts.get("name", {}).get("name"),
        "status": row["status"],
        "created_at": row["created_at"],
        "completed_at": row["completed_at"],
        **settings,
        "sequence_steps": [_step(step, texts.get(_template(step), {})) for step in steps],
        "credentials": [_credential(mailer, kept[mailer["credential_id"]]) for mailer in mailers],
        "totals": {name: row[name] for name in ("pending", "sent", "opened", "replied", "bounced")},
        "rates": rates(row),
        "per_batch": [dict(batch) for batch in batches],
        "recent_bounces": [_bounce(bounce, kept[bounce["contact_id"]].get("person", {})) for bounce in bounces],
        "skipped": {**dict.fromkeys(REASONS, 0), **(row["skips"] or {})},
        "emails_sent": row["accepted"],
        "clicked": row["clicked"],
        "unsubscribed": row["unsubscribed"],
        "finished": row["finished"],
        "suspected_replies": row["suspected_replies"],
    }


def rates(row: Mapping[str, Any]) -> dict[str, float]:
    """Bounces over messages sent (SMTP2GO counts so), opens and replies over enrollments sent to; in percent."""
    return {
        "bounce_rate": percent(row["bounced"], row["sends"]),
        "open_rate": percent(row["opened"], row["sent"]),
        "reply_rate": percent(row["replied"], row["sent"]),
    }


def percent(part: int, whole: int) -> float:
    """With one decimal, halves up; 0.0 of nothing."""
    return (2000 * part + whole) // (2 * whole) / 10 if whole else 0.0


async def shown_steps(call: Call, row: Row) -> list[Json]:
    """The campaign's steps as a GET shows them, by position."""
    texts = await templates(call, row["campaign_id"], row["steps"])
    return [_step(step, texts.get(step["position"], {})) for step in row["steps"]]


async def templates(call: Call, campaign: UUID, steps: Sequence[Json]) -> Mapping[int, Json]:
    """The texts of each step as it stands, by position."""
    texts = await _vault(call, campaign, [_template(step) for step in steps])
    return {step["position"]: texts[name] for step in steps if (name := _template(step)) in texts}


async def _vault(call: Call, owner: UUID, names: Sequence[str]) -> dict[str, Json]:
    rows = await call.gateway.log_pool.fetch(
        "select name, value from log.vault where owner = $1 and account_id = $2 and name = any($3)",
        owner,
        call.account_id,
        list(names),
    )
    return {row["name"]: row["value"] for row in rows}


def _template(step: Json) -> str:
    return f"template-{step['position']}-{step['template_version']}"


def _step(step: Json, texts: Json) -> Json:
    return {
        "position": step["position"],
        "subject": texts.get("subject"),
        "body_html": texts.get("body_html"),
        "body_text": texts.get("body_text"),
        "delay_minutes": step["delay_minutes"],
        "thread": step["thread"],
    }


async def credentials(call: Call, campaign: UUID, query: str = IN_ORDER, *args: object) -> list[Json]:
    """The campaign's SMTP credentials as a GET shows them; `query` says which."""
    today = call.gateway.clock.now().date()
    return await shown_credentials(call, await call.gateway.tables.fetch(query, campaign, today, *args))


async def shown_credentials(call: Call, rows: Sequence[Row]) -> list[Json]:
    """These rows of CREDENTIALS with their hosts, and with what their servers said."""
    ids = [row["credential_id"] for row in rows]
    kept = await vault.get_all(call.gateway.log_pool, call.account_id, ids, OF_CREDENTIALS)
    return [_credential(row, kept[row["credential_id"]]) for row in rows]


def _credential(row: Row, kept: Mapping[str, Json]) -> Json:
    server, imap = kept.get("server", {}), kept.get("imap_error", {})
    return {
        "id": row["credential_id"],
        "label": server.get("label"),
        "from_name": server.get("from_name"),
        "from_email": server.get("from_email"),
        "reply_to": server.get("reply_to"),
        "smtp_host": server.get("smtp_host"),
        "smtp_port": server.get("smtp_port"),
        "smtp_security": server.get("smtp_security"),
        "smtp_username": server.get("smtp_username"),
        "oauth2": server.get("oauth2"),
        "dkim": server.get("dkim"),
        "imap_host": server.get("imap_host"),
        "imap_port": server.get("imap_port"),
        "imap_security": server.get("imap_security"),
        "imap_username": server.get("imap_username"),
        "daily_limit": row["daily_limit"],
        "follow_ups_exempt": row["follow_ups_exempt"],
        "sent_today": row["sent_today"],
        "remaining_today": max(0, row["daily_limit"] - row["claimed_today"]),
        "sends": row["sends"],
        "bounces": row["bounces"],
        "bounce_rate": percent(row["bounces"], row["sends"]),
        "disabled_at": row["disabled_at"],
        "disabled_reason": row["disabled_reason"],
        "smtp_error": kept.get("smtp_error", {}).get("reply") if row["disabled_at"] is not None else None,
        "imap_error": imap.get("reply"),
        "imap_refused_at": row["imap_refused_at"],
        "imap_advice": imap.get("advice"),
    }


def _bounce(row: Row, person: Json) -> Json:
    return {
        "enrollment_id": row["enrollment_id"],
        "contact_id": row["contact_id"],
        "email": person.get("email"),
        "smtp_credential_id": row["credential_id"],
        "kind": row["bounce_kind"],
        "status_code": row["bounce_code"],
        "reason": row["bounce_reason"],
        "bounced_at": row["bounced_at"],
    }
