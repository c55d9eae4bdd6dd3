# pyright: reportUnknownVariableType=false
"""The HTTP API as a client's program sees it: typed answers, and waiting for what they say."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar, cast

import httpx
from pydantic import BaseModel

from tests.support.client_answers import Campaign, Created, Dispatched, Enrolled, Enrollment, Import
from tests.support.described import as_described_too

Json = Mapping[str, object]
Found = TypeVar("Found")
Row = TypeVar("Row", bound=BaseModel)
LOOK_SECONDS = 0.1
SECONDS = 180.0
ACCEPTED, UNAVAILABLE = 202, 503
SUCCESS = range(200, 300)


@dataclass(frozen=True)
class Answer:
    """A response as it came."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def body(self) -> object:
        """The JSON."""
        return json.loads(self.text)

    @property
    def problem(self) -> tuple[int, object]:
        """Status and code of an error."""
        assert self.headers["content-type"].startswith("application/problem+json"), self
        return self.status, cast("Json", self.body)["code"]

    @property
    def details(self) -> Json:
        """Of an error."""
        return cast("Json", cast("Json", self.body)["details"])


@dataclass
class Client:
    """One caller: a tenant, or the operator."""

    url: str
    key: str
    web: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Keep one connection."""
        headers = {"Authorization": f"Bearer {self.key}"}
        hooks = {"response": [as_described_too]}
        self.web = httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, event_hooks=hooks)

    def __enter__(self) -> Self:
        """Close the connection after the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """The connection is closed."""
        self.web.close()

    def call(self, method: str, path: str, body: object = None) -> Answer:
        """Send it; a verdict that is late is waited for where the answer says, and answered as if it had come."""
        answer = _answer(self.web.request(method, path) if body is None else self.web.request(method, path, json=body))
        if answer.status != ACCEPTED or "command_id" not in cast("Json", answer.body):
            return answer
        return until(f"a verdict on {method} {path}", lambda: self._verdict(answer.headers["location"]))

    def _verdict(self, location: str) -> Answer | None:
        answer = _answer(self.web.get(location))
        command = cast("Json", answer.body)
        if answer.status not in SUCCESS or command["status"] == "accepted":
            return None
        headers = {"content-type": "application/problem+json"} if command["status"] == "rejected" else {}
        return Answer(cast("int", command["http_status"]), json.dumps(command["body"]), headers)

    def get(self, path: str) -> Answer:
        """Answer what is there."""
        return self.call("GET", path)

    def post(self, path: str, body: object = None) -> Answer:
        """Ask for it."""
        return self.call("POST", path, body)

    def patch(self, path: str, body: object) -> Answer:
        """Change it."""
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        """Delete it."""
        return self.call("DELETE", path)

    def bring_in(self, people: list[Json], name: str = "People") -> Import:
        """Import the people."""
        body = {"contact_import": {"name": name, "contacts": people}}
        return Import.model_validate(_sound(self.post("/contact_imports", body)))

    def create(self, campaign: Json) -> str:
        """Create a campaign; answers its id."""
        return Created.model_validate(_sound(self.post("/campaigns", {"campaign": campaign}))).id

    def enroll(self, campaign_id: str, import_id: str, batch_size: int | None = None) -> Enrolled:
        """Enroll an import."""
        sized = {} if batch_size is None else {"batch_size": batch_size}
        body = {"contact_import_id": import_id, **sized}
        return Enrolled.model_validate(_sound(self.post(f"/campaigns/{campaign_id}/enroll", body)))

    def dispatch(self, campaign_id: str, batch_number: int | None = None) -> Dispatched:
        """Dispatch a batch, the next one if none is named."""
        body = None if batch_number is None else {"batch_number": batch_number}
        return Dispatched.model_validate(_sound(self.post(f"/campaigns/{campaign_id}/dispatch", body)))

    def pause(self, campaign_id: str) -> Json:
        """Pause it."""
        return cast("Json", _sound(self.post(f"/campaigns/{campaign_id}/pause")))

    def resume(self, campaign_id: str) -> Json:
        """Resume it."""
        return cast("Json", _sound(self.post(f"/campaigns/{campaign_id}/resume")))

    def show(self, campaign_id: str) -> Campaign:
        """Answer the campaign with its statistics."""
        return Campaign.model_validate(_sound(self.get(f"/campaigns/{campaign_id}")))

    def rows(self, path: str, kind: type[Row]) -> list[Row]:
        """Answer the rows of a list's first page."""
        return [kind.model_validate(row) for row in cast("list[object]", _sound(self.get(path)))]

    def enrollments(self, campaign_id: str, status: str = "") -> list[Enrollment]:
        """Answer the campaign's enrollments, those of a status if one is named."""
        return self.rows(f"/campaigns/{campaign_id}/enrollments" + (status and f"?status={status}"), Enrollment)

    def until(
        self, campaign_id: str, what: str, condition: Callable[[Campaign], bool], seconds: float = SECONDS
    ) -> Campaign:
        """Answer the campaign once the condition holds, looking again while the API is down."""
        last: list[Campaign] = []

        def look() -> Campaign | None:
            try:
                answer = self.get(f"/campaigns/{campaign_id}")
            except httpx.TransportError:
                return None
            if answer.status == UNAVAILABLE:
                return None
            last[:] = [Campaign.model_validate(_sound(answer))]
            return last[0] if condition(last[0]) else None

        return until(what, look, seconds, lambda: str(last))


def until(
    what: str, look: Callable[[], Found | None], seconds: float = SECONDS, told: Callable[[], str] = str
) -> Found:
    """Answer what `look` finds as soon as it finds something true. Fails with `what`, and `told`, when time is over."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what} {told()}"
        time.sleep(LOOK_SECONDS)
    return found


def _answer(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.text, response.headers)


def _sound(answer: Answer) -> object:
    assert answer.status in SUCCESS, answer
    return answer.body
