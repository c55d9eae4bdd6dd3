"""Bodies: what may be sent, strictly typed, with every failure listed at its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from outrider.api.json_text import Path, field_name, mended
from outrider.events.campaign import LAST_BATCH_NUMBER
from outrider.events.errors import ValidationFailed
from outrider.events.ids import BadAddress, parse_address

B = TypeVar("B", bound="Body")
MOST_ERRORS: Final = 1000
LONGEST_NAME: Final = 200
LONGEST_POSTAL_ADDRESS: Final = 500
MOST_POSTAL_LINES: Final = 10
MESSAGES: Final = {
    "missing": "is required",
    "extra_forbidden": "unknown field",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
}


@dataclass(frozen=True, slots=True)
class Context:
    """What the deployment allows."""

    allow_insecure_hosts: bool


def _what_is_only_shown(schema: dict[str, Any], model: type[Any]) -> None:
    """The description tells of the fields that are ignored."""
    if not issubclass(model, Body):
        return
    for name in sorted(model.shown):
        schema["properties"].setdefault(name, {"readOnly": True})


class Body(BaseModel):
    """An object in a request. Unknown fields are refused; what a GET shows but nobody can set is ignored."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra=_what_is_only_shown,
    )
    shown: ClassVar[frozenset[str]] = frozenset()
    """Fields that an answer has and a request may repeat in vain."""

    @model_validator(mode="before")
    @classmethod
    def _ignore_what_is_only_shown(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in cast("dict[str, object]", data).items() if key not in cls.shown}


def wrong(message: str) -> PydanticCustomError:
    """A failure of the field that is being looked at."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def _integral(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name(value: str) -> str:
    trimmed = value.strip()
    if not 1 <= len(trimmed) <= LONGEST_NAME:
        raise wrong(f"must have 1 to {LONGEST_NAME} characters")
    return trimmed


def _postal_address(value: str | None) -> str | None:
    lines = [" ".join(line.split()) for line in (value or "").splitlines() if line.strip()]
    if not all(line.isprintable() for line in lines):
        raise wrong("must be lines of printable characters")
    if sum(map(len, lines)) > LONGEST_POSTAL_ADDRESS or len(lines) > MOST_POSTAL_LINES:
        raise wrong(f"must have at most {MOST_POSTAL_LINES} lines and {LONGEST_POSTAL_ADDRESS} characters")
    return "\n".join(lines) or None


Int = Annotated[int, BeforeValidator(_integral)]
"""An integer; 5.0 is one, "5" and true are not."""
Name = Annotated[
    str, AfterValidator(_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"\S"})
]
"""Trimmed, 1 to 200 characters."""
MonthlyLimit = Annotated[Int, Field(ge=0, le=10**12)]
BatchNumber = Annotated[Int, Field(ge=0, le=LAST_BATCH_NUMBER)]


class Nothing(Body):
    """The body of an action that takes none."""


class NewAccount(Body):
    """An account to open."""

    name: Name
    monthly_limit: MonthlyLimit | None = None


class NewAccountBody(Body):
    """POST /accounts."""

    account: NewAccount


class ChangedAccount(Body):
    """What may be changed of an account."""

    shown = frozenset({"id", "plan", "current_period", "postal_address"})

    name: Name = ""
    monthly_limit: MonthlyLimit | None = None


class ChangedAccountBody(Body):
    """PATCH /accounts/:id."""

    account: ChangedAccount


class OwnAccount(Body):
    """What an account may change of itself."""

    shown = frozenset({"id", "name", "monthly_limit", "plan", "current_period"})

    postal_address: Annotated[str | None, AfterValidator(_postal_address)] = None


class OwnAccountBody(Body):
    """PATCH /account."""

    account: OwnAccount


class NewApiKey(Body):
    """POST /api_keys."""

    label: Name


class EnrollBody(Body):
    """POST /campaigns/:id/enroll."""

    contact_import_id: str
    batch_size: Annotated[Int, Field(ge=1, le=LAST_BATCH_NUMBER)] | None = None


class EnrollContactBody(Body):
    """POST /campaigns/:id/enroll_contact."""

    contact_id: str
    batch_number: BatchNumber = 0
    priority: bool = False


def _address(value: str) -> str:
    try:
        return parse_address(value)
    except BadAddress as bad:
        raise wrong(bad.reason) from None


class TestSendBody(Body):
    """POST /campaigns/:id/test_send."""

    emails: Annotated[list[Annotated[str, AfterValidator(_address)]], Field(max_length=20)] = []
    contact_id: str | None = None


class ResolveBody(Body):
    """POST /sends/:id/resolve."""

    outcome: Literal["sent", "not_sent"]


class ReclassifyBody(Body):
    """POST /enrollments/:id/reclassify."""

    event: Annotated[Int, Field(ge=1, le=2**63 - 1)]
    verdict: Literal["reply", "auto_reply", "bounce", "ignore"] = Field(alias="as")


class DispatchBody(Body):
    """POST /campaigns/:id/dispatch."""

    batch_number: BatchNumber | None = None


def validated(
    model: type[B],
    value: object,
    context: Context,
    flaws: Sequence[tuple[Path, str]] = (),
    errors: Sequence[Mapping[str, str]] = (),
) -> B:
    """The value as the model has it.

    Raises ValidationFailed with every failure, with `flaws` (texts that are unsound, by path), and with `errors`.
    """
    found = [dict(one) for one in errors]
    found += [{"field": field_name(path), "message": message} for path, message in flaws]
    try:
        body = model.model_validate(mended(value) if flaws else value, context=context)
    except ValidationError as error:
        raise ValidationFailed([*found, *_listed(error)][:MOST_ERRORS]) from None
    if found:
        raise ValidationFailed(found[:MOST_ERRORS])
    return body


def failures(error: ValidationError, offset: int = 0) -> list[InitErrorDetails]:
    """What is wrong with a list, or with a part of it from `offset` on, to be raised again beside other failures."""
    return [
        InitErrorDetails(
            type=wrong(message),
            loc=tuple(part + offset if n == 0 and isinstance(part, int) else part for n, part in enumerate(loc)),
            input=None,
        )
        for loc, message in _told(error)
    ]


def _listed(error: ValidationError) -> list[dict[str, str]]:
    return [{"field": field_name(loc), "message": message} for loc, message in _told(error)]


def _told(error: ValidationError) -> list[tuple[Path, str]]:
    return [
        (one["loc"], MESSAGES.get(one["type"], one["msg"]))
        for one in error.errors(include_url=False, include_input=False)
    ]
