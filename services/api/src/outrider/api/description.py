"""The OpenAPI 3.1 description of every route, made of what the routes declare and the front enforces."""

from collections.abc import Iterable
from importlib.metadata import version

from litestar.handlers import HTTPRouteHandler

from outrider.api.describing import Schema
from outrider.api.description_operations import operations
from outrider.api.description_schemas import Schemas
from outrider.api.description_text import ANSWERED_WITH, CONVENTIONS, DOORS


def document(handlers: Iterable[HTTPRouteHandler]) -> Schema:
    """The whole document. Raises Undescribed where a route says nothing of itself."""
    schemas = Schemas()
    paths: dict[str, Schema] = {}
    tags: dict[str, str] = {}
    for operation in (one for handler in handlers for one in operations(handler)):
        tags.setdefault(operation.tag, operation.tag_says)
        paths.setdefault(operation.path, {})[operation.method.lower()] = operation.described(schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Outrider",
            "version": version("outrider-api"),
            "description": CONVENTIONS,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in tags.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.found.items())),
            "headers": ANSWERED_WITH,
            "securitySchemes": DOORS,
        },
    }
