"""JSON Schemas of bodies and answers from their pydantic models, and an example of each, made from its fields."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, cast

from pydantic import BaseModel

from outrider.api.answers import Accepted
from outrider.api.bodies import Body
from outrider.api.describing import Schema
from outrider.api.description_examples import BY_FORMAT, BY_NAME, BY_TYPE

REF: Final = "#/components/schemas/"
BOUNDS: Final = {"ge": "minimum", "le": "maximum"}
Mode = Literal["validation", "serialization"]


class Schemas:
    """The document's components: every schema stands there once, by its model's name."""

    def __init__(self) -> None:
        """Nothing is found yet."""
        self.found: dict[str, Schema] = {}

    @property
    def accepted(self) -> Schema:
        """Of an answer whose verdict comes later."""
        return self.answer(Accepted)

    def answer(self, model: type[BaseModel]) -> Schema:
        """A reference to what is answered."""
        return self._kept(model, "serialization")

    def body(self, model: type[Body], optional: Sequence[str] = ()) -> Schema:
        """A reference to what is sent; the schema itself where the route fills in some of its fields."""
        if not optional:
            return self._kept(model, "validation")

        def filled_in(inner: Schema) -> None:
            inner["required"] = [one for one in inner["required"] if one not in optional]

        return self._with_inner(model, filled_in)

    def change(self, model: type[Body]) -> Schema:
        """What is sent to change something: what is left out stays, so nothing is required or has a default."""

        def loosened(inner: Schema) -> None:
            inner.pop("required", None)
            for field in inner.get("properties", {}).values():
                field.pop("default", None)

        return self._with_inner(model, loosened)

    def resolved(self, schema: Schema) -> Schema:
        """What a reference refers to."""
        return self.found[schema["$ref"].removeprefix(REF)] if "$ref" in schema else schema

    def _with_inner(self, model: type[Body], edit: Callable[[Schema], None]) -> Schema:
        """The wrapper's schema, with a copy of the resource's in it that was edited."""
        wrapper = copy.deepcopy(_schema(model, "validation"))
        self._keep(wrapper.pop("$defs", {}))
        for name, field in wrapper["properties"].items():
            inner = copy.deepcopy(self.resolved(field))
            edit(inner)
            wrapper["properties"][name] = inner
        return wrapper

    def _kept(self, model: type[BaseModel], mode: Mode) -> Schema:
        if model.__name__ not in self.found:
            schema = copy.deepcopy(_schema(model, mode))
            self._keep(schema.pop("$defs", {}))
            self._keep({model.__name__: schema})
        return {"$ref": f"{REF}{model.__name__}"}

    def _keep(self, schemas: Mapping[str, Schema]) -> None:
        for name, schema in schemas.items():
            known = self.found.setdefault(name, schema)
            if known != schema:
                raise ValueError(f"two schemas are named {name}")


@cache
def _schema(model: type[BaseModel], mode: Mode) -> Schema:
    return cast("Schema", _plain(model.model_json_schema(mode=mode, ref_template=REF + "{model}")))


def _plain(value: object) -> object:
    """Without titles that repeat a field's name; bounds of what has a validator of its own by their JSON names."""
    match value:
        case dict():
            fields = cast("Mapping[str, object]", value).items()
            return {
                BOUNDS.get(key, key): _plain(one)
                for key, one in fields
                if not (key == "title" and isinstance(one, str))
            }
        case list():
            return [_plain(one) for one in cast("list[object]", value)]
        case _:
            return value


def exemplified(schema: Schema, known: Mapping[str, Schema], name: str = "") -> Any:  # noqa: ANN401, C901, PLR0911  # JSON; a table
    """A value that the schema describes: by the field's name, its format or its type."""
    if "$ref" in schema:
        return exemplified(known[schema["$ref"].removeprefix(REF)], known, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if schema.get("format") in {"date", "date-time"}:
        return BY_FORMAT[schema["format"]]
    of_objects = any("$ref" in one for one in schema.get("anyOf", ()))
    fits = isinstance(BY_NAME.get(name), _PYTHON[kind]) if kind else not (of_objects and name in NUMBERS)
    if name in BY_NAME and fits:
        return BY_NAME[name]
    if schema.get("format") in BY_FORMAT:
        return BY_FORMAT[schema["format"]]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return exemplified(schema[key][0], known, name)
    if kind == "object" and "properties" in schema:
        shown = {field: one for field, one in schema["properties"].items() if not one.get("readOnly")}
        return {field: exemplified(one, known, field) for field, one in shown.items()}
    if kind == "object":
        inner: Schema | bool = schema.get("additionalProperties", False)
        return {"1": exemplified(inner, known, name)} if isinstance(inner, dict) else {}
    if kind == "array":
        return [exemplified(schema.get("items", {}), known, name.removesuffix("s"))]
    return schema.get("default", BY_TYPE.get(kind or "", "..."))


NUMBERS: Final = frozenset(name for name, value in BY_NAME.items() if isinstance(value, int))
"""Names of numbers, which elsewhere may be names of objects."""
_PYTHON: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
