# pyright: reportUnknownVariableType=false
"""The HTTP API as the demo uses it: one call, one answer; what is refused ends the demo with the server's words."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httpx

Json = Mapping[str, object]
NEXT_PAGE = 1000
ACCEPTED = 202
TIMEOUT_SECONDS = 60.0


class Unexpected(Exception):
    """The API answered something else than the demo needs."""


@dataclass
class Client:
    """One caller: a tenant or the operator."""

    url: str
    key: str
    _web: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        """Keep one connection."""
        headers = {"Authorization": f"Bearer {self.key}"}
        self._web = httpx.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)

    def get(self, path: str) -> Json:
        """Answer the resource. Raises Unexpected."""
        return _object(_sound(self._web.get(path)))

    def post(self, path: str, body: Json) -> Json:
        """Answer what became of it, waiting for a verdict that takes longer. Raises Unexpected."""
        response = _sound(self._web.post(path, json=body))
        if response.status_code == ACCEPTED and "command_id" in _object(response):
            return self._verdict(response.headers["location"])
        return _object(response)

    def pages(self, path: str) -> list[Json]:
        """Answer every row of the list. Raises Unexpected."""
        rows: list[Json] = []
        following = f"{path}{'&' if '?' in path else '?'}limit={NEXT_PAGE}"
        while following:
            response = _sound(self._web.get(following))
            rows += cast("list[Json]", response.json())
            following = response.links.get("next", {}).get("url", "")
        return rows

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _verdict(self, location: str) -> Json:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            command = self.get(location)
            if command.get("status") == "succeeded":
                body = command.get("body", command)
                return cast("Json", body)
            if command.get("status") == "rejected":
                raise Unexpected(f"rejected: {command}")
            time.sleep(0.2)
        raise Unexpected(f"no verdict on {location} after {TIMEOUT_SECONDS:g} s")


def _sound(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        request = response.request
        raise Unexpected(f"{request.method} {request.url.path}: {response.status_code} {response.text[:2000]}")
    return response


def _object(response: httpx.Response) -> Json:
    return cast("Json", response.json())
