"""`python -m tests.http_bench.bare ADDRESS FILE`: what a gateway cannot beat, one Litestar route that does nothing.

`GET /bare` answers the bytes of the file; `POST /bare` parses its JSON body and answers 201 with an id.
"""

import contextlib
import logging
import sys
from collections.abc import Generator
from pathlib import Path

import msgspec
import uvicorn
import uvloop
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State

JSON = "application/json"


class _Server(uvicorn.Server):
    """As the gateway's: signals are left alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone."""
        yield


def application(shown: bytes) -> Litestar:
    """Two routes."""

    @get("/bare")
    async def show() -> Response[bytes]:
        return Response(shown, media_type=JSON)

    @post("/bare")
    async def create(request: Request[object, object, State]) -> Response[bytes]:
        body = msgspec.json.decode(await request.body())
        return Response(msgspec.json.encode({"id": "1", "status": str(len(body))}), status_code=201, media_type=JSON)

    return Litestar([show, create], openapi_config=None)


def main() -> None:
    """Serve until it is ended."""
    logging.disable(logging.INFO)
    host, _, port = sys.argv[1].rpartition(":")
    config = uvicorn.Config(
        application(Path(sys.argv[2]).read_bytes()),
        host=host,
        port=int(port),
        loop="none",
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvloop.run(_Server(config).serve())


if __name__ == "__main__":
    main()
