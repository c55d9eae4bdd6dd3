"""A campaign as CSV: one row an enrollment, in pages, and nothing that a spreadsheet would carry out."""

import csv
import io
from datetime import timedelta

import httpx
import pytest

from outrider.api import exporting
from tests.support.http import STEP, UNKNOWN, create, decided, problem
from tests.support.mailed import mailed
from tests.support.system import System

PEOPLE = exporting.ROWS + 1
"""More than a page."""


async def test_a_campaign_is_exported_with_a_row_for_each_enrollment(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    campaign = (await create(client, name='Frühling, "Q2"', sequence_steps=[STEP, {**STEP, "position": 2}])).json()[
        "id"
    ]
    odd = {"email": "odd@export.example", "first_name": "=1+1", "last_name": 'a "b", c\nd', "company": " @SUM(A1)"}
    people = [odd, *({"email": f"p{number}@export.example"} for number in range(PEOPLE - 1))]
    body = {"contact_import": {"name": "Export", "contacts": people}}
    await decided(client, await client.post("/contact_imports", json=body))
    brought = (await client.get("/contact_imports")).json()[0]["id"]
    enrolled = await client.post(f"/campaigns/{campaign}/enroll", json={"contact_import_id": brought})
    assert (await decided(client, enrolled))[0] == 200

    path = f"/campaigns/{campaign}/export"
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == (
        f"attachment; filename=\"campaign-{campaign}.csv\"; filename*=UTF-8''Fr%C3%BChling%2C%20%22Q2%22.csv"
    )
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == PEOPLE
    assert {row["email"] for row in rows} == {str(person["email"]) for person in people}
    assert {row["status"] for row in rows} == {"pending"}
    [found] = [row for row in rows if row["email"] == odd["email"]]
    assert (found["first_name"], found["last_name"], found["company"]) == ("'=1+1", odd["last_name"], "' @SUM(A1)")
    assert found["batch_number"] == "1"
    assert [name for name in found if name.startswith("step_2_")] == [f"step_2_{name}" for name in exporting.OF_STEP]
    head = await client.head(path)
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", answer.headers["content-type"])
    assert problem(await stranger.get(path)) == (404, "campaign_not_found")
    assert problem(await client.get(f"/campaigns/{UNKNOWN}/export")) == (404, "campaign_not_found")


async def test_an_exported_row_has_its_sends_and_what_became_of_it(gateway: System, client: httpx.AsyncClient) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    [row] = csv.DictReader(io.StringIO((await client.get(f"{path}/export")).text, newline=""))
    assert (row["status"], row["steps_sent"], row["step_1_state"], row["step_1_status_code"]) == (
        "sent",
        "1",
        "sent",
        "250",
    )
    assert row["step_1_at"] == row["sent_at"]
    assert row["step_1_message_id"].startswith(f"<{delivery.hex}.")


@pytest.mark.parametrize("begins", exporting.FORMULAS)
def test_no_cell_begins_a_formula(begins: str) -> None:
    [cell] = next(csv.reader(io.StringIO(exporting.line([f"{begins}HYPERLINK(1)"]), newline="")))
    assert cell == f"'{begins}HYPERLINK(1)"
