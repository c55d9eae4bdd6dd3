"""What the description says in words, and what is the same for every route."""

from collections.abc import Mapping
from typing import Final

from outrider.api.describing import Schema

CONVENTIONS: Final = """
JSON in, JSON out, UTF-8. Times are RFC 3339 in UTC with `Z`; ids are opaque UUIDs.

- **Keys**: `Authorization: Bearer <key>`. Another account's id is answered exactly like an unknown id: 404.
- **Errors** are `application/problem+json` (RFC 9457). Clients branch on `code`; `validation_failed` lists every
  failure.
  A path that is not here is 404 `not_found`, a method that is not here 405 `method_not_allowed` with `Allow`.
  First comes 401, then 429, the route, 405, 415, 413, 400, 404 of a resource, 422.
- **Bodies** are wrapped in their resource's name, those of actions are bare; an empty body is `{}`. Unknown fields are
  refused; fields that an answer has and nobody can set (`readOnly`) are ignored. Unknown query names are refused too.
- **Lists** are arrays, newest first, in pages: the next one is in `Link` (`rel="next"`, RFC 8288).
- **Repeating**: with an `Idempotency-Key` a call is done once, and answered alike for 24 hours.
- **Reading what you wrote**: a call returns after its effect can be read. Where the verdict takes more than 5 s, the
  answer is 202, and `Location` tells how it went. `Outrider-Position` of one answer, sent as `Outrider-Min-Position`,
  makes any replica wait for what that call did.
- `HEAD` answers like `GET`, without a body.
""".strip()
DOORS: Final[Schema] = {
    "key": {"type": "http", "scheme": "bearer", "description": "An account's API key."},
    "operator": {"type": "http", "scheme": "bearer", "description": "The operator's token."},
}
_ID: Final = {"type": "string", "examples": ["0199c2d4-5b1e-7cc3-8a44-6f0d2b7e9a10"]}
_TOKEN: Final = {"type": "string", "examples": ["AbCdEf"]}
PARAMETERS: Final[Mapping[str, Schema]] = {
    "account_id": {"schema": _ID, "description": "Of an account."},
    "key_id": {"schema": _ID, "description": "Of an API key."},
    "campaign_id": {"schema": _ID, "description": "Of a campaign."},
    "credential_id": {"schema": _ID, "description": "Of an SMTP credential of the campaign."},
    "position": {"schema": {"type": "string", "examples": ["2"]}, "description": "Of a step: 1, 2, 3 ..."},
    "enrollment_id": {"schema": _ID, "description": "Of an enrollment."},
    "import_id": {"schema": _ID, "description": "Of an import."},
    "contact_id": {"schema": _ID, "description": "Of a contact."},
    "suppression_id": {"schema": _ID, "description": "Of a suppression."},
    "outreach_id": {"schema": _ID, "description": "Of an outreach."},
    "send_id": {"schema": _ID, "description": "Of a send."},
    "webhook_id": {"schema": _ID, "description": "Of a webhook."},
    "delivery_id": {"schema": _ID, "description": "Of a delivery to the webhook."},
    "command_id": {"schema": _ID, "description": "Of a command: the end of `Location`."},
    "token": {"schema": _TOKEN, "description": "Signed, from a mail."},
    "name": {"schema": _TOKEN, "description": "A signed token from a mail, and `.gif`."},
}
"""Every name that stands in a path."""
ASKED_WITH: Final[Mapping[str, Schema]] = {
    "Idempotency-Key": {
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"},
        "description": "The same key with the same request is answered as the first one was, for 24 hours.",
    },
    "Outrider-Min-Position": {
        "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        "description": "`Outrider-Position` of an answer: this one has what that one did.",
    },
}
ANSWERED_WITH: Final[Schema] = {
    "Location": {
        "schema": {"type": "string"},
        "description": "`/commands/:id`: how it went; or where a link leads.",
    },
    "Outrider-Position": {
        "schema": {"type": "string"},
        "description": "From there on the effect of this call can be read.",
    },
    "Outrider-Read-Behind": {
        "schema": {"type": "string"},
        "description": "By how many events this answer is older than was asked for.",
    },
    "Idempotency-Replayed": {
        "schema": {"const": "true"},
        "description": "This is the answer of the first call with this Idempotency-Key.",
    },
    "Link": {"schema": {"type": "string"}, "description": 'The next page: `<...>; rel="next"`.'},
    "Retry-After": {"required": True, "schema": {"type": "string"}, "description": "Seconds."},
    "WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}, "description": "RFC 6750."},
}
SUCCESSES: Final = {
    200: "Done.",
    201: "Created.",
    202: "Accepted.",
    204: "Done; there is nothing to show.",
    302: "Elsewhere.",
    503: "Not yet, or no more.",
}
