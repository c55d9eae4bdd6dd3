"""The description of this API: for programs, and as a page."""

import asyncio
from typing import Any

from litestar import Response, get
from pydantic import BaseModel

from outrider.api.describing import tells
from outrider.api.gateway import Asked
from outrider.api.reference_page import SAFE

PUBLIC = {"rule": {"door": "public"}}


class Description(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


@get("/openapi.json", opt=PUBLIC | tells(Description))
async def show_description(request: Asked) -> Response[bytes]:
    """Every route in OpenAPI 3.1."""
    content: bytes = await asyncio.to_thread(request.app.state.description)
    return Response(content, media_type="application/json")


@get("/docs", opt=PUBLIC | tells(media=["text/html"]))
async def show_page(request: Asked) -> Response[bytes]:
    """The same as a page to read."""
    content: bytes = await asyncio.to_thread(request.app.state.page)
    return Response(content, media_type="text/html", headers=SAFE)


ROUTES = (show_description, show_page)
