"""What every request handler works with: the gateway's own connections, and the call at hand."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import State

from outrider.api.bodies import Body, Context, Nothing, validated
from outrider.api.idempotency import Held, Idempotency
from outrider.api.json_text import unsound
from outrider.api.limits import RateLimit
from outrider.api.paging import Page, page
from outrider.api.problems import Late, Rejected
from outrider.api.public_events import Showing
from outrider.api.streaming import Streams
from outrider.api.uploads import Upload
from outrider.events.aggregate import Aggregate
from outrider.events.bus import Bus
from outrider.events.clock import Clock
from outrider.events.commands import Verdict
from outrider.events.database import Pool
from outrider.events.errors import ValidationFailed
from outrider.events.log import Log
from outrider.events.message import Command, Event
from outrider.events.projector import Reader
from outrider.events.service import Settings
from outrider.events.tokens import Keyring
from outrider.events.vault import Box, Sealer

B = TypeVar("B", bound=Body)
S = TypeVar("S")
REACH_SECONDS = 2.0
ASK_SECONDS = 5.0
NOBODY = UUID(int=0)
OPERATOR = UUID(int=0)
"""The asker that is no key."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What one process is connected to."""

    settings: Settings
    clock: Clock
    log: Log
    bus: Bus
    log_pool: Pool
    """The log's database: commands and vault."""
    tables: Pool
    """Our own projections."""
    work: Pool
    """What the webhooks process remembers."""
    reader: Reader
    keys: Keyring
    sealer: Sealer
    webhook_sealer: Sealer
    """Seals for the webhooks process alone."""
    box: Box
    """For answers that are kept a while: what the sealer seals nobody here can open."""
    idempotency: Idempotency
    rate_limit: RateLimit
    trouble: Callable[[], Awaitable[Sequence[str]]]
    stopping: Callable[[], bool]
    """Whether this process was asked to stop: its clients are to connect anew, elsewhere."""
    showing: Showing
    streams: Streams


@dataclass(slots=True)
class Call:
    """One request: who asks, what for, and what its answer has to say beside its body."""

    gateway: Gateway
    method: str
    path: str
    account_id: UUID = NOBODY
    """NOBODY on public and operator's routes."""
    asker: UUID | None = None
    """The API key that asks; OPERATOR; None on public routes."""
    held: Held | None = None
    """The Idempotency-Key that came with it."""
    json: object = None
    """The parsed body; `{}` where there was none."""
    upload: Upload | None = None
    """The body that is not read yet."""
    escaped: bool = False
    """Whether its text has an escape by number: only so can a NUL or a lone surrogate get in."""
    query: Sequence[tuple[str, str]] = ()
    seen: int = 0
    """Up to where the caller has read: Outrider-Min-Position."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    """Of the answer."""

    def body(self, model: type[B]) -> B:
        """The body as the model has it. Raises ValidationFailed with every failure, unknown query names included."""
        context = Context(allow_insecure_hosts=self.gateway.settings.allow_insecure_hosts)
        flaws = list(unsound(self.json)) if self.escaped else []
        return validated(model, self.json, context, flaws, self._strangers(()))

    def query_as(self, model: type[B]) -> B:
        """The query as the model has it. Raises ValidationFailed with every failure."""
        context = Context(allow_insecure_hosts=self.gateway.settings.allow_insecure_hosts)
        names = tuple(model.model_fields)
        known = {name: value for name, value in self.query if name in names}
        return validated(model, known, context, list(unsound(known)), self._strangers(names))

    def nothing(self) -> None:
        """Raise ValidationFailed unless both body and query are empty."""
        self.body(Nothing)

    def options(self, *names: str) -> Mapping[str, str]:
        """The query's values by name. Raises ValidationFailed for a name that is not among these, or given twice."""
        if errors := self._strangers(names):
            raise ValidationFailed(errors)
        return dict(self.query)

    def page(self, *names: str) -> tuple[Page, Mapping[str, str]]:
        """Which page is asked for, and the other values. Raises ValidationFailed."""
        options = self.options("limit", "cursor", *names)
        return page(options), {name: value for name, value in options.items() if name in names}

    def _strangers(self, names: Sequence[str]) -> list[dict[str, str]]:
        given = [name for name, _ in self.query]
        unknown = [{"field": name, "message": "unknown"} for name in dict.fromkeys(given) if name not in names]
        twice = [{"field": name, "message": "given twice"} for name in names if given.count(name) > 1]
        return unknown + twice

    async def ask(self, command: Command, seconds: float = ASK_SECONDS, service: str = "dispatcher") -> Verdict:
        """The command was carried out, and its effect can be read by whoever reads next.

        Raises Rejected where the deciding service refuses, Late where it says nothing in time, Unavailable where
        nothing could be accepted.
        """
        gateway = self.gateway
        if self.held is not None:
            await self.held.note(command.command_id)
        verdict = await gateway.bus.ask(command, service, await self._seen(), seconds, self.asker)
        if verdict.status == "accepted":
            raise Late(command.command_id)
        await self._show(verdict.position)
        if verdict.status == "rejected":
            raise Rejected(verdict)
        return verdict

    async def decide(
        self, aggregate: Aggregate[S], id_: object, decide: Callable[[S], Sequence[Event]], cause: UUID
    ) -> None:
        """What is the api's own to decide is recorded, and can be read by whoever reads next. Raises Refused."""
        done = await self.gateway.log.transact(self.account_id, aggregate, id_, decide, cause=cause)
        await self._show(done.position)

    async def _show(self, position: int) -> None:
        """The effect can be read, and the answer says where it stands."""
        await self.reach(position)
        self.headers["Outrider-Position"] = str(max(position, self.gateway.reader.position))

    async def _seen(self) -> int:
        """Up to where the decision must have read; never further than the log, or nobody could ever decide."""
        gateway = self.gateway
        if self.seen <= gateway.reader.position:
            return gateway.reader.position
        return min(self.seen, await gateway.log.last_position())

    async def reach(self, position: int) -> None:
        """Our tables stand there, or the answer says by how many events they are behind."""
        reader = self.gateway.reader
        if not await reader.reach(position, REACH_SECONDS):
            self.headers["Outrider-Read-Behind"] = str(max(1, position - reader.position))

    def answer(self, body: object, status: int = 200) -> Response[bytes]:
        """The body as JSON; ids and UTC times as the API shows them."""
        return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")

    def rows(self, rows: Sequence[Mapping[str, object]], cursor: str | None) -> Response[bytes]:
        """A page of a list, with the way to the next one. RFC 8288."""
        if cursor is not None:
            self.link_next("cursor", cursor)
        return self.answer(rows)

    def link_next(self, name: str, value: str) -> None:
        """The answer says where its next page is: the same call with this value of the query."""
        query = urlencode([*(pair for pair in self.query if pair[0] != name), (name, value)])
        self.headers["Link"] = f'<{self.path}?{query}>; rel="next"'

    def done(self) -> Response[bytes]:
        """204."""
        return Response(b"", status_code=204)


Asked = Request[Call, None, State]
"""What a handler gets; its `user` is the Call."""
