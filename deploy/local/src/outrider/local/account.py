"""The one account that a machine of one's own needs: opened over the HTTP API like any other."""

import json
import time
from http import HTTPStatus
from pathlib import Path

from outrider.local.errors import Failed
from outrider.local.home import write_private
from outrider.local.serving import call

SECONDS = 60.0
PAUSE_SECONDS = 0.2


def api_key(file: Path, port: int, operator_token: str) -> str:
    """Answer the key of this machine's account; opened if the file knows none, or one of other data. Raises Failed."""
    if file.exists():
        key = str(json.loads(file.read_text(encoding="utf-8"))["api_key"])
        status, _ = call(port, "GET", "/account", {"Authorization": f"Bearer {key}"})
        if status != HTTPStatus.UNAUTHORIZED:
            return key
    account_id, key = open_account(port, operator_token)
    write_private(file, json.dumps({"account_id": account_id, "api_key": key}, indent=1))
    return key


def open_account(port: int, operator_token: str) -> tuple[str, str]:
    """Open an account; answers its id and its key. Raises Failed.

    A verdict that is late (202), or nobody there to give one (503), is asked for again: an account costs nothing.
    """
    headers = {"Authorization": f"Bearer {operator_token}", "Content-Type": "application/json"}
    deadline = time.monotonic() + SECONDS
    while True:
        status, body = call(port, "POST", "/accounts", headers, json.dumps({"account": {"name": "Local"}}))
        if status == HTTPStatus.CREATED:
            account = json.loads(body)
            return str(account["id"]), str(account["api_key"]["plaintext"])
        passing = status in {0, HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE}
        if not passing or time.monotonic() > deadline:
            raise Failed(f"no account could be opened: POST /accounts answered {status} {body[:200].decode()}")
        time.sleep(PAUSE_SECONDS)
