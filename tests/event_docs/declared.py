"""What the declarations say: writers, fields with their docstrings and units, and the stored samples."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import models_json_schema

import outrider.events
from outrider.events.catalogue import EVENTS
from outrider.events.message import Event, Message

HERE: Final = Path(__file__).resolve().parents[2]
SAMPLES: Final = HERE / "tests/contract/events"
REF: Final = "#/components/schemas/"
UNITS: Final = {
    "_seconds": "seconds",
    "_minutes": "minutes",
    "_at": "UTC",
    "_until": "UTC",
    "until": "UTC",
    "at": "UTC",
    "day": "UTC day",
    "_percent": "percent",
    "_threshold": "percent",
}
"""By how the name of a field ends."""
OWNED: Final = re.compile(r"\('(\w+)', 'outrider_(\w+)'\)")


@dataclass(frozen=True)
class Field:
    """One field of an event."""

    name: str
    type: str
    unit: str
    meaning: str


def unlisted() -> Sequence[str]:
    """Events that are declared and do not stand in the catalogue; what others are made from is no event."""
    for module in pkgutil.iter_modules(outrider.events.__path__):
        importlib.import_module(f"outrider.events.{module.name}")
    declared = {kind for kind in Event.types.values() if kind.__module__.startswith("outrider.events.")}
    return sorted(kind.name for kind in declared - set(EVENTS) if not kind.__subclasses__())


def writers() -> Mapping[str, str]:
    """The service that writes each category, as the database enforces it."""
    folder = files("outrider.events") / "schema"
    texts = [place.read_text(encoding="utf-8") for place in folder.iterdir() if place.name.endswith(".sql")]
    return {category: role.replace("_", "-") for text in texts for category, role in OWNED.findall(text)}


def sample(kind: type[Event]) -> Mapping[str, Any]:
    """What is stored of this version for ever."""
    found: Mapping[str, Any] = json.loads((SAMPLES / f"{kind.name}.v{kind.version}.json").read_text(encoding="utf-8"))
    return found


def unit(name: str) -> str:
    """What a field counts; empty for what is no quantity."""
    return next((text for end, text in UNITS.items() if name == end.strip("_") or name.endswith(end)), "")


def schemas() -> dict[str, Any]:
    """A JSON schema of every event and of every value in one, with what the docstrings say of their fields."""
    _, found = models_json_schema([(kind, "serialization") for kind in EVENTS], ref_template=REF + "{model}")
    defined: dict[str, Any] = found["$defs"]
    for kind in _messages():
        if kind.__name__ in defined:
            for name, said in defined[kind.__name__].get("properties", {}).items():
                said.pop("title", None)
                if meaning := docstrings(kind).get(name):
                    said["description"] = meaning
                if counted := unit(name):
                    said["x-unit"] = counted
    return dict(sorted(defined.items()))


def fields(kind: type[Event], defined: Mapping[str, Any]) -> Sequence[Field]:
    """Each field, with its type as a person reads it."""
    properties: Mapping[str, Any] = defined[kind.__name__].get("properties", {})
    return [
        Field(name, _type(said), said.get("x-unit", ""), said.get("description", ""))
        for name, said in properties.items()
    ]


@cache
def docstrings(kind: type) -> Mapping[str, str]:
    """What stands under the fields of a class and of those that it is made from."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if issubclass(one, Message) and one.__module__.startswith("outrider."):
            found |= _of_module(one.__module__).get(one.__name__, {})
    return found


@cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            fields_of = found.setdefault(node.name, {})
            for line, below in zip(node.body, node.body[1:], strict=False):
                match line, below:
                    case ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text))):
                        fields_of[field] = inspect.cleandoc(text).replace("\n", " ")
                    case _:
                        pass
    return found


def _messages() -> Sequence[type[Message]]:
    """Every class of a message, values within events included."""
    found: list[type[Message]] = []
    left: list[type[Message]] = [Message]
    while left:
        kind = left.pop()
        found.append(kind)
        left += kind.__subclasses__()
    return found


def _type(said: Mapping[str, Any]) -> str:
    if "$ref" in said:
        return str(said["$ref"]).removeprefix(REF)
    if "anyOf" in said:
        return " or ".join(_type(one) for one in said["anyOf"])
    if "enum" in said:
        return ", ".join(f"`{one}`" for one in said["enum"])
    if "const" in said:
        return f"`{said['const']}`"
    if said.get("type") == "array":
        items: Mapping[str, Any] = said.get("items", {})
        return f"list of {_type(items)}" if items else "list"
    return str(said.get("format") or said.get("type") or "any")
