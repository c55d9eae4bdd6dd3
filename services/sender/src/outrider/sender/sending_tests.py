"""SendTest: every step to addresses that the campaign's owner names, at most once, outside quotas and statistics."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final
from uuid import UUID, uuid5

from outrider.events import vault
from outrider.events.campaign import CampaignNotFound, NoSequenceSteps, NoSmtpCredentials, StepPlan
from outrider.events.clock import Clock
from outrider.events.commands import Answer
from outrider.events.contact import ContactNotFound
from outrider.events.database import Pool
from outrider.events.ids import domain_of
from outrider.events.log import Appended, Log, Write
from outrider.events.message import Json
from outrider.events.mime import BadHeader, Mail
from outrider.events.rendering import BadTemplate, CannotRender, Merge, Template, merge_of, sample
from outrider.events.rendering_footer import add_footer
from outrider.events.telemetry import logger
from outrider.events.test_send import NoEmailsProvided, SendTest, TestSendEnded, TestSendStarted
from outrider.events.tokens import Keyring, message_id
from outrider.sender.composing import Mailer, written
from outrider.sender.letters import Letters
from outrider.sender.recording import insist
from outrider.sender.smtp import Accepted, Connections, CredentialFailed
from outrider.sender.smtp_conversation import SHUTDOWN
from outrider.sender.verdicts import words_of

TESTS_AT_ONCE: Final = 4
MESSAGE_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 5.0
LONGEST_WORDS: Final = 300
CREDENTIAL: Final = """
select c.credential_id from credentials c
join gates k on k.stream = 'credential-' || c.credential_id::text and k.closed = ''
where c.campaign_id = $1 order by c.credential_id limit 1
"""
KEEP_OUTCOME: Final = "select log.keep_words($1, 'emails', 'outcome', $2, $3)"
"""For as long as the addresses are kept; not at all once one of their owners is forgotten: it may name them."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Test:
    """One test, gathered before anything is mailed."""

    command: SendTest
    credential: UUID
    mailer: Mailer
    steps: Sequence[tuple[StepPlan, Template | BadTemplate]]
    merge: Merge
    emails: Sequence[str]
    footer: bool
    postal_address: str | None

    def messages(self) -> Iterator[tuple[str, StepPlan, Template | BadTemplate]]:
        """Each address gets the steps in their order."""
        return ((email, step, template) for email in self.emails for step, template in self.steps)


@dataclass(slots=True)
class _Result:
    """What became of its messages so far."""

    accepted: int = 0
    failures: list[Json] = field(default_factory=list[Json])


