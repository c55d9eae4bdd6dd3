"""The HTTP application: every route, Litestar around them, and the front before it."""

from collections.abc import Sequence
from functools import cache

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

from outrider.api import (
    accounts,
    asyncapi,
    campaigns,
    commands,
    contact_imports,
    contacts,
    credentials,
    enrollments,
    erasures,
    events,
    explaining,
    exporting,
    forecasting,
    health,
    histories,
    outreaches,
    previewing,
    reclassifying,
    reference,
    sending_tests,
    sends,
    sequence_steps,
    suppressions,
    tracking,
)
from outrider.api.description import document
from outrider.api.front import Front
from outrider.api.gateway import Call, Gateway
from outrider.api.problems import answered
from outrider.api.reference_page import page
from outrider.api.webhooks import routes as webhooks

ROUTES: Sequence[HTTPRouteHandler] = (
    *accounts.ROUTES,
    *contact_imports.ROUTES,
    *contacts.ROUTES,
    *erasures.ROUTES,
    *campaigns.ROUTES,
    *credentials.ROUTES,
    *sequence_steps.ROUTES,
    *enrollments.ROUTES,
    *histories.ROUTES,
    *explaining.ROUTES,
    *exporting.ROUTES,
    *events.ROUTES,
    *previewing.ROUTES,
    *reclassifying.ROUTES,
    *sending_tests.ROUTES,
    *forecasting.ROUTES,
    *outreaches.ROUTES,
    *sends.ROUTES,
    *suppressions.ROUTES,
    *tracking.ROUTES,
    *webhooks.ROUTES,
    *commands.ROUTES,
    *health.ROUTES,
    *reference.ROUTES,
    *asyncapi.ROUTES,
)


def make_app(gateway: Gateway) -> Front:
    """The application that uvicorn serves."""
    inner = Litestar(
        list(ROUTES),
        openapi_config=None,  # ours is made of what the routes and the front enforce
        state=State({"description": _description, "page": _page}),
        exception_handlers={Exception: _respond},
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )
    return Front(inner, gateway, commands.outcome)


@cache
def _description() -> bytes:
    return msgspec.json.encode(document(ROUTES))


@cache
def _page() -> bytes:
    return page(document(ROUTES))


def _respond(_: Request[Call, None, State], error: Exception) -> Response[bytes]:
    said = answered(error)
    return Response(said.content(), status_code=said.status, media_type=said.media_type, headers=dict(said.headers))
