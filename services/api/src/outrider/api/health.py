"""Whether it lives, and whether it can work. Public; what exactly is wrong stays on the internal listener."""

from litestar import Response, get

from outrider.api.answers import Health
from outrider.api.describing import tells
from outrider.api.gateway import Asked

PUBLIC = {"rule": {"door": "public"}}


@get("/health/live", opt=PUBLIC | tells(Health))
async def live(request: Asked) -> Response[bytes]:
    """The process answers."""
    return request.user.answer({"status": "live"})


@get("/health/ready", opt=PUBLIC | tells(Health, also={503: Health}))
async def ready(request: Asked) -> Response[bytes]:
    """Its servers answer and its tables are kept up."""
    trouble = await request.user.gateway.trouble()
    return request.user.answer({"status": "not ready" if trouble else "ready"}, 503 if trouble else 200)


ROUTES = (live, ready)
