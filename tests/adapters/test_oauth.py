"""OAuth2 against a real token server: what grants, what refuses for good, and what is only down."""

import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outrider.events.oauth import LARGEST_ANSWER, Grant, Granted, House, NoAnswer, Refused, is_token_url, refresh
from outrider.local import certificate
from tests.support.token_server import TokenServer, token_server

HOUSE = House(allow_insecure=True)


def grant_of(tokens: TokenServer) -> Grant:
    return Grant(tokens.url, "client & co", "s3cret/+", "refresh=1")


async def test_a_refresh_token_brings_an_access_token() -> None:
    async with token_server() as tokens:
        assert await refresh(grant_of(tokens), HOUSE) == Granted("token-1", 3600.0)
        assert await refresh(replace(grant_of(tokens), client_secret=""), HOUSE) == Granted("token-2", 3600.0)
    first, second = tokens.asked
    assert first == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh=1",
        "client_id": "client & co",
        "client_secret": "s3cret/+",  # pragma: allowlist secret
    }
    assert "client_secret" not in second
    assert tokens.hosts[0] == f"localhost:{tokens.port}"


async def test_a_certificate_must_be_trusted_for_the_name_that_was_asked(tmp_path: Path) -> None:
    made, key = certificate.make(tmp_path)
    async with token_server(certificate.server_context(made, key)) as tokens:
        strange = await refresh(grant_of(tokens), HOUSE)
        assert isinstance(strange, NoAnswer)
        assert "certificate is not trusted" in strange.words
        assert await refresh(grant_of(tokens), replace(HOUSE, authorities=made)) == Granted("token-1", 3600.0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"access_token": "t", "expires_in": "1800"}, Granted("t", 1800.0)),
        ({"access_token": "t"}, Granted("t", 3600.0)),
        ({"access_token": "t", "expires_in": True, "token_type": "bearer"}, Granted("t", 3600.0)),
        ({"access_token": "t", "expires_in": 1, "refresh_token": "next"}, Granted("t", 60.0, "next")),
        ({"access_token": "t", "expires_in": "soon"}, Granted("t", 3600.0)),
        ({"access_token": "t", "expires_in": 10**400}, Granted("t", 3600.0)),
    ],
)
async def test_answers_are_read_as_servers_give_them(said: Mapping[str, Any], expected: Granted) -> None:
    async with token_server() as tokens:
        tokens.answers.append((200, said))
        assert await refresh(grant_of(tokens), HOUSE) == expected


@pytest.mark.parametrize(
    ("status", "error", "advice"),
    [
        (400, "invalid_grant", "Let the user consent again"),
        (401, "invalid_client", "does not know the client"),
        (400, "unauthorized_client", "does not know the client"),
        (400, "invalid_scope", "look at the client's registration"),
    ],
)
async def test_a_refusal_says_what_to_do_and_nothing_of_the_servers_words(status: int, error: str, advice: str) -> None:
    async with token_server() as tokens:
        tokens.answers.append((status, {"error": error, "error_description": "ann@x.example refresh=1 s3cret/+"}))
        answer = await refresh(grant_of(tokens), HOUSE)
    assert isinstance(answer, Refused)
    assert (answer.error, advice in answer.words) == (error, True)
    assert not any(secret in answer.words for secret in ("ann@", "refresh=1", "s3cret"))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (500, {"error": "invalid_grant"}),
        (503, b"<html>try later</html>"),
        (429, {"error": "rate"}),
        (400, {"error": "temporarily_unavailable"}),
        (403, b"blocked by the proxy"),
        (200, b"[]"),
        (200, b"not json"),
        (200, {"access_token": ""}),
        (200, {"access_token": "a b\nc"}),
        (200, {"access_token": "x" * 9000}),
        (200, {"access_token": "t", "token_type": "mac"}),
        (302, b""),
        (200, b"x" * (LARGEST_ANSWER + 1)),
    ],
)
async def test_what_is_no_answer_refuses_nothing(status: int, said: Mapping[str, Any] | bytes) -> None:
    async with token_server() as tokens:
        tokens.answers.append((status, said))
        answer = await refresh(grant_of(tokens), HOUSE)
    assert isinstance(answer, NoAnswer), answer
    assert len(tokens.asked) == 1


async def test_a_server_that_is_silent_or_away_is_only_down() -> None:
    async with token_server() as tokens:
        tokens.answers.append(None)
        assert await refresh(grant_of(tokens), HOUSE, 0.2) == NoAnswer("The token server did not answer in time.")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        answer = await refresh(replace(grant_of(tokens), token_url=url), HOUSE)
    assert isinstance(answer, NoAnswer)
    assert "not reached" in answer.words


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "169.254.169.254", "[::1]", "[64:ff9b::7f00:1]"])
async def test_no_address_of_the_house_is_asked(host: str) -> None:
    async with token_server() as tokens:
        grant = replace(grant_of(tokens), token_url=f"https://{host}:{tokens.port}/token")
        answer = await refresh(grant, House())
    assert isinstance(answer, NoAnswer)
    assert "private" in answer.words
    assert tokens.asked == []


async def test_secrets_do_not_travel_in_the_clear() -> None:
    answer = await refresh(Grant("http://8.8.8.8/token", "c", "s", "r"), House())
    assert answer == NoAnswer("The token server is asked over https alone.")


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a.b", "https://", "https://u:p@a.b/", "https://a.b/#x", "https://a b/"]
)
def test_what_is_no_url_of_a_token_server(url: str) -> None:
    assert not is_token_url(url)
    assert is_token_url("https://login.example.com/tenant/oauth2/v2.0/token?p=1")
