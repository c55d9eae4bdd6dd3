"""Reclassifying: a message was taken for something that it is not, and what followed from it is undone."""

import asyncio
from typing import Final
from uuid import UUID

from litestar import Response, post

from outrider.api.answers_people import EnrollmentShown
from outrider.api.bodies import ReclassifyBody
from outrider.api.describing import tells
from outrider.api.enrollments import find, shown
from outrider.api.gateway import Asked, Call
from outrider.events.ids import new_id
from outrider.events.inbound import InboundEventNotFound, ReclassifyInbound
from outrider.events.message import Json

FOLLOWED_SECONDS: Final = 3.0
"""How long the answer waits until what follows is recorded too: the dispatcher decides that behind the command."""
OPEN: Final = "select reclassified is not null from enrollments where enrollment_id = $1"
_POLL_SECONDS: Final = 0.05


@post(
    "/enrollments/{enrollment_id:str}/reclassify",
    status_code=200,
    opt=tells(EnrollmentShown, body=ReclassifyBody, refuses=[InboundEventNotFound]),
)
async def reclassify(request: Asked, enrollment_id: str) -> Response[bytes]:
    """The enrollment as it stands with the right verdict."""
    call = request.user
    row = await find(call, enrollment_id)
    body = call.body(ReclassifyBody)
    command = ReclassifyInbound(
        command_id=new_id(),
        account_id=call.account_id,
        enrollment_id=row["enrollment_id"],
        event=body.event,
        verdict=body.verdict,
    )
    verdict = await call.ask(command, service="reply_watcher")
    return call.answer(await presented(call, verdict.body or {}))


async def presented(call: Call, body: Json) -> Json:
    """The enrollment as its GET shows it."""
    await _followed(call, UUID(body["id"]))
    return await shown(call, await find(call, body["id"]))


async def _followed(call: Call, enrollment: UUID) -> None:
    """What follows from the verdict can be read, or three seconds have passed."""
    loop = asyncio.get_running_loop()
    until = loop.time() + FOLLOWED_SECONDS
    while loop.time() < until and await call.gateway.tables.fetchval(OPEN, enrollment):  # noqa: ASYNC110  # it lies in Postgres
        await asyncio.sleep(_POLL_SECONDS)


ROUTES = (reclassify,)
