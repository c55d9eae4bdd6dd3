"""The part of the description that is about what goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Final

from outrider.api.describing import Schema
from outrider.api.description_schemas import Schemas
from outrider.api.problems import (
    PROBLEM,
    CommandNotFound,
    NotFound,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)
from outrider.events.account import AccountNotFound, ApiKeyNotFound
from outrider.events.campaign import CampaignNotFound, SequenceStepNotFound
from outrider.events.contact import ContactImportNotFound, ContactNotFound, SuppressionNotFound
from outrider.events.credential import SmtpCredentialNotFound
from outrider.events.delivery import SendNotFound
from outrider.events.enrollment import EnrollmentNotFound
from outrider.events.errors import Refused, ValidationFailed
from outrider.events.outreach import OutreachNotFound
from outrider.events.webhook import DeliveryNotFound, WebhookNotFound

OWNERS: Final[Mapping[str, type[Refused]]] = {
    "account_id": AccountNotFound,
    "key_id": ApiKeyNotFound,
    "campaign_id": CampaignNotFound,
    "credential_id": SmtpCredentialNotFound,
    "position": SequenceStepNotFound,
    "enrollment_id": EnrollmentNotFound,
    "import_id": ContactImportNotFound,
    "contact_id": ContactNotFound,
    "suppression_id": SuppressionNotFound,
    "outreach_id": OutreachNotFound,
    "send_id": SendNotFound,
    "webhook_id": WebhookNotFound,
    "delivery_id": DeliveryNotFound,
    "command_id": CommandNotFound,
    "token": NotFound,
    "name": NotFound,
}
"""What is answered where a name in the path stands for nothing of the caller's."""
HEADERS: Final[Mapping[type[Refused], str]] = {
    Unauthorized: "WWW-Authenticate",
    RateLimited: "Retry-After",
    ServiceUnavailable: "Retry-After",
}
FLAWS: Final[Schema] = {
    "type": "object",
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
                "additionalProperties": False,
            },
            "examples": [[{"field": "campaign.smtp_credentials[0].smtp_port", "message": "must be an integer"}]],
        }
    },
    "required": ["errors"],
    "additionalProperties": False,
}
"""The details of `validation_failed`: all failures, not the first."""


def response(kinds: Sequence[type[Refused]], schemas: Schemas) -> Schema:
    """The response object of the refusals that share a status; each is a schema of its own."""
    for kind in kinds:
        schemas.found.setdefault(kind.__name__, problem(kind))
    refs = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in kinds]
    names = sorted({HEADERS[kind] for kind in kinds if kind in HEADERS})
    said: Schema = {
        "description": " / ".join(f"`{kind.code}`: {says(kind)}" for kind in kinds),
        "content": {
            PROBLEM: {
                "schema": refs[0] if len(refs) == 1 else {"anyOf": refs},
                "examples": {kind.code: {"value": _example(kind)} for kind in kinds},
            }
        },
    }
    return said | ({"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {})


def problem(kind: type[Refused]) -> Schema:
    """The schema of one refusal. RFC 9457."""
    checked = issubclass(kind, ValidationFailed)
    return {
        "type": "object",
        "description": says(kind),
        "properties": {
            "type": {"const": f"/errors/{kind.code}"},
            "status": {"const": kind.status},
            "code": {"const": kind.code},
            "message": {"type": "string"},
            "details": FLAWS if checked else {"type": "object"},
        },
        "required": ["type", "status", "code", "message", *(["details"] if checked else [])],
        "additionalProperties": False,
    }


def says(kind: type[Refused]) -> str:
    """Its message."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _example(kind: type[Refused]) -> Schema:
    said: Schema = {"type": f"/errors/{kind.code}", "status": kind.status, "code": kind.code, "message": says(kind)}
    if issubclass(kind, ValidationFailed):
        said["details"] = {"errors": FLAWS["properties"]["errors"]["examples"][0]}
    return said
