"""Which to-do is carried out by whom: the other table of contents."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from outrider.dispatcher.closing import close_account
from outrider.dispatcher.desk import Desk
from outrider.dispatcher.dispatching import plan_batch
from outrider.dispatcher.enrolling import free_contact
from outrider.dispatcher.enrolling_imports import enroll_chunk
from outrider.dispatcher.handing_over import replace_credentials
from outrider.dispatcher.importing import delete_import, import_chunk
from outrider.dispatcher.mx import MxResolver
from outrider.dispatcher.plans import OPEN_PLAN, open_plan
from outrider.dispatcher.respacing import await_return, respace, respace_late
from outrider.dispatcher.setting_right import correct_enrollment
from outrider.dispatcher.stopping import (
    complete_campaign,
    delete_campaign,
    finish_enrollment,
    judge_credential,
    pause_campaign,
    reopen_step,
    stop_contact,
    stop_enrollment,
)
from outrider.dispatcher.telling import AGAIN_SECONDS, lanes, send_step
from outrider.events.bus import Bus
from outrider.events.drain import Do, Drain
from outrider.events.todo import Todo

One = Callable[[Desk, Todo], Awaitable[None]]


def drains(desk: Desk, bus: Bus, resolver: MxResolver) -> list[Drain]:
    """Every kind of to-do of this service."""

    def slow(kind: str, do: Callable[[Todo], Awaitable[None]]) -> Drain:
        return Drain(kind, _together(do), desk.work, desk.clock, batch=1)

    def quick(kind: str, do: One) -> Drain:
        return Drain(kind, _together(partial(do, desk)), desk.work, desk.clock)

    return [
        slow("import_chunk", partial(import_chunk, desk)),
        slow("delete_import", partial(delete_import, desk)),
        slow("enroll_chunk", partial(enroll_chunk, desk)),
        slow("plan_batch", partial(plan_batch, desk, resolver)),
        slow("retime", partial(respace, desk)),
        slow("delete_campaign", partial(delete_campaign, desk)),
        slow("close_account", partial(close_account, desk)),
        quick("stop_contact", stop_contact),
        quick("free_contact", free_contact),
        quick("stop_enrollment", stop_enrollment),
        quick("finish_enrollment", finish_enrollment),
        quick("reopen_step", reopen_step),
        quick("correct_enrollment", correct_enrollment),
        quick("await_return", await_return),
        quick("complete_campaign", complete_campaign),
        quick("judge_credential", judge_credential),
        quick("replace_credentials", replace_credentials),
        quick("pause_campaign", pause_campaign),
        quick(OPEN_PLAN, open_plan),
        Drain("retime_late", partial(respace_late, desk), desk.work, desk.clock, batch=250),
        Drain(
            "send_step",
            partial(send_step, desk, bus),
            desk.work,
            desk.clock,
            batch=100,
            again_seconds=AGAIN_SECONDS,
            lanes=partial(lanes, desk),
        ),
    ]


def _together(do: Callable[[Todo], Awaitable[None]]) -> Do:
    """Those that were claimed together at once; each is safe to run twice, so one failure brings all of them again."""

    async def do_all(todos: Sequence[Todo]) -> None:
        await asyncio.gather(*(do(todo) for todo in todos))

    return do_all
