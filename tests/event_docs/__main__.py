"""`make docs`: `docs/events.md` and the `/asyncapi.json` of the api; with `--check` it only tells what is behind."""

import json
import sys
from typing import Final

from tests.event_docs.declared import HERE, unlisted
from tests.event_docs.documents import asyncapi, page

PAGE: Final = HERE / "docs/events.md"
DOCUMENT: Final = HERE / "services/api/src/outrider/api/asyncapi.json"


def main() -> int:
    """Answers 1 where an event is not listed at all, or `--check` found something behind."""
    if names := unlisted():
        sys.stderr.write(f"not in outrider.events.catalogue: {', '.join(names)}\n")
        return 1
    wanted = {PAGE: page(), DOCUMENT: json.dumps(asyncapi(), indent=1, ensure_ascii=False) + "\n"}
    behind = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in behind:
            sys.stderr.write(f"{path.relative_to(HERE)} is behind the declarations: run `make docs`\n")
        return 1 if behind else 0
    for path in behind:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
