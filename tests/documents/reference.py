"""docs/api.md: the description of the API in Markdown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
HEAD = """# The HTTP API

Written by `make docs` from the routes themselves: change those, not this file. The same is at `GET /docs` (a page) and
`GET /openapi.json` (OpenAPI 3.1) of a running gateway.
"""


def reference(document: Schema) -> str:
    """The whole page."""
    return "\n".join(
        [HEAD, document["info"]["description"], "", *_tags(document), *_errors(document), *_shapes(document)]
    )


def _tags(document: Schema) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"## {tag['name'].replace('_', ' ').capitalize()}\n\n{tag['description']}\n"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(f"{method.upper()} {path}", operation)


def _operation(title: str, operation: Schema) -> Iterator[str]:
    keys = " or ".join(name for option in operation["security"] for name in option)
    yield f"### `{title}`\n\n{operation['summary']} ({keys or 'public'})\n"
    queries = [one for one in operation["parameters"] if one["in"] == "query"]
    if queries:
        yield "| query | | |\n|---|---|---|"
        yield from (f"| `{one['name']}` | {kind(one['schema'])} | {one['description']} |" for one in queries)
        yield ""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if content.get("example") or "example" not in content:
            yield f"Body, {media}: {kind(content['schema'])}\n"
        if content.get("example"):
            yield _json(content["example"])
    for status, response in operation["responses"].items():
        if int(status) < 400:
            yield from _success(status, response)
    codes = [
        f"{status} `{code}`"
        for status, response in operation["responses"].items()
        for content in response.get("content", {}).values()
        for code in content.get("examples", {})
    ]
    yield f"Errors: {', '.join(codes)}.\n"


def _success(status: str, response: Schema) -> Iterator[str]:
    shapes = [
        f"{media}: {kind(content['schema'])}" if media == "application/json" else media
        for media, content in response.get("content", {}).items()
    ]
    yield f"**{status}** {'; '.join(shapes) or response['description']}\n"
    content = response.get("content", {}).get("application/json", {})
    if status in {"200", "201"} and content.get("example"):
        yield _json(content["example"])


def _errors(document: Schema) -> Iterator[str]:
    yield "## Errors\n\n| status | code | message |\n|---|---|---|"
    problems = [one["properties"] | {"says": one["description"]} for one in _problems(document)]
    for one in sorted(problems, key=lambda one: (one["status"]["const"], one["code"]["const"])):
        yield f"| {one['status']['const']} | `{one['code']['const']}` | {one['says']} |"
    yield ""


def _problems(document: Schema) -> Sequence[Schema]:
    return [one for one in document["components"]["schemas"].values() if "code" in one.get("properties", {})]


def _shapes(document: Schema) -> Iterator[str]:
    yield "## Bodies and answers\n"
    for name, schema in document["components"]["schemas"].items():
        properties = {field: one for field, one in schema.get("properties", {}).items() if not one.get("readOnly")}
        if "code" in properties:
            continue
        yield f"### {name}\n\n{schema.get('description', '')}\n"
        if properties:
            yield "| field | type | |\n|---|---|---|"
            required = schema.get("required", ())
            for field, one in properties.items():
                default = f" Default: `{json.dumps(one['default'])}`." if "default" in one else ""
                name_ = f"`{field}`" if field in required else f"`{field}`?"
                yield f"| {name_} | {kind(one)} | {one.get('description', '')}{default} |"
            yield ""


def kind(schema: Schema) -> str:
    """The type in a few words; what stands elsewhere is linked."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(kind(one) for one in schema[key])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"array of {kind(schema.get('items', {}))}"
    if schema.get("type") == "object" and schema.get("properties"):
        return "object with " + ", ".join(
            f"`{name}`" + (f" ({kind(one)})" if one.get("type") == "object" else "")
            for name, one in schema["properties"].items()
            if not one.get("readOnly")
        )
    bounds = [f"{word} {schema[name]}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in schema]
    return " ".join([str(schema.get("type", "anything")), *([schema["format"]] if "format" in schema else []), *bounds])


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n"
