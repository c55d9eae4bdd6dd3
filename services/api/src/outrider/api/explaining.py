"""`GET /enrollments/:id/explain`: what happens next and when, or why nothing does.

The streams that can stop the next step, and what their events mean, are those of `events.gates`, which the sender's
claim asserts. Plan, quota and window are figures: they are worked out for the moment at which the step is due.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final, get_args
from uuid import UUID

from litestar import Response, get

from outrider.api import lives
from outrider.api.answers_people import Explained
from outrider.api.describing import tells
from outrider.api.enrollments import find
from outrider.api.gateway import NOBODY, Asked, Call
from outrider.api.histories import about
from outrider.events import vault
from outrider.events.account import AccountOpened, PlanChanged
from outrider.events.campaign import CampaignSettings
from outrider.events.credential import CredentialRefused, QuotaClaimed
from outrider.events.database import Row
from outrider.events.enrollment import EnrollmentCreated
from outrider.events.gates import GateName, effect, gates, last_word, plan_closed
from outrider.events.ids import delivery_id
from outrider.events.message import Event, Json, Recorded
from outrider.events.windows import next_open, window_of

FACTS: Final = """
select c.settings, p.step_position, p.at, coalesce(p.credential_id, e.credential_id) as credential_id, k.daily_limit,
    k.follow_ups_exempt, a.monthly_limit,
    (select count(*) from credentials u
    where u.campaign_id = e.campaign_id and u.removed_at is null and u.disabled_at is null) as usable
from enrollments e
join campaigns c on c.campaign_id = e.campaign_id
join accounts a on a.account_id = e.account_id
left join lateral (
    select s.step_position, s.at, s.credential_id from planned_steps s
    where s.enrollment_id = e.enrollment_id and s.open and e.ended_at is null
    order by s.step_position limit 1
) p on true
left join credentials k on k.credential_id = coalesce(p.credential_id, e.credential_id)
where e.enrollment_id = $1
"""
CLAIMED: Final = "select claimed from credential_days where credential_id = $1 and day = $2"
SENT: Final = "select sends from usage where account_id = $1 and month = $2"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one gate stands."""

    reason: str | None = None
    """Why it is closed; None: it is open."""
    event: Recorded[Event] | None = None
    """The one that set it so."""
    until: datetime | None = None
    """When it opens by itself."""


OPEN: Final = Verdict()


@dataclass(frozen=True, slots=True)
class Next:
    """The step that would be mailed next, and the moment for which it is judged."""

    row: Row
    moment: datetime
    """When it is due, or now where that is over."""

    @property
    def credential(self) -> UUID | None:
        """Through which it would go out; None where nothing is planned."""
        credential: UUID | None = self.row["credential_id"]
        return credential


@get("/enrollments/{enrollment_id:str}/explain", opt=tells(Explained))
async def explain(request: Asked, enrollment_id: str) -> Response[bytes]:
    """Its status, its next step, and every gate with its verdict."""
    call = request.user
    row = await find(call, enrollment_id)
    call.options()
    facts = await call.gateway.tables.fetchrow(FACTS, row["enrollment_id"])
    if facts is None:  # joined to what was there a moment ago
        raise LookupError("an enrollment without its campaign")
    now = call.gateway.clock.now()
    step = Next(facts, max(now, facts["at"] or now))
    verdicts: Mapping[GateName, Verdict] = {
        **await _asserted(call, row, step),
        "plan": await _plan(call, step),
        "quota": await _quota(call, step),
        "window": await _window(call, row["contact_id"], step),
    }
    due = {"step_position": facts["step_position"], "at": facts["at"]}
    shown = [_shown(name, verdicts[name]) for name in get_args(GateName)]
    return call.answer({"status": row["status"], "next": due if facts["at"] is not None else None, "gates": shown})


def _shown(name: GateName, verdict: Verdict) -> Json:
    return {
        "gate": name,
        "verdict": "open" if verdict.reason is None else "closed",
        "reason": verdict.reason,
        "event": about(verdict.event),
        "until": verdict.until,
    }


