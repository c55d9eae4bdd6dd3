"""The reply-watcher's one command: somebody has looked at a message, and it is something else."""

from outrider.events.clock import Clock
from outrider.events.commands import Answer
from outrider.events.errors import Conflict
from outrider.events.inbound import ReclassifyInbound
from outrider.events.log import Log, Write
from outrider.reply_watcher.reclassifying import heard, led_to, reclassify


class Correcting:
    """Records that verdicts were wrong."""

    def __init__(self, log: Log, clock: Clock) -> None:
        """`clock` says when."""
        self._log = log
        self._clock = clock

    async def on_reclassify(self, command: ReclassifyInbound) -> Answer:
        """200 once the gate of the enrollment's answers stands as the new verdict wants it.

        The event is the message's own, or the one by which it ended the enrollment. Raises InboundEventNotFound.
        """
        stream, body = command.target, {"id": str(command.enrollment_id)}
        while True:
            history = await self._log.read_stream(command.account_id, stream)
            for item in history:
                if item.cause == command.command_id:
                    return Answer(body, position=item.position)
            messages = heard(history)
            ends = await self._log.read_stream(command.account_id, f"enrollment-{command.enrollment_id}")
            end = next((item for item in ends if item.position == command.event), None)
            position = None if end is None else led_to(end, messages)
            events = reclassify(command, position or command.event, self._clock.now(), messages)
            if not events:
                return Answer(body, position=history[-1].position)
            try:
                recorded = await self._log.append(
                    command.account_id, Write(stream, len(history), events, command.command_id)
                )
            except Conflict:
                continue
            return Answer(body, position=recorded.position)
