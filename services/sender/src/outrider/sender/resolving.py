"""Resolving: a message of which it is not known whether a server took it is settled, by a person or by an answer."""

from datetime import UTC, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from outrider.events.clock import Clock
from outrider.events.commands import Answer
from outrider.events.delivery import DeliveryStarted, ResolveSend, SendInFlight
from outrider.events.errors import Conflict, NotYet
from outrider.events.log import Log, Write
from outrider.events.message import Event
from outrider.events.todo import Todo
from outrider.sender.delivery import Delivery, delivery, resolve
from outrider.sender.quota import day_id, quota_day, release

KIND: Final = "settle_answered"
AGAIN_SECONDS: Final = 30.0


class Resolving:
    """Settles what is unknown."""

    def __init__(self, log: Log, clock: Clock, settle_seconds: float) -> None:
        """`settle_seconds` after its start (real time) an outcome can no longer come by itself."""
        self._log = log
        self._clock = clock
        self._patience = timedelta(seconds=settle_seconds)

    async def on_resolve_send(self, command: ResolveSend) -> Answer:
        """The message counts as sent; or it is free to be sent again, and its place on the credential's day too.

        Raises SendNotFound, SendInFlight, SendAlreadyResolved.
        """
        stream = delivery.stream(command.delivery_id)
        body = {"id": str(command.delivery_id)}
        while True:
            history = await self._log.read_stream(command.account_id, stream)
            for item in history:
                if item.cause == command.command_id:
                    return Answer(body, position=item.position)
            state = delivery.fold(item.event for item in history)
            events = resolve(command.outcome, self._clock.now(), state)
            writes = [Write(stream, len(history), events, command.command_id)]
            if command.outcome == "not_sent" and state.started is not None:
                begun = max(item.recorded_at for item in history if isinstance(item.event, DeliveryStarted))
                if self._clock.real() < begun + self._patience:
                    raise SendInFlight(not_before=(begun + self._patience).astimezone(UTC).isoformat())
                writes.append(_release(state.started, command.command_id))
            try:
                recorded = await self._log.append(command.account_id, *writes)
            except Conflict:
                continue
            return Answer(body, position=recorded.position)

    async def settle_answered(self, todo: Todo) -> None:
        """Somebody answered the message, or it came back: a server took it. Nothing where that is known."""
        if todo.owner is None:
            return
        stream = delivery.stream(todo.owner)
        state = delivery.fold(item.event for item in await self._log.read_stream(todo.account_id, stream))
        if state.status == "started":
            raise NotYet(AGAIN_SECONDS)  # its own outcome says more, if it comes
        if state.status == "unknown":
            await self._log.transact(
                todo.account_id,
                delivery,
                todo.owner,
                partial(_answered, self._clock),
                cause=uuid5(todo.owner, f"answered {todo.key}"),
            )


def _answered(clock: Clock, state: Delivery) -> list[Event]:
    return list(resolve("sent", clock.now(), state)) if state.status == "unknown" else []


def _release(started: DeliveryStarted, cause: UUID) -> Write:
    day = quota_day.stream(day_id(started.credential_id, started.day))
    given = release(started.credential_id, started.day, started.delivery_id, counted=started.counted)
    return Write(day, None, [given], cause)
