"""`GET /asyncapi.json`: what NATS subscribers get, as programs read it. Made of the declarations by `make docs`."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

from litestar import Response, get
from pydantic import BaseModel

from outrider.api.describing import tells
from outrider.api.gateway import Asked

PUBLIC: Final = {"rule": {"door": "public"}}


class Document(BaseModel):
    """An AsyncAPI document."""

    asyncapi: str
    info: dict[str, Any]
    channels: dict[str, Any]
    operations: dict[str, Any]
    components: dict[str, Any]


@get("/asyncapi.json", opt=PUBLIC | tells(Document))
async def show_asyncapi(request: Asked) -> Response[bytes]:
    """Every event, its subject and its fields. AsyncAPI 3."""
    request.user.options()
    return Response(_document(), media_type="application/json")


@cache
def _document() -> bytes:
    return (files("outrider.api") / "asyncapi.json").read_bytes()


ROUTES = (show_asyncapi,)