async def _asserted(call: Call, row: Row, step: Next) -> dict[GateName, Verdict]:
    """The gates that are streams: each is as closed as the first closed one of its streams."""
    contact, enrollment = row["contact_id"], row["enrollment_id"]
    position = step.row["step_position"]
    keys = lives.addresses(await lives.of_streams(call, [f"contact-{contact}"]))
    address, domain = keys[-1] if keys else ("", None)
    asserted = gates(
        row["campaign_id"],
        enrollment,
        contact,
        step.credential or NOBODY,
        address,
        domain or "",
        delivery_id(enrollment, position - 1) if position is not None and position > 1 else None,
    )
    histories: dict[str, list[Recorded[Event]]] = {gate.stream: [] for gate in asserted}
    for item in await lives.of_streams(call, histories):
        histories[item.stream].append(item)
    verdicts: dict[GateName, Verdict] = {}
    for gate in asserted:
        said = _said(histories[gate.stream])
        if verdicts.get(gate.name, OPEN).reason is None and (said is not OPEN or gate.name not in verdicts):
            verdicts[gate.name] = said
    if row["status"] == "pending" and verdicts["campaign"].reason is None:
        verdicts["campaign"] = Verdict("not_dispatched", _created(histories[f"enrollment-{enrollment}"]))
    if step.credential is None and not step.row["usable"]:
        verdicts["credential"] = Verdict("no_usable_credential")
    return verdicts


def _said(history: lives.History) -> Verdict:
    word = last_word(history)
    return OPEN if word is None else Verdict(effect(word.event) or None, word)


def _created(history: lives.History) -> Recorded[Event] | None:
    return next((item for item in history if isinstance(item.event, EnrollmentCreated)), None)


async def _plan(call: Call, step: Next) -> Verdict:
    """What the account may send in the month in which the step is due."""
    month = step.moment.astimezone(UTC).date().replace(day=1)
    sends = await call.gateway.tables.fetchval(SENT, call.account_id, month) or 0
    if not (reason := plan_closed(step.row["monthly_limit"], sends)):
        return OPEN
    set_by = await lives.last_of(call, f"account-{call.account_id}", AccountOpened, PlanChanged)
    until = datetime.combine((month + timedelta(days=32)).replace(day=1), time.min, UTC)
    return Verdict(reason, set_by, until)


async def _quota(call: Call, step: Next) -> Verdict:
    """What is left of the credential's day on which the step is due."""
    facts, day = step.row, step.moment.astimezone(UTC).date()
    if step.credential is None or facts["daily_limit"] is None or facts["at"] is None:
        return OPEN
    until = datetime.combine(day + timedelta(days=1), time.min, UTC)
    stream = f"credentialDay-{step.credential}+{day.isoformat()}"
    refused = await lives.last_of(call, stream, CredentialRefused)
    if refused is not None and isinstance(refused.event, CredentialRefused) and refused.event.kind == "held_today":
        return Verdict("held_today", refused, until)
    claimed = await call.gateway.tables.fetchval(CLAIMED, step.credential, day) or 0
    counts = facts["step_position"] == 1 or not facts["follow_ups_exempt"]
    if not counts or claimed < facts["daily_limit"]:
        return OPEN
    return Verdict("daily_limit_reached", await lives.last_of(call, stream, QuotaClaimed), until)


async def _window(call: Call, contact: UUID, step: Next) -> Verdict:
    """Whether the campaign's window is open at that moment, in the contact's zone where it follows the contact."""
    window = window_of(CampaignSettings.model_validate(step.row["settings"]).send_window)
    if window is None or step.row["at"] is None:
        return OPEN
    person = await vault.get(call.gateway.log_pool, call.account_id, contact, "person") or {}
    opens = next_open(window, person.get("timezone"), step.moment)
    return OPEN if opens <= step.moment else Verdict("window_closed", until=opens)


ROUTES = (explain,)
