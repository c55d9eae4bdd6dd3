"""`make docs` and `make check`: the generated pages of docs/ are written, or held against what would be written."""

import sys
from pathlib import Path

from tests.documents.coverage import coverage
from tests.documents.promises import ROOT, chapters, limits_of, problems
from tests.documents.reference import reference
from tests.support.described import description

DOCS = ROOT / "docs"


def main(*, check: bool) -> int:
    """Answer 1 if a page is stale and nothing may be written, or a promise is not proved."""
    promised = chapters()
    wrong = list(problems(promised, limits_of((ROOT / "README.md").read_text("utf-8"))))
    for one in wrong:
        sys.stderr.write(f"tests/promises: {one}\n")
    pages = {"api.md": reference(description()), "api-coverage.md": coverage(promised)}
    stale = [name for name, text in pages.items() if not _is(DOCS / name, text)]
    for name in stale:
        if check:
            sys.stderr.write(f"docs/{name} is not what the code says: make docs\n")
        else:
            (DOCS / name).write_text(pages[name], encoding="utf-8")
    return int(bool(wrong) or (check and bool(stale)))


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
