"""The description of the API: every route is in it, and what it says of a route is what the route reads."""

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, cast

import httpx
import jsonschema_rs
import pytest

from outrider.api.app import ROUTES
from outrider.api.bodies import Context, validated
from outrider.api.description_operations import Operation, operations
from tests.support.described import as_described, description
from tests.support.system import System

OPERATIONS = [operation for handler in ROUTES for operation in operations(handler)]


def calls(operation: Operation, *names: str) -> Iterator[ast.Call]:
    """Each call of one of these methods of `call` in the handler."""
    source = textwrap.dedent(inspect.getsource(operation.handler.fn))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield node


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_route_is_described_with_the_body_and_the_query_that_it_reads(operation: Operation) -> None:
    bodies = {arg.id for call in calls(operation, "body") for arg in call.args if isinstance(arg, ast.Name)}
    assert bodies == ({operation.told.body.__name__} if operation.told.body else set())
    read = {"limit", "cursor"} if any(calls(operation, "page")) else set[str]()
    for call in calls(operation, "page", "options"):
        given = [node for argument in call.args for node in ast.walk(argument)]
        read |= {str(node.value) for node in given if isinstance(node, ast.Constant)}
    for call in calls(operation, "query_as"):
        models = [getattr(sys.modules[operation.handler.fn.__module__], cast("ast.Name", arg).id) for arg in call.args]
        read |= {name for model in models for name in model.model_fields}
    assert {query.name for query in operation.told.query} == read


def test_the_document_is_openapi_3_1_and_every_operation_is_named_once() -> None:
    whole = description()
    assert whole["openapi"].startswith("3.1.")
    described = [one for path in whole["paths"].values() for one in path.values()]
    assert len({one["operationId"] for one in described}) == len(described) == len(OPERATIONS)
    assert all(one["summary"] for one in described)
    for schema in whole["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def contents() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every body and answer that has an example, by its place."""
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{method} {path} {media}", content
            for status, response in operation["responses"].items():
                for media, content in response.get("content", {}).items():
                    yield f"{method} {path} {status} {media}", content


def test_every_example_is_as_its_schema_says() -> None:
    shown = 0
    for place, content in contents():
        examples = [one["value"] for one in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        whole = {**content["schema"], "components": description()["components"]}
        validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        for example in examples:
            assert [one.message for one in validator.iter_errors(example)] == [], place
            shown += 1
    assert shown > len(OPERATIONS)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.told.body], ids=lambda one: one.name)
def test_the_example_of_a_body_is_taken(operation: Operation) -> None:
    assert operation.told.body is not None
    said = description()["paths"][operation.path][operation.method.lower()]["requestBody"]
    example = said["content"]["application/json"]["example"]
    validated(operation.told.body, example, Context(allow_insecure_hosts=False))


async def test_everybody_may_read_it_as_json_and_as_a_page_that_needs_nothing_from_elsewhere(gateway: System) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, event_hooks={"response": [as_described]}) as anybody:
        assert (await anybody.get("/openapi.json")).json() == json.loads(json.dumps(description()))
        page = await anybody.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert re.findall(r"<(?:script|link|img|iframe)|(?:src|href)=.https?:", page.text) == []
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page.text
    assert set(re.findall(r'href="#([^"]+)"', page.text)) <= set(re.findall(r'id="([^"]+)"', page.text))
