"""What is said of events: complete, sound, and the same to people and programs."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema
from jsonschema import Draft202012Validator

from outrider.events.catalogue import EVENTS
from tests.event_docs.__main__ import DOCUMENT, PAGE
from tests.event_docs.declared import unlisted, writers
from tests.event_docs.documents import asyncapi, page
from tests.support.system import System


@pytest.fixture(scope="module")
def document() -> Mapping[str, Any]:
    return asyncapi()


def test_every_event_is_listed_with_a_category_that_somebody_writes() -> None:
    assert not unlisted()
    assert {about.category for about in EVENTS.values()} == set(writers())


def test_every_example_is_what_its_schema_says(document: Mapping[str, Any]) -> None:
    for name, message in document["components"]["messages"].items():
        schema = {"$ref": f"#/components/messages/{name}/payload", "components": document["components"]}
        example = message["examples"][0]["payload"]
        Draft202012Validator(schema).validate(example)
        wrong = {**example, "data": {**example["data"], next(iter(example["data"])): [1]}}
        assert not Draft202012Validator(schema).is_valid(wrong)


def test_every_reference_leads_somewhere(document: Mapping[str, Any]) -> None:
    text = json.dumps(document)
    for part in text.split('"$ref": "#/')[1:]:
        found: Any = document
        for key in part.partition('"')[0].split("/"):
            found = found[key]


def test_it_is_a_document_of_the_standard_with_nothing_that_the_standard_does_not_know(
    document: Mapping[str, Any],
) -> None:
    """FastStream's models of AsyncAPI 3.0.0 take it, and tell all of it again."""
    told: dict[str, Any] = json.loads(
        ApplicationSchema.model_validate(document).model_dump_json(by_alias=True, exclude_none=True)
    )
    for operation in told["operations"].values():
        assert operation.pop("messages") == []  # as where there are none
    assert told == document


def test_the_documents_are_those_of_the_declarations(document: Mapping[str, Any]) -> None:
    assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == document
    assert PAGE.read_text(encoding="utf-8") == page()


async def test_anybody_may_read_it(gateway: System) -> None:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        answer = await client.get("/asyncapi.json")
    assert answer.status_code == 200
    assert answer.json()["asyncapi"] == "3.0.0"
    assert answer.json()["channels"]["EmailSent"]["address"] == "evt.{account_id}.delivery.EmailSent"
