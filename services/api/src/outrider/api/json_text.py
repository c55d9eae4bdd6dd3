"""JSON as it comes from outside: stricter than `json.loads`, and what is unsound in it named by field."""

import json
import json.scanner
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from outrider.api.problems import BadRequest

Path = tuple[str | int, ...]
LARGE_BYTES: Final = 256 * 1024
"""What is made of a body of more is made beside the event loop."""


_SCANNER: Final[Any] = vars(json.scanner)["py_make_scanner"]
"""The standard library's own, which no stub names."""


class _GivingWay(json.JSONDecoder):
    """Scans in Python: other threads run between any two values, while the scanner in C holds the GIL to its end."""

    def __init__(self, **hooks: Any) -> None:  # as `json.loads` hands them on
        super().__init__(**hooks)
        self.scan_once = _SCANNER(self)


def parse(body: bytes) -> object:
    """The value of a JSON text; `{}` where there is none. A large one gives way to other threads.

    Raises BadRequest for broken JSON or UTF-8, NaN and Infinity (also as 1e999), and duplicate keys.
    """
    if not body:
        return {}
    try:
        text = body.decode()
        return json.loads(
            text,
            cls=_GivingWay if len(body) > LARGE_BYTES else None,
            object_pairs_hook=_no_twins,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise BadRequest(reason="the body is not UTF-8", offset=error.start) from None
    except json.JSONDecodeError as error:
        raise BadRequest(reason=error.msg, line=error.lineno, column=error.colno) from None
    except RecursionError:
        raise BadRequest(reason="nested too deeply") from None
    except ValueError as error:  # of the hooks, or a number of thousands of digits
        raise BadRequest(reason=str(error)[:100]) from None


def _no_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def field_name(path: Path) -> str:
    """How an answer names a field: ``campaign.smtp_credentials[0].smtp_port``."""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return _sound(name)


def unsound(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text in the value that no database or mail can hold, with its path: NUL, lone surrogates."""
    match value:
        case str():
            if message := _flaw(value):
                yield path, message
        case dict():
            for key, inner in cast("Mapping[str, object]", value).items():
                if message := _flaw(key):
                    yield (*path, key), f"its name {message}"
                yield from unsound(inner, (*path, key))
        case list():
            for number, inner in enumerate(cast("list[object]", value)):
                yield from unsound(inner, (*path, number))
        case _:
            return


def mended(value: object) -> object:
    """The value with its unsound texts made sound, so that the rest can be judged too."""
    match value:
        case str():
            return _sound(value)
        case dict():
            return {_sound(key): mended(inner) for key, inner in cast("Mapping[str, object]", value).items()}
        case list():
            return [mended(inner) for inner in cast("list[object]", value)]
        case _:
            return value


def _flaw(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character"
    return None if _encodes(text) else "holds a lone surrogate"


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _sound(text: str) -> str:
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
