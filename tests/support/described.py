"""Answers as the API describes them: every client of a test looks at each one that it gets."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jsonschema_rs

from outrider.api.app import ROUTES
from outrider.api.description import document

Schema = Mapping[str, Any]
METHODS: Final = ("get", "post", "patch", "put", "delete")
UNDESCRIBED: Final = {"not_found", "method_not_allowed", "unauthorized"}
"""What a path that is none, or knows no such method, answers."""


@cache
def description() -> Schema:
    """The document that `GET /openapi.json` answers."""
    return document(ROUTES)


def operation_of(method: str, path: str) -> tuple[str, Schema] | None:
    """The path as the document has it, and what it says of the method; HEAD is GET."""
    wanted = "get" if method == "HEAD" else method.lower()
    for template, pattern in _patterns():
        if pattern.fullmatch(path):
            found: Schema | None = description()["paths"][template].get(wanted)
            return None if found is None else (template, found)
    return None


def compare(response: httpx.Response) -> None:
    """The answer, read already, has a status, a type and a body that the description has, and the headers of all."""
    _guarded(response)
    request = response.request
    path = urlsplit(str(request.url)).path
    found = operation_of(request.method, path)
    if found is None:
        assert response.status_code in {401, 404, 405, 429}, f"undescribed: {request.method} {path}"
        assert response.json()["code"] in UNDESCRIBED, response.text
        return
    template, operation = found
    said = f"{request.method} {template} -> {response.status_code}"
    described: Mapping[str, Schema] = operation["responses"]
    assert str(response.status_code) in described, f"{said} is not described: {response.text[:500]}"
    content: Mapping[str, Schema] = described[str(response.status_code)].get("content", {})
    if not response.content:
        assert request.method == "HEAD" or not content, f"{said} has no body"
        return
    media = response.headers["content-type"].partition(";")[0]
    assert media in content, f"{said} has the type {media}"
    if media.endswith("json"):
        flaws = _flaws(request.method if request.method != "HEAD" else "GET", template, response.status_code, media)
        found_flaws = [f"{list(one.instance_path)}: {one.message}" for one in flaws.iter_errors(response.json())]
        assert not found_flaws, f"{said}: {found_flaws} in {response.text[:1000]}"


def _guarded(response: httpx.Response) -> None:
    """Nobody guesses its type or keeps it; a page loads, frames and tells nothing."""
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in response.headers["cache-control"]
    if response.headers.get("content-type", "").startswith("text/html"):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"


async def as_described(response: httpx.Response) -> None:
    """For the `event_hooks` of a client: what is no stream is read, and compared."""
    if "event-stream" not in response.headers.get("content-type", ""):
        await response.aread()
        compare(response)


def as_described_too(response: httpx.Response) -> None:
    """The same for a client that waits."""
    if "event-stream" not in response.headers.get("content-type", ""):
        response.read()
        compare(response)


@cache
def _patterns() -> Sequence[tuple[str, "re.Pattern[str]"]]:
    def pattern(template: str) -> "re.Pattern[str]":
        return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))

    return [(template, pattern(template)) for template in sorted(description()["paths"], key=lambda one: "{" in one)]


@cache
def _flaws(method: str, template: str, status: int, media: str) -> jsonschema_rs.Draft202012Validator:
    operation = description()["paths"][template][method.lower()]
    schema = operation["responses"][str(status)]["content"][media]["schema"]
    whole = {**schema, "components": description()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
