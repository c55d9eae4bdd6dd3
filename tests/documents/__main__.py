"""`make docs` and `make check`: the generated pages of docs/ are written, or held against what would be written."""

import sys
from pathlib import Path

from tests.documents.reference import reference
from tests.support.described import description

DOCS = Path(__file__).parents[2] / "docs"


def main(*, check: bool) -> int:
    """Answer 1 if a page is stale and nothing may be written."""
    pages = {"api.md": reference(description())}
    stale = [name for name, text in pages.items() if not _is(DOCS / name, text)]
    for name in stale:
        if check:
            sys.stderr.write(f"docs/{name} is not what the code says: make docs\n")
        else:
            (DOCS / name).write_text(pages[name], encoding="utf-8")
    return int(check and bool(stale))


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
