"""Another account's ids are like unknown ids: on every route of the description, in its path, query and body."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import httpx

from outrider.api.description_errors import OWNERS
from outrider.api.problems import NotFound
from tests.support.described import description
from tests.support.furnished import furnished
from tests.support.http import UNKNOWN, problem
from tests.support.system import System

Ids = Mapping[str, str]
IN_BODIES = {"contact_import_id": "import_id"}
"""A field's name, where a path calls it otherwise."""
Operation = tuple[str, str, Mapping[str, Any]]


def operations() -> Iterator[Operation]:
    """Method, path and description of every route that a tenant may ask."""
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            if {"key": []} in operation["security"]:
                yield method.upper(), path, operation


def names(operation: Mapping[str, Any], place: str) -> Sequence[str]:
    """The parameters in that place which name something of an account."""
    found = [one["name"] for one in operation["parameters"] if one["in"] == place]
    return [name for name in found if OWNERS.get(name, NotFound) is not NotFound]


async def ask(
    client: httpx.AsyncClient, one: Operation, ids: Ids, query: Ids | None = None, body: object = None
) -> httpx.Response:
    """The answer of this route with these ids; the body is empty where none is given."""
    method, path, operation = one
    json: object = dict[str, object]() if body is None and "requestBody" in operation else body
    return await client.request(method, path.format(**ids), params=query, json=json)


def id_fields(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where an example holds the id of something of an account, and what of."""
    fields: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        fields = iter(cast("dict[str | int, object]", value).items())
    if isinstance(value, list):
        fields = iter(enumerate(cast("list[object]", value)))
    for name, inner in fields:
        owner = IN_BODIES.get(str(name), str(name))
        if owner in OWNERS and owner.endswith("_id"):
            yield (*path, name), owner
        yield from id_fields(inner, (*path, name))


def with_id(example: object, path: Sequence[str | int], id_: str) -> object:
    """The example with this id there."""
    changed = copy.deepcopy(example)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = id_
    return changed


async def test_anothers_ids_are_answered_like_unknown_ones_on_every_route_and_change_nothing(
    gateway: System, client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    theirs, own = await furnished(gateway, client), await furnished(gateway, stranger)
    reads = [one for one in operations() if one[0] == "GET" and names(one[2], "path")]
    before = {one[1]: (await ask(client, one, theirs)).text for one in reads}
    asked = 0
    for one in operations():
        in_path, in_query = names(one[2], "path"), names(one[2], "query")
        for name in [*in_path, *in_query]:
            assert name in own, f"{one[1]} names {name}: tests/support/furnished.py has none"
        for position, name in enumerate(in_path):
            if name == "position":  # a step's number: no account's own
                continue
            mixed = {**own, **{earlier: own[earlier] for earlier in in_path[:position]}}
            answer = await ask(stranger, one, {**mixed, name: theirs[name]})
            unknown = await ask(stranger, one, {**mixed, name: UNKNOWN})
            assert problem(answer) == (404, OWNERS[name].code), f"{one[0]} {one[1]} with another's {name}"
            assert answer.content == unknown.content
            asked += 1
        for name in in_query:
            given = {"Accept": "application/json"}
            path = one[1].format(**own)
            answer = await stranger.request(one[0], path, params={name: theirs[name]}, headers=given)
            unknown = await stranger.request(one[0], path, params={name: UNKNOWN}, headers=given)
            if name != "position":
                assert problem(answer) == (404, OWNERS[name].code), f"{one[0]} {one[1]}?{name}="
                assert answer.content == unknown.content
                asked += 1
    assert asked > len(reads)
    for one in reads:
        assert (await ask(client, one, theirs)).text == before[one[1]], f"{one[1]} has changed"


async def test_anothers_ids_in_a_body_are_answered_like_unknown_ones(
    gateway: System, client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    theirs, own = await furnished(gateway, client), await furnished(gateway, stranger)
    asked = set[str]()
    for one in operations():
        example = one[2].get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        for path, owner in id_fields(example):
            answer = await ask(stranger, one, own, body=with_id(example, path, theirs[owner]))
            unknown = await ask(stranger, one, own, body=with_id(example, path, UNKNOWN))
            assert problem(answer) == (404, OWNERS[owner].code), f"{one[0]} {one[1]} with another's {path}"
            assert answer.content == unknown.content
            asked.add(owner)
    assert {"contact_id", "import_id", "outreach_id"} <= asked


async def test_what_an_account_owns_opens_with_its_own_key_alone(gateway: System, client: httpx.AsyncClient) -> None:
    theirs = await furnished(gateway, client)
    async with httpx.AsyncClient(base_url=gateway.url) as nobody:
        for one in operations():
            assert problem(await ask(nobody, one, theirs)) == (401, "unauthorized"), one[1]
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            if operation["security"] == [{"operator": []}]:
                one = (method.upper(), path, operation)
                assert problem(await ask(client, one, theirs)) == (401, "unauthorized"), "a tenant's key"
