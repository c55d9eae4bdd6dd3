"""Requests that nobody wrote: made from the description, sound and broken ones; every answer is as described.

`FUZZ_SECONDS` makes it long (`make fuzz`): then with another seed each time.
"""

import asyncio
import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.described import description
from tests.support.furnished import furnished
from tests.support.http import UNKNOWN
from tests.support.system import System

SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
BRIEF = ("--seed", "20261128", "--max-examples", "2", "--phases", "fuzzing")
LONG = ("--max-examples", "200", "--phases", "examples,coverage,fuzzing", "--max-time", str(SECONDS))
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
"""Sound data may be refused: no schema tells which templates render, nor which positions leave no gap."""
TABLES = {"HYPOTHESIS_STORAGE_DIRECTORY": str(Path(__file__).parents[2] / ".hypothesis")}
"""Where all tests keep hypothesis' tables of characters: made anew they cost more than all requests."""
HOOKS = Path(__file__).with_name("hooks_of_fuzzing.py")
CONFIG = """
hooks = "{hooks}"
headers = {{ Authorization = "Bearer {key}" }}

[[operations]]
include-path-regex = "^/accounts"
headers = {{ Authorization = "Bearer {operator}" }}
"""


def aimed(ids: dict[str, str]) -> dict[str, Any]:
    """The description with paths that name what is there, or nothing; but deletes find nothing. A stream has no end."""
    whole = copy.deepcopy(dict(description()))
    whole["paths"].pop("/events")
    for methods in whole["paths"].values():
        for method, operation in methods.items():
            for one in operation["parameters"]:
                if one["in"] == "path" and one["name"] in ids:
                    one["schema"] = {"enum": [UNKNOWN] if method == "delete" else [ids[one["name"]], UNKNOWN]}
    return whole


async def test_whatever_is_asked_is_answered_as_described(
    gateway: System, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    ids = dict(await furnished(gateway, client))
    document, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    document.write_text(json.dumps(aimed(ids)))
    config.write_text(CONFIG.format(hooks=HOOKS, key=gateway.api_key, operator=gateway.operator_token))
    running = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run", str(document)),
        *("--url", gateway.url, "--checks", ",".join(CHECKS), "--no-color", "--warnings", "off", "--no-shrink"),
        *("--generation-database", "none", "--suppress-health-check", "all", "--request-timeout", "30"),
        *(LONG if SECONDS else BRIEF),
        cwd=tmp_path,
        env={**os.environ, **TABLES},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    sys.stdout.write(said.decode())
    assert running.returncode == 0
    operations = sum(len(methods) for methods in aimed(ids)["paths"].values())
    assert f"Tested: {operations}" in said.decode(), "every operation had its turn"
    assert (await client.get("/account")).status_code == 200
