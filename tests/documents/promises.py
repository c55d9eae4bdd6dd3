"""The promises of the HTTP contract, and whether the tests that are said to prove them exist.

One file a chapter in tests/promises. What is promised stands there in our own words, with the lines of the contract
that it comes from: `seed:17` is a line of the page that the product was asked for with, `API:42` one of the contract.
"""

import ast
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests/promises"


class Promise(BaseModel):
    """One sentence that clients may rely on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    says: str = Field(min_length=1)
    source: tuple[str, ...] = Field(min_length=1)
    tests: tuple[str, ...]
    limit: str | None = None
    """Where it is not kept (as a whole): words of README's Limits that say so."""


class Chapter(BaseModel):
    """What is promised about one thing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: int
    title: str
    promise: tuple[Promise, ...]


def chapters(folder: Path = FOLDER) -> Sequence[Chapter]:
    """All of them, in the order of the page."""
    found = [Chapter.model_validate(tomllib.loads(path.read_text("utf-8"))) for path in folder.glob("*.toml")]
    return sorted(found, key=lambda one: one.order)


def problems(found: Sequence[Chapter], limits: str) -> Iterator[str]:
    """What is wrong: a promise without a test, a test that there is not, a limit that README's `limits` do not name."""
    said: set[str] = set()
    for promise in (promise for chapter in found for promise in chapter.promise):
        if promise.says in said:
            yield f"said twice: {promise.says}"
        said.add(promise.says)
        if not promise.tests and promise.limit is None:
            yield f"no test: {promise.says}"
        if promise.limit is not None and " ".join(promise.limit.split()) not in " ".join(limits.split()):
            yield f"README's Limits do not say {promise.limit!r}: {promise.says}"
        for test in promise.tests:
            path, _, name = test.partition("::")
            if name.partition("[")[0] not in tests_in(ROOT / path):
                yield f"no such test: {test}"


@cache
def tests_in(path: Path) -> frozenset[str]:
    """The names of the tests of a file, read and not run; none of a file that is not there."""
    if not path.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text("utf-8"))
    return frozenset(one.name for one in tree.body if isinstance(one, functions) and one.name.startswith("test_"))


def limits_of(readme: str) -> str:
    """The section of a README that says what is not there yet."""
    return readme.partition("\n## Limits\n")[2].partition("\n## ")[0]


def uncovered(name: str, text: str, found: Sequence[Chapter]) -> Mapping[int, str]:
    """The lines of a text, by number, that say something and are the source of no promise."""
    sources = {source for chapter in found for promise in chapter.promise for source in promise.source}
    lines = enumerate(text.splitlines(), 1)
    return {number: line for number, line in lines if _says_something(line) and f"{name}:{number}" not in sources}


def _says_something(line: str) -> bool:
    """Neither empty, nor a heading, nor the rule below the head of a table."""
    return not line.startswith("#") and any(sign.isalnum() for sign in line)
