"""The table of promises: what it would refuse, and that no line of the contract is left out of it."""

from pathlib import Path

import pytest

from tests.documents.promises import ROOT, Chapter, Promise, chapters, limits_of, problems, uncovered

HERE = f"{Path(__file__).relative_to(ROOT).as_posix()}::test_a_table_with_a_gap_is_refused"
TEXTS = {"seed": "seed/campaigns.txt", "API": "API.md"}


def chapter(*promises: Promise) -> list[Chapter]:
    return [Chapter(order=1, title="One", promise=promises)]


def test_a_table_with_a_gap_is_refused() -> None:
    limits = "\n## Limits\n\n- Nothing is kept\n  for ever.\n\n## Next\n\nNothing else."
    sound = Promise(says="a", source=("API:1",), tests=(HERE,))
    assert list(problems(chapter(sound), "")) == []
    assert list(problems(chapter(sound, sound), "")) == ["said twice: a"]
    assert list(problems(chapter(sound.model_copy(update={"tests": ()})), "")) == ["no test: a"]
    for wrong in (f"{HERE}_at_all", "tests/nowhere.py::test_a_table_with_a_gap_is_refused", "tests/promises"):
        assert list(problems(chapter(sound.model_copy(update={"tests": (wrong,)})), "")) == [f"no such test: {wrong}"]
    limited = sound.model_copy(update={"tests": (), "limit": "Nothing is kept for ever."})
    assert list(problems(chapter(limited), limits_of(limits))) == []
    other = limited.model_copy(update={"limit": "Nothing else."})
    assert list(problems(chapter(other), limits_of(limits))) == ["README's Limits do not say 'Nothing else.': a"]


def test_a_line_that_nothing_is_promised_for_is_found() -> None:
    text = "# Head\n\nPromised.\n|---|---|\nForgotten."
    promised = chapter(Promise(says="a", source=("API:3", "seed:5"), tests=(HERE,)))
    assert uncovered("API", text, promised) == {5: "Forgotten."}


@pytest.mark.parametrize("name", TEXTS)
def test_every_line_of_the_contract_is_promised(name: str) -> None:
    found = [parent / "shared" / TEXTS[name] for parent in ROOT.parents[:2]]
    text = next((path.read_text("utf-8") for path in found if path.is_file()), None)
    if text is None:
        pytest.skip(f"NOT CHECKED: the text of the contract ({TEXTS[name]}) does not lie beside this checkout")
    assert uncovered(name, text, chapters()) == {}
