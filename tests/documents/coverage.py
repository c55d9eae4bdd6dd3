"""docs/api-coverage.md: every promise of the HTTP contract beside the tests that fail when it is broken."""

from collections.abc import Iterator, Sequence

from tests.documents.promises import Chapter, Promise

HEAD = """# What is promised, and what proves it

Written by `make docs` from `tests/promises`: change that, not this file. Every sentence of the HTTP contract stands
here in our own words, with the lines it comes from (`seed` is the page that the product was asked for with, `API` the
contract that completes it) and the tests that fail when it is not true. `make check` fails for a promise without a
test, and for a test that does not exist.

{promises} promises, proved by {tests} tests in {files} files. {limits}
"""


def coverage(chapters: Sequence[Chapter]) -> str:
    """The whole page."""
    promises = [promise for chapter in chapters for promise in chapter.promise]
    tests = {test for promise in promises for test in promise.tests}
    limited = sum(promise.limit is not None for promise in promises)
    head = HEAD.format(
        promises=len(promises),
        tests=len(tests),
        files=len({test.partition("::")[0] for test in tests}),
        limits=f"{limited} of them not as a whole: see **limit**." if limited else "None is known to be broken.",
    )
    return "\n".join([head, *(line for chapter in chapters for line in _chapter(chapter))])


def _chapter(chapter: Chapter) -> Iterator[str]:
    yield f"## {chapter.title}\n\n| promise | from | proved by |\n|---|---|---|"
    yield from (_row(promise) for promise in chapter.promise)
    yield ""


def _row(promise: Promise) -> str:
    limit = f" **limit**: {promise.limit}" if promise.limit is not None else ""
    says = f"{promise.says}{limit}".replace("|", "\\|")
    return f"| {says} | {', '.join(promise.source)} | {'; '.join(_link(test) for test in promise.tests)} |"


def _link(test: str) -> str:
    path, _, name = test.partition("::")
    return f"[{name.removeprefix('test_').replace('_', ' ')}](../{path})"
