"""A credential that logs in with OAuth2: mailed through, disabled by a refused grant alone, its secrets never shown."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from outrider.events.access_tokens import CLIENT_SECRET, REFRESH_TOKEN
from outrider.events.credential import CredentialAdded, CredentialRefused
from outrider.events.delivery import DeliveryDeferred, EmailSent
from outrider.events.ids import new_id
from outrider.events.inquiries import Inquiry
from outrider.events.vault import Entry, Sealer, get, put
from outrider.sender.quota import day_id, quota_day
from tests.support.rude_smtp import Peer, Rude, rude
from tests.support.sending import ACCOUNT, USER, Mailing, StartSender, until
from tests.support.token_server import TokenServer, token_server


async def letting_in(peer: Peer) -> None:
    """A server that takes one message from whoever has a token."""
    await peer.greet("AUTH XOAUTH2")
    await peer.answer("235 2.7.0 in", "250 ok", "250 ok", "354 go")
    await peer.hear_message()
    await peer.say("250 2.0.0 taken")
    await peer.hear()


async def credential(post: Mailing, smtp: Rude, tokens: TokenServer) -> UUID:
    """One that asks this token server."""
    made = new_id()
    about = {
        "label": "Ann",
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp.port,
        "smtp_security": "none",
        "smtp_username": USER,
        "from_name": "Ann",
        "from_email": USER,
        "reply_to": None,
        "oauth2": {"provider": tokens.url, "client_id": "client"},
    }
    secrets = {REFRESH_TOKEN: "refresh-secret", CLIENT_SECRET: "client-secret"}
    sealed = Sealer(post.keys.seal_public_key).seal(made, secrets)
    entries = [
        Entry(made, "server", ACCOUNT, "credential", about),
        Entry(made, "secrets", ACCOUNT, "credential", sealed),
    ]
    await put(post.kernel.pool, entries)
    added = CredentialAdded(credential_id=made, campaign_id=post.campaign, daily_limit=100)
    await post.record(f"credential-{made}", added)
    return made


@asynccontextmanager
async def servers(connections: int) -> AsyncGenerator[tuple[Rude, TokenServer]]:
    """A mail server for so many connections, and a token server."""
    async with rude(*[letting_in] * connections) as smtp, token_server() as tokens:
        yield smtp, tokens


async def test_mail_goes_out_with_an_access_token(post: Mailing, start: StartSender) -> None:
    async with servers(1) as (smtp, tokens):
        made = await credential(post, smtp, tokens)
        [one] = await post.people(1, made)
        async with start():
            job = await post.job(one, made)
            await post.tell(job)
            [sent] = await post.settled(job)
        assert isinstance(sent, EmailSent)
        assert [asked["refresh_token"] for asked in tokens.asked] == ["refresh-secret"]


async def test_a_token_server_that_is_down_defers_and_disables_nothing(post: Mailing, start: StartSender) -> None:
    async with servers(1) as (smtp, tokens):
        tokens.answers.append((503, b""))
        made = await credential(post, smtp, tokens)
        [one] = await post.people(1, made)
        async with start():
            job = await post.job(one, made)
            await post.tell(job)
            [deferred] = await post.settled(job)
        assert isinstance(deferred, DeliveryDeferred)
        assert deferred.by == "host"
        today = quota_day.stream(day_id(made, post.kernel.clock.now().date()))
        assert not [event for event in await post.history(today) if isinstance(event, CredentialRefused)]


async def test_a_refused_grant_fails_the_log_in_and_says_what_to_do(post: Mailing, start: StartSender) -> None:
    async with servers(3) as (smtp, tokens):
        refused = (400, {"error": "invalid_grant", "error_description": "refresh-secret of ann@sender.example"})
        tokens.answers.append(refused)
        made = await credential(post, smtp, tokens)
        [one] = await post.people(1, made)

        async def words() -> bool:
            said = await get(post.kernel.pool, ACCOUNT, made, "smtp_error")
            return said is not None and "Let the user consent again" in said["reply"]

        async with start() as service:
            job = await post.job(one, made)
            await post.tell(job)
            [deferred] = await post.settled(job)
            await until("words", words)
            inquiry = Inquiry(account_id=ACCOUNT, subject_id=made)
            assert await service.bus.inquiries.ask("verify.smtp", inquiry, 20) == ""  # the server is good again
            tokens.answers.append(refused)
            said = await service.bus.inquiries.ask("verify.smtp", inquiry, 20)  # and not asked the token that is kept
        assert isinstance(deferred, DeliveryDeferred)
        assert (deferred.by, deferred.status_code) == ("credential", "5.7.8")
        today = quota_day.stream(day_id(made, post.kernel.clock.now().date()))
        found = [event for event in await post.history(today) if isinstance(event, CredentialRefused)]
        assert [event.kind for event in found] == ["auth_failed"]
        assert said is not None
        assert "invalid_grant" in said
        assert "refresh-secret" not in said
