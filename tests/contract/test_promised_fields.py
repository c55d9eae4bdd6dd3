"""What the contract says an answer has is required by the description, which every answer of a test is held to."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.support.described import Schema, description

CONTACT: Final = (
    "id email first_name last_name company custom timezone unsubscribed_at bounced_at bounce_reason created_at"
)
IMPORT: Final = "id name status record_count contact_count skipped rejected created_at"
ACCOUNT: Final = (
    "id name plan.monthly_limit postal_address current_period.start current_period.end current_period.sends_count"
)
CREDENTIAL: Final = (
    "id label from_email smtp_host daily_limit sent_today remaining_today sends bounces bounce_rate "
    "disabled_at disabled_reason"
)
STEP: Final = "position subject body_html body_text delay_minutes thread"
BATCH: Final = "batch_number pending sent opened replied bounced dispatched_at"
BOUNCE: Final = "enrollment_id contact_id email smtp_credential_id kind status_code reason bounced_at"
ENROLLMENT: Final = (
    "id contact_id smtp_credential_id status batch_number steps_sent sent_at opened_at replied_at bounce_reason "
    "next_send_at finished_at"
)
SEND: Final = "id enrollment_id step_position smtp_credential_id message_id state smtp_reply at"
SETTINGS: Final = (
    "min_wait_seconds max_wait_seconds verify_email_mx bounce_rate_threshold bounce_min_sends send_window spacing "
    "track_opens track_clicks unsubscribe_header unsubscribe_footer on_auto_reply stop_on_suspected_reply"
)
TOTALS: Final = "pending sent opened replied bounced"


def below(name: str, fields: str) -> str:
    """The fields of what stands under a name."""
    return " ".join(f"{name}.{field}" for field in fields.split())


CAMPAIGN: Final = " ".join((
    f"id name status outreach_id completed_at emails_sent clicked unsubscribed finished {SETTINGS}",
    below("totals", TOTALS),
    "rates.bounce_rate rates.open_rate rates.reply_rate",
    below("per_batch", BATCH),
    below("recent_bounces", BOUNCE),
    below("credentials", CREDENTIAL),
    below("sequence_steps", STEP),
    below("skipped", "mx_invalid cross_campaign_duplicate unsubscribed bounced suppressed already_enrolled"),
))  # fmt: skip
OUTREACH: Final = "id name unique_contacts"
SUPPRESSION: Final = "id value reason created_at"
PROMISED: Mapping[str, str] = {
    "POST /accounts 201": "id name monthly_limit api_key.id api_key.prefix api_key.plaintext",
    "GET /account 200": ACCOUNT,
    "PATCH /account 200": ACCOUNT,
    "GET /usage 200": "monthly_limit current.period_start current.period_end current.sends_count "
    "history.period_start history.period_end history.sends_count",
    "POST /api_keys 201": "id prefix label plaintext created_at",
    "GET /api_keys 200": "id prefix label created_at",
    "POST /contact_imports 201": IMPORT,
    "POST /contact_imports 202": "id name status",
    "GET /contact_imports 200": IMPORT,
    "GET /contact_imports/{import_id} 200": IMPORT,
    "GET /contact_imports/{import_id}/rejects 200": "line email reason",
    "GET /contact_imports/{import_id}/contacts 200": CONTACT,
    "POST /contacts 201": CONTACT,
    "GET /contacts 200": CONTACT,
    "GET /contacts/{contact_id} 200": CONTACT,
    "PATCH /contacts/{contact_id} 200": CONTACT,
    "POST /contacts/{contact_id}/erase 200": "contact_id erased_at",
    "GET /contacts/{contact_id}/erasure 200": "contact_id erased_at removed position",
    "POST /suppressions 201": SUPPRESSION,
    "GET /suppressions 200": SUPPRESSION,
    "POST /outreaches 201": OUTREACH,
    "GET /outreaches 200": OUTREACH,
    "GET /outreaches/{outreach_id} 200": f"{OUTREACH} {below('totals', TOTALS)} {below('campaigns', 'id name status')}",
    "POST /campaigns 201": "id status",
    "GET /campaigns 200": "id name status created_at",
    "GET /campaigns/{campaign_id} 200": CAMPAIGN,
    "PATCH /campaigns/{campaign_id} 200": CAMPAIGN,
    "POST /campaigns/{campaign_id}/enroll 200": "enrolled batches batch_size first_batch_number skipped_count "
    "skipped.contact_id skipped.email skipped.reason skipped.kind",
    "POST /campaigns/{campaign_id}/enroll_contact 201": "id contact_id batch_number status",
    "POST /campaigns/{campaign_id}/dispatch 200": "batch_number scheduled skipped first_send_at last_send_at",
    "POST /campaigns/{campaign_id}/dispatch 202": "accepted",
    "POST /campaigns/{campaign_id}/test_send 202": "messages",
    "GET /campaigns/{campaign_id}/preview 200": below("steps", "position subject body_html body_text"),
    "POST /campaigns/{campaign_id}/pause 200": "id status in_flight",
    "POST /campaigns/{campaign_id}/resume 200": "id status",
    "GET /campaigns/{campaign_id}/send_forecast 200": f"timezone {below('days', 'date scheduled by_step capacity')}",
    "GET /campaigns/{campaign_id}/skips 200": "kind contact_id email reason created_at",
    "GET /campaigns/{campaign_id}/replies 200": "enrollment_id contact_id email step_position replied_at "
    "hours_to_reply subject snippet",
    "GET /campaigns/{campaign_id}/enrollments 200": ENROLLMENT,
    "GET /enrollments/{enrollment_id} 200": ENROLLMENT,
    "POST /enrollments/{enrollment_id}/reclassify 200": ENROLLMENT,
    "GET /enrollments/{enrollment_id}/history 200": "type at position",
    "GET /enrollments/{enrollment_id}/explain 200": "status next.step_position next.at "
    + below("gates", "gate verdict reason event"),
    "GET /sends 200": SEND,
    "POST /sends/{send_id}/resolve 200": SEND,
    "GET /campaigns/{campaign_id}/smtp_credentials 200": CREDENTIAL,
    "POST /campaigns/{campaign_id}/smtp_credentials 201": CREDENTIAL,
    "PATCH /campaigns/{campaign_id}/smtp_credentials/{credential_id} 200": CREDENTIAL,
    "POST /campaigns/{campaign_id}/smtp_credentials/{credential_id}/verify 200": "smtp imap",
    "POST /campaigns/{campaign_id}/smtp_credentials/{credential_id}/reenable 200": "id from_email status",
    "GET /campaigns/{campaign_id}/sequence_steps 200": STEP,
    "PATCH /campaigns/{campaign_id}/sequence_steps/{position} 200": STEP,
    "POST /campaigns/{campaign_id}/enroll 202": "command_id status",
    "GET /commands/{command_id} 200": "command_id status",
}


def named(schema: Schema) -> Schema:
    """The object that it is, is an array of, or is where it is not null."""
    while True:
        if "$ref" in schema:
            schema = description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema or "oneOf" in schema:
            options: list[Schema] = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
            schema = next(one for one in options if one.get("type") != "null")
        elif schema.get("type") == "array":
            schema = schema["items"]
        else:
            return schema


@pytest.mark.parametrize("answer", PROMISED)
def test_an_answer_has_every_field_that_was_promised(answer: str) -> None:
    method, path, status = answer.split()
    content = description()["paths"][path][method.lower()]["responses"][status]["content"]
    for field in PROMISED[answer].split():
        at: Schema = named(content["application/json"]["schema"])
        for name in field.split("."):
            assert name in at["required"], (answer, field)
            below_it: Mapping[str, Any] = at["properties"][name]
            at = named(below_it)


def test_enums_have_the_values_that_were_promised() -> None:
    def values(answer: str, field: str) -> set[object]:
        method, path = answer.split()
        schema = description()["paths"][path][method.lower()]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        at = named(schema)
        for name in field.split("."):
            at = named(at["properties"][name])
        return set(at["enum"])

    assert values("GET /campaigns", "status") == {"pending", "active", "paused"}
    assert values("GET /contact_imports", "status") == {"processing", "completed", "failed"}
    assert values("GET /campaigns/{campaign_id}/enrollments", "status") == {
        *("pending", "scheduled", "sent", "opened", "replied"),
        *("bounced", "unsubscribed", "skipped", "failed", "stopped"),
    }
    assert values("GET /campaigns/{campaign_id}/skips", "kind") == {
        *("mx_invalid", "cross_campaign_duplicate", "unsubscribed", "bounced", "suppressed", "already_enrolled")
    }
    assert values("GET /sends", "state") == {"started", "sent", "bounced", "deferred", "failed", "unknown"}
    assert values("GET /commands/{command_id}", "status") == {"accepted", "succeeded", "rejected"}
    assert values("GET /campaigns/{campaign_id}", "recent_bounces.kind") == {"hard", "soft", "block"}
    verify = "POST /campaigns/{campaign_id}/smtp_credentials/{credential_id}/verify"
    assert values(verify, "smtp") == {"ok", "error"}
    assert values(verify, "imap") == {"ok", "error", "absent"}
    assert values("GET /enrollments/{enrollment_id}/explain", "gates.gate") == {
        *("campaign", "stop", "suppression", "plan", "quota", "window", "credential")
    }
    assert values("GET /enrollments/{enrollment_id}/explain", "gates.verdict") == {"open", "closed"}