class SendingTests:
    """Carries out SendTest. Only the process that recorded its start mails it; whoever finds it started does not."""

    def __init__(self, log: Log, vault_pool: Pool, tables: Pool, clock: Clock, letters: Letters, keys: Keyring) -> None:  # noqa: PLR0913, PLR0917  # its ports
        """`vault_pool` is on the log's database, `tables` are the projection."""
        self._log = log
        self._vault = vault_pool
        self._tables = tables
        self._clock = clock
        self._letters = letters
        self._keys = keys
        self._room = asyncio.Semaphore(TESTS_AT_ONCE)
        self._under_way: dict[asyncio.Task[None], Connections] = {}
        self._stopping = False

    async def on_send_test(self, command: SendTest) -> Answer:
        """202 with the number of messages, which go out behind it; how they fared is kept as long as the addresses.

        Raises CampaignNotFound, NoSequenceSteps, NoSmtpCredentials, ContactNotFound, NoEmailsProvided.
        """
        test = await self._gathered(command)
        messages = len(test.emails) * len(test.steps)
        started = TestSendStarted(
            test_id=command.command_id,
            campaign_id=command.campaign_id,
            credential_id=test.credential,
            messages=messages,
        )
        verdict = await self._log.append(command.account_id, Write(_stream(command), 0, [started], command.command_id))
        if isinstance(verdict, Appended):
            connections = Connections(test.mailer.server, 1)
            task = asyncio.create_task(self._carry_out(test, connections), name=f"test {command.command_id}")
            self._under_way[task] = connections
            task.add_done_callback(self._under_way.pop)
        return Answer({"id": str(command.command_id), "messages": messages}, 202, verdict.position)

    async def _gathered(self, command: SendTest) -> _Test:
        account, campaign = command.account_id, command.campaign_id
        closed = await self._tables.fetchval("select closed from gates where stream = $1", f"campaign-{campaign}")
        plan = await self._letters.plan(campaign)
        if plan is None or closed == "campaign_deleted":
            raise CampaignNotFound
        found = [
            (step, await self._letters.template(account, campaign, step)) for _, step in sorted(plan.steps.items())
        ]
        steps = [(step, template) for step, template in found if template is not None]
        if not steps:
            raise NoSequenceSteps
        credential: UUID | None = await self._tables.fetchval(CREDENTIAL, campaign)
        mailer = None if credential is None else await self._letters.mailer(account, credential)
        if credential is None or mailer is None:
            raise NoSmtpCredentials
        merge = sample()
        if command.contact_id is not None:
            person = await vault.get(self._vault, account, command.contact_id, "person")
            if person is None:
                raise ContactNotFound
            merge = merge_of(person, merge.unsubscribe_url)
        emails = (await vault.get(self._vault, account, command.command_id, "emails") or {}).get("emails", ())
        if not emails:
            raise NoEmailsProvided
        footer = plan.settings.unsubscribe_footer
        address = await self._letters.postal_address(account) if footer else None
        return _Test(command, credential, mailer, steps, merge, emails, footer, address)

    async def _carry_out(self, test: _Test, connections: Connections) -> None:
        """Every message has been tried once, one at a time, and what became of them is kept."""
        result, refused = _Result(), ""
        async with self._room:
            for email, step, template in test.messages():
                words = refused
                if not refused:
                    words, is_the_credentials = await self._mailed(test, connections, email, step, template)
                    refused = words if is_the_credentials else ""
                if words:
                    failure = {"email": email, "position": step.position, "error": words[:LONGEST_WORDS]}
                    result.failures.append(failure)
                else:
                    result.accepted += 1
        await connections.close()
        await insist(lambda: self._end(test.command, result))

    async def _mailed(
        self, test: _Test, connections: Connections, email: str, step: StepPlan, template: Template | BadTemplate
    ) -> tuple[str, bool]:
        """Why it did not go out, or "" where it did; and whether no other message through the credential would."""
        if self._stopping:
            return SHUTDOWN, True
        try:
            content = self._content(test, email, step, template)
        except (BadTemplate, CannotRender, BadHeader) as error:
            return str(error), False
        deadline = monotonic() + MESSAGE_SECONDS
        answer = await connections.send(test.mailer.from_email, email, content, deadline)
        if isinstance(answer, Accepted):
            return "", False
        return words_of(answer), isinstance(answer, CredentialFailed)

    def _content(self, test: _Test, email: str, step: StepPlan, template: Template | BadTemplate) -> bytes:
        """The message, without pixel or real ways to unsubscribe: those belong to an enrollment. Raises as `render`."""
        if isinstance(template, BadTemplate):
            raise template
        shown, mailer = template.render(test.merge), test.mailer
        if test.footer:
            shown = add_footer(shown, test.postal_address, test.merge.unsubscribe_url or "")
        ids = {position: uuid5(test.command.command_id, f"{email} {position}") for position in (1, step.position)}
        domain = domain_of(mailer.from_email)
        first = message_id(self._keys, ids[1], domain)
        threaded = step.thread and step.position > 1
        return written(
            mailer,
            Mail(
                delivery=ids[step.position],
                message_id=message_id(self._keys, ids[step.position], domain),
                date=self._clock.now(),
                from_email=mailer.from_email,
                from_name=mailer.from_name,
                to_email=email,
                subject=f"[Test] {shown.subject}",
                html=shown.html,
                text=shown.text,
                reply_to=mailer.reply_to,
                in_reply_to=first if threaded else None,
                references=(first,) if threaded else (),
            ),
        )

    async def _end(self, command: SendTest, result: _Result) -> None:
        ended = TestSendEnded(
            test_id=command.command_id,
            campaign_id=command.campaign_id,
            accepted=result.accepted,
            failed=len(result.failures),
        )
        outcome: Json = {"accepted": result.accepted, "failures": result.failures}
        await self._vault.execute(KEEP_OUTCOME, command.command_id, outcome, command.account_id)
        cause = uuid5(command.command_id, "ended")
        await self._log.append(command.account_id, Write(_stream(command), 1, [ended], cause))
        _log.info("test_send.ended", test=str(command.command_id), accepted=ended.accepted, failed=ended.failed)

    async def stop(self) -> None:
        """No further message is begun; one under way ends, or is cut after some seconds, and its outcome is kept."""
        self._stopping = True
        if not self._under_way:
            return
        under_way = dict(self._under_way)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await asyncio.wait(under_way)
        await asyncio.gather(*(connections.close() for connections in under_way.values()))
        _, left = await asyncio.wait(under_way, timeout=GRACE_SECONDS)
        for task in left:
            task.cancel()


def _stream(command: SendTest) -> str:
    return f"testSend-{command.command_id}"
