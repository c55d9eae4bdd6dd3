"""Imports as CSV: streamed, rejects by line, and an end for whatever breaks off."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import cast
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.kernel.until import until
from tests.support.http import fields, problem
from tests.support.system import System

CSV = {"Content-Type": "text/csv"}
BOM = b"\xef\xbb\xbf"
FIGURES = ("record_count", "contact_count", "skipped", "rejected")
MIB = 1024 * 1024
Shown = Mapping[str, object]


async def bring(client: httpx.AsyncClient, body: bytes, name: str = "List", **more: str) -> httpx.Response:
    """POST a file."""
    return await client.post("/contact_imports", params={"name": name}, content=body, headers={**CSV, **more})


async def announced(gateway: System, kind: str, size: int) -> bytes:
    """The status of a request that says how much will come, and waits."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reading, writing = await asyncio.open_connection(host, int(port))
    lines = [
        "POST /contact_imports?name=x HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {gateway.api_key}",
        f"Content-Type: {kind}", f"Content-Length: {size}", "", "",
    ]  # fmt: skip
    writing.write("\r\n".join(lines).encode())
    async with asyncio.timeout(180):
        status = (await reading.readline()).split()[1]
    writing.close()
    return status


async def completed(client: httpx.AsyncClient, answer: httpx.Response) -> Shown:
    """The import, once it is."""
    path = f"/contact_imports/{answer.json()['id']}"

    async def is_over() -> bool:
        return bool((await client.get(path)).json()["status"] != "processing")

    await until("the import is over", is_over)
    return cast("Shown", (await client.get(path)).json())


async def test_a_file_becomes_contacts_and_what_is_wrong_is_listed_by_its_line(client: httpx.AsyncClient) -> None:
    rows = [
        b"Email,first_name,Role,timezone",
        b'ann@csv.example,"Ann ""A.""","CEO,\r\nfounder",Europe/Berlin',
        b"ANN@csv.example,again,,",
        b"nobody,x,,",
        b"bad@csv.example,\xff\xfe,,",
        b"nul@csv.example,\0,,",
        b"",
        b'broken@csv.example,"x"y,,',
        b"mars@csv.example,x,,Mars/Olympus",
        b"short@csv.example",
        b'=cmd@csv.example,=1+1,"@SUM(A1)",UTC',
    ]
    answer = await bring(client, BOM + b"\r\n".join(rows), " Spring list ")
    shown = answer.json()
    assert answer.status_code == 201, answer.text
    assert (shown["name"], shown["status"]) == ("Spring list", "completed")
    assert [shown[name] for name in FIGURES] == [2, 2, 1, 6]
    path = f"/contact_imports/{shown['id']}"
    found = {row["email"]: row for row in (await client.get(f"{path}/contacts")).json()}
    ann, formula = found["ann@csv.example"], found["=cmd@csv.example"]
    assert (ann["first_name"], ann["custom"], ann["timezone"]) == (
        'Ann "A."', {"Role": "CEO,\nfounder"}, "Europe/Berlin",
    )  # fmt: skip
    assert (formula["first_name"], formula["last_name"], formula["custom"]) == ("=1+1", None, {"Role": "@SUM(A1)"})
    rejects = (await client.get(f"{path}/rejects")).json()
    assert [(row["line"], row["email"], row["reason"]) for row in rejects] == [
        (5, "nobody", "email has no @"),
        (6, "bad@csv.example", "is not UTF-8"),
        (7, "nul@csv.example", "holds a NUL character"),
        (9, None, "a quoted field goes on behind its closing quote"),
        (10, "mars@csv.example", "timezone is not in the IANA database"),
        (11, "short@csv.example", "the row has 1 fields, the header 4"),
    ]
    first = await client.get(f"{path}/rejects", params={"limit": 4})
    second = await client.get(first.links["next"]["url"])
    assert [row["line"] for row in (*first.json(), *second.json())] == [5, 6, 7, 9, 10, 11]
    assert "next" not in second.links
    again = (await bring(client, rows[0] + b"\n" + b"ann@csv.example,Other,,")).json()
    assert [again[name] for name in FIGURES] == [0, 0, 1, 0]
    assert (await client.get("/contacts", params={"email": "ann@csv.example"})).json()[0]["id"] == ann["id"]
    assert (await client.delete(path)).status_code == 204
    assert problem(await client.get(path)) == (404, "contact_import_not_found")
    assert problem(await client.get(f"/contacts/{ann['id']}")) == (404, "contact_not_found")


