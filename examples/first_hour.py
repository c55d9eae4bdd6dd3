"""The first hour with Outrider in Python: a client of forty lines, and a campaign from its people to its export.

    make up                                          in one terminal
    .venv/bin/python examples/first_hour.py          in another; anywhere else: pip install httpx

Nothing leaves the machine: the accounts and the people live in the mail sandbox of `make up`.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

HERE = Path(__file__).parent
PATIENCE_SECONDS = 120


class Refused(Exception):
    """The API says no: `code` is what to branch on, `details` names the fields."""

    def __init__(self, problem: dict[str, Any]) -> None:
        """Take the answer's body, RFC 9457."""
        super().__init__(f"{problem['code']}: {problem['message']}")
        self.code: str = problem["code"]
        self.details: dict[str, Any] = problem.get("details", {})


class Outrider:
    """A client of one account."""

    def __init__(self, url: str, key: str) -> None:
        """`key` is one of the account's, or the operator's token."""
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def call(self, verb: str, path: str, body: object = None, **options: Any) -> Any:
        """What the API answers. Raises Refused.

        Every call that changes something has a key of its own: where the connection breaks it is sent again, and still
        done once. An answer of 202 means that the verdict is still to come; it is waited for.
        """
        headers = {} if verb == "GET" else {"Idempotency-Key": str(uuid4())}
        for attempt in range(3):
            try:
                answer = self._http.request(verb, path, json=body, headers=headers, params=options or None)
                break
            except httpx.TransportError:
                if attempt == 2:
                    raise
                time.sleep(1)
        location = answer.headers.get("Location", "")
        if answer.status_code == httpx.codes.ACCEPTED and location.startswith("/commands/"):
            until("the verdict", lambda: self.call("GET", location)["status"] != "accepted")
            return self.call("GET", location)["body"]
        if answer.is_error:
            raise Refused(answer.json())
        return answer.json() if answer.headers.get("Content-Type", "").startswith("application/json") else answer.text

    def rows(self, path: str, **options: Any) -> Iterator[Any]:
        """Every row of a list, whatever number of pages it has."""
        answer = self._http.get(path, params=options)
        while True:
            yield from answer.raise_for_status().json()
            if "next" not in answer.links:
                return
            answer = self._http.get(answer.links["next"]["url"])


def until(what: str, happened: Callable[[], object]) -> None:
    """Wait for it. Raises TimeoutError after two minutes."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.5)


def settings() -> dict[str, str]:
    """Where everything is: from the environment, else from what `make up` wrote."""
    if "OUTRIDER_URL" in os.environ:
        return dict(os.environ)
    lines = (HERE.parent / ".outrider" / "env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def mail_account(given: dict[str, str]) -> dict[str, object]:
    """Ann's, in the sandbox. Yours has your provider's names, and no `*_security`: TLS is the default."""
    user = {"username": "ann@firsthour.example", "password": "sandbox", "host": "127.0.0.1", "security": "none"}
    ports = {"smtp_port": int(given["OUTRIDER_SMTP_PORT"]), "imap_port": int(given["OUTRIDER_IMAP_PORT"])}
    both = {f"{kind}_{name}": value for kind in ("smtp", "imap") for name, value in user.items()}
    return {"label": "Ann", "from_name": "Ann Larsson", "daily_limit": 200, **ports, **both}


def main() -> None:
    """Open an account, send to four people, see who answered, and ask why."""
    given = settings()
    operator = Outrider(given["OUTRIDER_URL"], given["OUTRIDER_OPERATOR_TOKEN"])
    opened = operator.call("POST", "/accounts", {"account": {"name": "First hour"}})
    outrider = Outrider(given["OUTRIDER_URL"], opened["api_key"]["plaintext"])

    people = [
        {"email": "ada@hour.example", "first_name": "Ada", "custom": {"role": "head of analysis"}},
        {"email": "ben+reply1@hour.example", "first_name": "Ben"},
        {"email": "cleo+refused@hour.example"},
        {"email": "dora+open@hour.example", "first_name": "Dóra", "company": "Hullám, Kft."},
    ]
    imported = outrider.call("POST", "/contact_imports", {"contact_import": {"name": "First list", "contacts": people}})

    steps = [
        {"position": 1, "delay_minutes": 0, "subject": "Hi {{ first_name }}", "body_html": "<p>Who reads this?</p>"},
        {"position": 2, "delay_minutes": 4320, "subject": "Re: Hi", "body_html": "<p>Did you see my mail?</p>"},
    ]
    campaign = {
        "name": "First hour",
        "min_wait_seconds": 0,
        "max_wait_seconds": 1,
        "bounce_rate_threshold": 50,
        "smtp_credentials": [mail_account(given)],
        "sequence_steps": steps,
    }
    try:
        outrider.call("POST", "/campaigns", {"campaign": campaign | {"sequence_steps": [steps[0] | {"subjekt": "Hi"}]}})
    except Refused as refused:
        print("refused, and why:", refused.details["errors"])
    path = f"/campaigns/{outrider.call('POST', '/campaigns', {'campaign': campaign})['id']}"

    print("enrolled:", outrider.call("POST", f"{path}/enroll", {"contact_import_id": imported["id"]})["enrolled"])
    print("scheduled:", outrider.call("POST", f"{path}/dispatch")["scheduled"])
    until("four are sent, one of them answers", lambda: _is_told(outrider.call("GET", path)["totals"]))
    print("totals:", outrider.call("GET", path)["totals"])
    for row in outrider.rows(f"{path}/enrollments"):
        told = outrider.call("GET", f"/enrollments/{row['id']}/explain")
        closed = [f"{gate['gate']} ({gate['reason']})" for gate in told["gates"] if gate["verdict"] == "closed"]
        print(f"{row['status']:9} next: {told['next'] or 'nothing, closed by ' + ', '.join(closed)}")
    sys.stdout.write(outrider.call("GET", f"{path}/export"))


def _is_told(totals: dict[str, int]) -> bool:
    return (totals["sent"], totals["replied"], totals["bounced"]) == (4, 1, 1)


if __name__ == "__main__":
    main()
