"""The description as a page to read: no script, nothing from elsewhere, and so no internet needed."""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from outrider.api.describing import Schema

STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:19em minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1em;border-right:1px solid var(--line);font-size:.85em}
nav h2{font-size:1em;margin:1em 0 .2em}nav a{display:block;color:inherit;text-decoration:none;padding:.1em 0}
nav a:hover{text-decoration:underline}nav b{display:inline-block;width:4.2em}
main{padding:1em 2em 6em;max-width:64em}
article{border:1px solid var(--line);border-radius:.5em;padding:.6em 1em;margin:1em 0}
article h3{margin:.2em 0;font:600 1em ui-monospace,monospace;overflow-wrap:anywhere}
code,pre{font:.88em/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:.8em;overflow:auto;border-radius:.4em}
code{background:var(--soft);padding:.1em .25em;border-radius:.2em}pre code{background:none;padding:0}
table{border-collapse:collapse;width:100%;font-size:.9em}td,th{text-align:left;vertical-align:top;padding:.25em .5em;
border-bottom:1px solid var(--line)}summary{cursor:pointer}h2{margin-top:2em}
b.get{color:#0a7d4b}b.post{color:#1a62c9}b.patch{color:#a86400}b.delete{color:#c22b2b}
@media(max-width:50em){body{display:block}nav{position:static;height:auto}}
"""
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body><nav><a href="#top"><strong>{title}</strong></a><a href="/openapi.json">openapi.json</a>{contents}</nav>
<main id="top"><h1>{title} <small>{version}</small></h1>{conventions}{operations}<h2 id="schemas">Schemas</h2>{schemas}
</main></body></html>
"""
SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


def page(document: Schema) -> bytes:
    """The whole document as HTML."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    return PAGE.format(
        title=html.escape(document["info"]["title"]),
        version=html.escape(document["info"]["version"]),
        style=STYLE,
        contents="".join(_contents(document)),
        conventions=_prose(document["info"]["description"]),
        operations="".join(_operations(document)),
        schemas="".join(_schema(name, schema) for name, schema in schemas.items()),
    ).encode()


def _by_tag(document: Schema) -> Iterator[tuple[Schema, Sequence[tuple[str, str, Schema]]]]:
    """Each tag with its method, path and operation."""
    every = [(method, path, one) for path, methods in document["paths"].items() for method, one in methods.items()]
    for tag in document["tags"]:
        yield tag, [found for found in every if tag["name"] in found[2]["tags"]]


def _contents(document: Schema) -> Iterator[str]:
    for tag, found in _by_tag(document):
        yield f"<h2>{html.escape(tag['name'].replace('_', ' '))}</h2>"
        for method, path, operation in found:
            yield f'<a href="#{operation["operationId"]}">{_verb(method)}{html.escape(path)}</a>'


def _operations(document: Schema) -> Iterator[str]:
    for tag, found in _by_tag(document):
        yield f"<h2>{html.escape(tag['name'].replace('_', ' '))}</h2><p>{_words(tag['description'])}</p>"
        for method, path, operation in found:
            yield f'<article id="{operation["operationId"]}"><h3>{_verb(method)} {html.escape(path)}</h3>'
            yield f"<p>{_words(operation['summary'])}</p>{''.join(_operation(operation))}</article>"


def _operation(operation: Schema) -> Iterator[str]:
    keys = [name for option in operation["security"] for name in option]
    yield f"<p><small>{'with ' + ' or '.join(keys) if keys else 'public'}</small></p>"
    if operation["parameters"]:
        rows = [
            (f"<code>{one['name']}</code>", one["in"], _kind(one["schema"]), _words(one["description"]))
            for one in operation["parameters"]
        ]
        yield f"<details><summary>Parameters</summary>{_table(rows)}</details>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<details open><summary>Body: {media}</summary>{_content(content)}</details>"
    for status, response in operation["responses"].items():
        opened = " open" if status < "202" else ""
        yield f"<details{opened}><summary><b>{status}</b> {_words(response['description'])}</summary>"
        for media, content in response.get("content", {}).items():
            yield f"<p><small>{media}</small></p>{_content(content)}"
        yield "</details>"


def _content(content: Schema) -> str:
    examples = [content["example"]] if "example" in content else []
    examples += [one["value"] for one in content.get("examples", {}).values()]
    shown = "".join(f"<pre><code>{_json(example)}</code></pre>" for example in examples)
    return f"<p>{_kind(content['schema'])}</p>{shown}"


def _schema(name: str, schema: Schema) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{html.escape(field)}</code>{'' if field in required else ' <small>optional</small>'}",
            "ignored" if one.get("readOnly") else _kind(one),
            _words(one.get("description", "")) + (f" Default: {_json(one['default'])}." if "default" in one else ""),
        )
        for field, one in schema.get("properties", {}).items()
    ]
    says = _words(schema.get("description", ""))
    return f'<article id="schema-{name}"><h3>{name}</h3><p>{says}</p>{_table(rows)}</article>'


def _kind(schema: Schema) -> str:
    """The type, short, with links to what stands elsewhere."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{name}">{name}</a>'
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(one) for one in schema[key])
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " ".join(f"<code>{_json(one)}</code>" for one in values)
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    bounds = {"minimum": "from", "maximum": "to", "minLength": "from", "maxLength": "to", "minItems": "from"}
    bounds["maxItems"] = "to"
    said = [f"{word} {schema[name]}" for name, word in bounds.items() if name in schema]
    return html.escape(" ".join([kind, schema.get("format", ""), *said]))


def _table(rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{cells}</table>"


def _verb(method: str) -> str:
    return f'<b class="{method}">{method.upper()}</b>'


def _json(value: Any) -> str:  # noqa: ANN401  # JSON
    return html.escape(json.dumps(value, indent=2, ensure_ascii=False))


def _words(text: str) -> str:
    """One paragraph's `code` and **stress**."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked)


def _prose(text: str) -> str:
    """Paragraphs and one level of list."""
    parts = re.split(r"\n\n|\n(?=- )", text)
    return "".join(f"<p>• {_words(one[2:])}</p>" if one.startswith("- ") else f"<p>{_words(one)}</p>" for one in parts)
