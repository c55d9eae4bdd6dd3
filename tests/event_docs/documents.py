"""The two documents: AsyncAPI for programs, and a page for people."""

import json
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final

from outrider.events.catalogue import EVENTS, About
from outrider.events.message import Event
from tests.event_docs.declared import REF, fields, sample, schemas, writers

ACCOUNT: Final = "0190b7a4-0000-7000-8000-000000000001"
_AROUND: Final[Mapping[str, Any]] = {
    "position": {"type": "integer", "description": "Of the log: it rises, with gaps."},
    "account_id": {"type": "string", "format": "uuid"},
    "stream": {"type": "string", "description": "`<category>-<id>`, compound ids joined by `+`."},
    "version": {"type": "integer", "description": "1, 2, 3 ... within its stream."},
    "type": {"type": "string"},
    "type_version": {"type": "integer", "description": "Of the declaration of `data`."},
    "cause": {"type": "string", "format": "uuid", "description": "The command, message or timer that led to it."},
    "ordinal": {"type": "integer", "description": "0, 1, 2 ... within its cause and stream."},
    "business_at": {"type": "string", "format": "date-time", "x-unit": "UTC"},
    "recorded_at": {"type": "string", "format": "date-time", "x-unit": "UTC", "description": "Real time."},
}
ENVELOPE: Final = {"type": "object", "properties": _AROUND, "required": list(_AROUND)}
HEADERS: Final = {
    "type": "object",
    "properties": {
        "Nats-Msg-Id": {"type": "string", "description": "`<epoch>-<position>`: a repeat has the same."},
        "Outrider-Position": {"type": "string", "description": "The position in the log."},
    },
}
INTRODUCTION: Final = """# Every event

Made from the declarations (`make docs`); `make check` refuses a page that is behind them. `/asyncapi.json` says the
same to programs. What is recorded never changes: a version that is listed here loads for ever, and a new optional field
is no new version. No event holds a name, an address or a text of a person: those lie in the vault under the ids that it
names.

[subscribing.md](subscribing.md) says how to hear of them. Webhooks and `GET /events` show fewer, under other names and
with addresses: `services/api/.../public_events.py` is the table.
"""


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3: what the relay publishes, as subscribers get it."""
    owners = writers()
    channels, operations, messages = dict[str, Any](), dict[str, Any](), dict[str, Any]()
    for kind, about in EVENTS.items():
        channels[kind.name] = {
            "address": f"evt.{{account_id}}.{about.category}.{kind.name}",
            "parameters": {"account_id": {"description": "The account, as a UUID."}},
            "messages": {kind.name: {"$ref": f"#/components/messages/{kind.name}"}},
        }
        operations[kind.name] = {"action": "send", "channel": {"$ref": f"#/channels/{kind.name}"}}
        messages[kind.name] = _message(kind, about, owners[about.category])
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Outrider: the log over NATS JetStream",
            "version": "0.1.0",
            "description": "Stream EVENTS. docs/subscribing.md says who may read what; in order, at least once.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"Envelope": ENVELOPE, "Headers": HEADERS, **schemas()}},
    }


def page() -> str:
    """Every event for people, by category."""
    defined, owners = schemas(), writers()
    parts = [INTRODUCTION]
    for category, group in groupby(EVENTS.items(), key=lambda one: one[1].category):
        parts.append(f"\n## `{category}`, written by {owners[category]}\n")
        parts += [_section(kind, about, defined) for kind, about in group]
    return "\n".join(parts)


def _message(kind: type[Event], about: About, writer: str) -> dict[str, Any]:
    example = {
        "position": 4711,
        "account_id": ACCOUNT,
        "stream": f"{about.category}-{ACCOUNT}",
        "version": 1,
        "type": kind.name,
        "type_version": kind.version,
        "cause": ACCOUNT,
        "ordinal": 0,
        "business_at": "2026-03-02T09:00:00Z",
        "recorded_at": "2026-03-02T09:00:00Z",
        "data": sample(kind),
    }
    own = {"type": {"const": kind.name}, "data": {"$ref": f"{REF}{kind.name}"}}
    return {
        "name": kind.name,
        "summary": _said(kind),
        "description": f"Written by {writer}. Caused by {about.cause}.",
        "headers": {"$ref": f"{REF}Headers"},
        "payload": {"allOf": [{"$ref": f"{REF}Envelope"}, {"properties": own, "required": ["data"]}]},
        "x-version": kind.version,
        "examples": [{"payload": example}],
    }


def _section(kind: type[Event], about: About, defined: Mapping[str, Any]) -> str:
    rows = "\n".join(f"| `{one.name}` | {one.type} | {one.unit} | {one.meaning} |" for one in fields(kind, defined))
    return f"""### {kind.name}, version {kind.version}

{_said(kind)} Caused by {about.cause}.

| field | type | unit | meaning |
|---|---|---|---|
{rows}

```json
{json.dumps(sample(kind), indent=1, ensure_ascii=False)}
```
"""


def _said(kind: type[Event]) -> str:
    return " ".join((kind.__doc__ or "").split())
