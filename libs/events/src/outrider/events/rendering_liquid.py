"""Liquid as we allow it: the seam to python-liquid, and the bounds within which a template can neither hang nor swell.

All fields are scalars, so there is nothing to loop over: no `for`, no ranges, no includes, no files, no clock. What is
left runs each tag at most once; filters are bounded by what they read and write. Deterministic, unlike a timeout: what
passed the check once passes on every machine.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Final

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import FilterError, LiquidError, ResourceLimitError
from liquid.filter import with_context

MOST_TAGS: Final = 500
LONGEST_TAG: Final = 500
LONGEST_GAP: Final = 40
"""Blanks in a row inside a tag: the lexer's time grows with their square."""

LONGEST_VALUE: Final = 64 * 1024
"""Characters, or items of a list, that a filter may answer."""

LARGEST_NUMBER: Final = 10**18
MOST_FILTERED: Final = 1_000_000
"""Characters that all filters of one rendering together may read and write."""

LARGEST_OUTPUT: Final = 1024 * 1024
"""Octets of one rendered part."""

_OPENING: Final = re.compile(r"\{\{|\{%")
_GAP: Final = re.compile(rf"\s{{{LONGEST_GAP + 1}}}")
_NO_TAGS: Final = (
    *("for", "break", "continue", "tablerow", "cycle", "ifchanged", "increment", "decrement"),
    *("include", "render", "liquid", "doc"),
)
_TEXT_FILTERS: Final = (
    *("append", "capitalize", "default", "downcase", "escape", "escape_once", "lstrip", "newline_to_br", "prepend"),
    *("remove", "remove_first", "remove_last", "replace", "replace_first", "replace_last", "rstrip", "size", "slice"),
    *("squish", "strip", "strip_newlines", "truncate", "truncatewords", "upcase", "url_decode", "url_encode"),
    *("first", "join", "last", "split"),
)  # not `safe` and base64: they could undo the escaping; not `date`: it reads the clock
_NUMBER_FILTERS: Final = (
    *("abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "times"),
)
_FILTERS: Final = frozenset((*_TEXT_FILTERS, *_NUMBER_FILTERS))


class BadSyntax(ValueError):
    """The source is no template, or asks for what we do not allow; `index` is where in the source."""

    def __init__(self, message: str, index: int) -> None:
        """Keep what is wrong, and where."""
        super().__init__(message)
        self.message = message
        self.index = index


class Reference:
    """A field or filter that the source mentions, and where."""

    __slots__ = ("index", "path")

    def __init__(self, path: tuple[object, ...], index: int) -> None:
        """Keep both; a segment that is no string or number was computed."""
        self.path = path
        self.index = index

    def __str__(self) -> str:
        """The path as an author would write it."""
        return ".".join(str(one) if isinstance(one, (str, int)) else "[...]" for one in self.path)


class Part:
    """One compiled source: a subject or a body."""

    __slots__ = ("_template",)

    def __init__(self, source: str, *, html: bool) -> None:
        """Parse it once; raises BadSyntax."""
        _look_over(source)
        try:
            self._template: BoundTemplate = (_HTML if html else _PLAIN).from_string(source)
        except LiquidError as error:
            raise _located(error) from error
        _refuse_ranges(self._template)

    def render(self, fields: Mapping[str, object]) -> str:
        """The rendered text; raises BadSyntax where a filter cannot work on the values or a bound is reached."""
        try:
            return self._template.render(**fields)
        except LiquidError as error:
            raise _located(error) from error
        except UnicodeError:
            raise BadSyntax("half of a surrogate pair is no character", 0) from None

    def mentions(self) -> tuple[list[Reference], list[Reference]]:
        """Every variable that the source reads without setting it, and every filter of it that does not exist."""
        found = self._template.analyze()
        fields = [Reference(tuple(one.segments), one.span.index) for uses in found.globals.values() for one in uses]
        unknown = [
            Reference((name,), one.index)
            for name, uses in found.filters.items()
            for one in uses
            if name not in _FILTERS
        ]
        return fields, unknown


class _Bounded(Environment):
    """Liquid without loops and files, every filter bounded."""

    output_stream_limit = LARGEST_OUTPUT
    local_namespace_limit = LARGEST_OUTPUT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Keep of the standard what is harmless."""
        super().setup_tags_and_filters(extra=extra)
        for name in _NO_TAGS:
            del self.tags[name]
        self.filters = {name: _bounded(name, self.filters[name]) for name in _FILTERS}


def _look_over(source: str) -> None:
    """Refuse, in one pass, what would take the lexer long: its patterns are quadratic in blanks and in open tags."""
    position, tags = 0, 0
    while opening := _OPENING.search(source, position):
        start = opening.start()
        closing = source.find("}}" if opening.group() == "{{" else "%}", start + 2)
        if closing < 0:
            raise BadSyntax(f"{opening.group()} is never closed", start)
        if closing - start > LONGEST_TAG:
            raise BadSyntax(f"the tag has more than {LONGEST_TAG} characters, or is not closed", start)
        if _GAP.search(source, start, closing):
            raise BadSyntax(f"the tag has more than {LONGEST_GAP} blanks in a row", start)
        tags += 1
        if tags > MOST_TAGS:
            raise BadSyntax(f"there are more than {MOST_TAGS} tags", start)
        position = closing + 2


def _refuse_ranges(template: BoundTemplate) -> None:
    """Refuse `(1..n)`: a few characters that filters and `contains` would spell out."""
    context = RenderContext(template)
    nodes = list(template.nodes)
    while nodes:
        node = nodes.pop()
        nodes += node.children(context, include_partials=False)
        expressions = list(node.expressions())
        while expressions:
            expression = expressions.pop()
            if isinstance(expression, RangeLiteral):
                raise BadSyntax("ranges are not allowed", max(expression.token.start_index, 0))
            expressions += expression.children()


def _located(error: LiquidError) -> BadSyntax:
    index = error.token.start_index if error.token else 0
    return BadSyntax(str(error.message), max(index, 0))


def _bounded(name: str, apply: Callable[..., object]) -> Callable[..., object]:
    wants_environment = bool(getattr(apply, "with_environment", False))

    @with_context
    def bounded(value: object, *arguments: object, context: RenderContext, **options: object) -> object:
        if wants_environment:
            options["environment"] = context.env
        _spend(context, _expected(name, value, arguments))
        try:
            result = apply(value, *arguments, **options)
        except (ArithmeticError, ValueError, TypeError) as error:
            raise FilterError(f"{name} cannot work on this value", token=None) from error
        _check_number(result)
        _spend(context, _size((result,)))
        return result

    return bounded


def _expected(name: str, value: object, arguments: tuple[object, ...]) -> int:
    """Characters that the filter reads, or will write if it multiplies them."""
    read = _size((value, *arguments))
    if name == "replace" and arguments:
        return read + str(value).count(str(arguments[0])) * _size(arguments[1:2])
    if name == "join":
        return read + _length(value) * _size(arguments)
    return read


def _size(values: Iterable[object]) -> int:
    return sum(_length(one) for one in values)


def _length(value: object) -> int:
    if isinstance(value, Sized):
        length = len(value)
        if length > LONGEST_VALUE:
            raise ResourceLimitError(f"a value has more than {LONGEST_VALUE} characters", token=None)
        return length
    return 1


def _check_number(value: object) -> None:
    if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= LARGEST_NUMBER):
        raise ResourceLimitError("a number is too large", token=None)


def _spend(context: RenderContext, characters: int) -> None:
    if characters > LONGEST_VALUE:
        raise ResourceLimitError(f"a value has more than {LONGEST_VALUE} characters", token=None)
    spent = int(context.tag_namespace.get("spent", 0)) + characters
    if spent > MOST_FILTERED:
        raise ResourceLimitError("the filters have too much to do", token=None)
    context.tag_namespace["spent"] = spent


_PLAIN: Final = _Bounded()
_HTML: Final = _Bounded(autoescape=True)