@pytest.mark.parametrize(
    ("query", "body", "wrong"),
    [
        ({}, b"email\na@b.example", ["name"]),
        ({"name": " ", "nmae": "x"}, b"mail\na@b.example", ["nmae", "name", "header"]),
        ({"name": "x"}, b"", ["header"]),
        ({"name": "x"}, b"\r\n\n", ["header"]),
        ({"name": "x"}, "email\na@b.example".encode("utf-16"), ["header[0]", "header"]),
        ({"name": "x\0"}, b"email," + b"x," * 100_000 + b"\na@b.example", ["name", "header"]),
        ({"name": "x"}, b"email,email\na@b.example,b@b.example", ["header"]),
        ({"name": "x"}, b"x" * (3 * MIB), ["header"]),
    ],
)  # fmt: skip
async def test_what_is_no_import_is_refused_with_every_failure(
    client: httpx.AsyncClient, query: Mapping[str, str], body: bytes, wrong: list[str]
) -> None:
    before = len((await client.get("/contact_imports")).json())
    answer = await client.post("/contact_imports", params=query, content=body, headers=CSV)
    assert fields(answer) == wrong
    assert len((await client.get("/contact_imports")).json()) == before


async def test_a_header_alone_is_nobody_and_the_type_counts(client: httpx.AsyncClient) -> None:
    assert problem(await bring(client, b"email,first_name\n")) == (422, "no_contacts_provided")
    for kind in ("text/csv; charset=latin-1", "text/plain", "application/csv"):
        answer = await bring(client, b"email\na@b.example", **{"Content-Type": kind})
        assert problem(answer) == (415, "unsupported_media_type")
    assert problem(await client.post("/contacts", content=b"email", headers=CSV)) == (415, "unsupported_media_type")
    answer = await bring(
        client, b"email\nc@type.example", **{"Content-Type": 'Text/CSV; header=present; charset="UTF-8"'}
    )
    assert (answer.status_code, answer.json()["record_count"]) == (201, 1)


async def test_an_import_may_be_larger_than_others_and_is_not_endless(
    gateway: System, client: httpx.AsyncClient
) -> None:
    giant = b"email,x\n" + b"y" * (2 * MIB) + b"\ng@large.example,1\r"
    answer = await bring(client, giant)
    assert (answer.status_code, answer.json()["rejected"], answer.json()["record_count"]) == (201, 1, 1)
    rejects = (await client.get(f"/contact_imports/{answer.json()['id']}/rejects")).json()
    assert rejects == [{"line": 2, "email": None, "reason": "the row has more than 64 Ki characters"}]
    for kind, refused in (("text/csv", b"413"), ("application/json", b"413"), ("text/plain", b"415")):
        assert await announced(gateway, kind, 256 * MIB + 1) == refused
    people = [{"email": f"j{n}@large.example", "company": "c" * 900} for n in range(1300)]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "JSON", "contacts": people}})
    assert (answer.status_code, answer.json()["record_count"]) == (201, 1300)


async def test_others_are_answered_while_a_large_json_is_judged(gateway: System) -> None:
    people = [{"email": f"h{n}@heavy.example", "custom": {"seats": n}} for n in range(20_000)]
    wrong = [*people, {"email": 5, "custom": {"l": [1]}}]
    text, counting = json.dumps({"contact_import": {"name": "Heavy", "contacts": wrong}}).encode(), asyncio.Event()

    async def body() -> AsyncGenerator[bytes]:
        yield text[:-1]
        await counting.wait()
        yield text[-1:]

    async with httpx.AsyncClient(base_url=gateway.url, headers=dict(gateway.headers), timeout=120) as client:
        kind = {"Content-Type": "application/json"}
        asked = asyncio.create_task(client.post("/contact_imports", content=body(), headers=kind))
        assert (await client.get("/account")).status_code == 200
        counting.set()
        answers = 0
        while not asked.done():
            answers += (await client.get("/account")).status_code == 200 and not asked.done()
        place = "contact_import.contacts[20000]"
        assert fields(await asked) == [f"{place}.email", f"{place}.custom.l"]
    assert answers >= 5, f"{answers} others were answered meanwhile"


async def test_of_a_json_with_many_failures_a_thousand_are_listed(client: httpx.AsyncClient) -> None:
    rows: list[object] = [{"email": f"f{n}@failures.example"} for n in range(1001)]
    rows += [{"email": n, "custom": {"l": [n]}} for n in range(600)]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "", "contacts": rows}})
    named = [f"contact_import.contacts[{1001 + n}].{name}" for n in range(600) for name in ("email", "custom.l")]
    assert fields(answer) == ["contact_import.name", *named[:999]]


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_more_than_5000_rows_are_answered_first_and_carried_out_behind(
    client: httpx.AsyncClient, kind: str
) -> None:
    emails = [f"{kind}{n}@many.example" for n in range(4990)] + [f"{kind}{n}@many.example" for n in range(5)]
    if kind == "csv":
        lines = "\n".join(["email", *emails, *["nobody"] * 6])
        answer = await bring(client, lines.encode())
    else:
        rows = [{"email": email} for email in [*emails, *["nobody"] * 6]]
        answer = await client.post("/contact_imports", json={"contact_import": {"name": "List", "contacts": rows}})
    assert answer.status_code == 202, answer.text
    assert {"name": "List", "status": "processing"}.items() <= answer.json().items()
    shown = await completed(client, answer)
    assert (shown["status"], [shown[name] for name in FIGURES]) == ("completed", [4990, 4990, 5, 6])


async def test_a_body_that_breaks_off_leaves_a_failed_import_and_nothing_of_its_people(
    gateway: System, client: httpx.AsyncClient
) -> None:
    for rows in (10, 30_000):
        name, lines = f"Broken {uuid4()}", [b"x%d@broken.example\n" % n for n in range(rows)]

        async def half(lines: list[bytes] = lines) -> AsyncGenerator[bytes]:
            yield b"email\n"
            for start in range(0, len(lines), 1000):
                yield b"".join(lines[start : start + 1000])
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await client.post("/contact_imports", params={"name": name}, content=half(), headers=CSV)
        shown = await _failed(client, name)
        assert [shown[figure] for figure in FIGURES] == [0, 0, 0, 0]
        assert await _kept(gateway, str(shown["id"])) == ["name"]
    assert (await client.get("/contacts", params={"email": "x1@broken.example"})).json() == []
    assert (await client.delete(f"/contact_imports/{shown['id']}")).status_code == 204


async def test_an_import_whose_gateway_was_killed_in_mid_body_fails(gateway: System, client: httpx.AsyncClient) -> None:
    name, staged, going_on = f"Killed {uuid4()}", asyncio.Event(), asyncio.Event()

    async def half() -> AsyncGenerator[bytes]:
        yield b"email\n" + b"".join(b"k%d@broken.example\n" % n for n in range(30_000))
        staged.set()
        await going_on.wait()

    sending = asyncio.create_task(client.post("/contact_imports", params={"name": name}, content=half(), headers=CSV))
    owner = await asyncpg.connect(gateway.site.database_url)
    try:
        await staged.wait()

        async def is_held() -> bool:
            return bool(await owner.fetchval("select true from log.leases where starts_with(name, 'upload-')"))

        await until("somebody is at it", is_held)
        gateway.kill("api")
        going_on.set()
        with pytest.raises(httpx.TransportError):
            await sending
        await owner.execute("update log.leases set until = now() where starts_with(name, 'upload-')")
        gateway.revive("api")
        shown = await _failed(client, name)
        assert await _kept(gateway, str(shown["id"])) == ["name"]
    finally:
        await owner.close()


async def test_a_file_sent_again_with_its_key_is_compared_at_its_end(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    body = b"email\n" + b"".join(b"i%d@once.example\n" % n for n in range(30))
    first = await bring(client, body, **key)
    again = await bring(client, body, **key)
    assert (first.status_code, first.json()["record_count"]) == (201, 30)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert problem(await bring(client, body + b"more@once.example\n", **key)) == (422, "idempotency_key_reused")
    key, name = {"Idempotency-Key": str(uuid4())}, f"Keyed {uuid4()}"

    async def half() -> AsyncGenerator[bytes]:
        yield body[:100]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await client.post("/contact_imports", params={"name": name}, content=half(), headers={**CSV, **key})
    await _failed(client, name)
    whole = body.replace(b"once", b"twice")
    answer = await bring(client, whole, name, **key)
    while answer.status_code == 409:
        answer = await bring(client, whole, name, **key)
    assert (answer.status_code, answer.json()["record_count"]) == (201, 30), answer.text
    refused = await bring(client, b"mail\nx", **(key := {"Idempotency-Key": str(uuid4())}))
    assert (await bring(client, b"mail\nx", **key)).content == refused.content


async def _failed(client: httpx.AsyncClient, name: str) -> Shown:
    """The import of this name, once it has failed."""
    found: list[Shown] = []

    async def has_failed() -> bool:
        found[:] = [row for row in (await client.get("/contact_imports")).json() if row["name"] == name]
        return [row["status"] for row in found] == ["failed"]

    await until("the import is shown as failed", has_failed)
    return found[0]


async def _kept(gateway: System, import_id: str) -> list[str]:
    """What the vault has of the import."""
    owner = await asyncpg.connect(gateway.site.database_url)
    try:
        rows = await owner.fetch("select name from log.vault where owner = $1::text::uuid order by name", import_id)
        return [row["name"] for row in rows]
    finally:
        await owner.close()
