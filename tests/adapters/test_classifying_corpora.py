"""The classifier on labelled mail of other people's, which lies beside the repository and in no commit."""

import json
from pathlib import Path

import pytest

from outrider.reply_watcher.classifying import concerns
from outrider.reply_watcher.mail import parse
from tests.inbound_scores.figures import Read, figures, read
from tests.inbound_scores.labelled import GIVEN, labelled

PLAIN = b"From: bob@example.com\r\nSubject: Re: Hello\r\n\r\nYes, gladly.\r\n"


@pytest.fixture(scope="module")
def given() -> list[Read]:
    if not (GIVEN / "labels.jsonl").exists():
        pytest.skip(f"NO CORPORA: {GIVEN} is missing, so the classifier was not scored")
    problems: list[str] = []
    reads = [read(label) for label in labelled(GIVEN, problems)]
    assert problems == []
    return reads


def test_no_human_reply_is_taken_for_anything_else(given: list[Read]) -> None:
    human = [one for one in given if one.label.kind.startswith("human")]
    assert len(human) == 588
    assert [one.label.file for one in human if one.verdict != "human reply"] == []
    assert not any(concerns(parse(one.label.raw)) for one in human)


def test_the_figures_of_the_given_corpora_are_kept(given: list[Read]) -> None:
    """What `make score-inbound` measured last (docs/inbound-scores.md), with little room below."""
    counted = figures(given)
    floors = {
        "bounces_known_as_such": 99.4,
        "recipient_known": 98.6,
        "recipient_unknown": 97.3,
        "kind": 92.0,
        "hard_or_not": 94.0,
        "reason": 80.5,
        "complaints": 85.0,
        "automatic_replies": 100.0,
    }
    low = {name: counted[name] for name, floor in floors.items() if (counted[name] or 0) < floor}
    assert low == {}
    assert (counted["raised"], counted["human_taken_for_harm"]) == (0, 0)


def test_a_set_with_faults_is_scored_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "plain.eml").write_bytes(PLAIN)
    (tmp_path / "empty.eml").write_bytes(b"")
    labels = [
        {"file": "plain.eml", "kind": "human_reply"},
        {"file": "gone.eml", "kind": "bounce", "recipients": ["bob@example.com"]},
        {"file": "plain.eml", "kind": "of a kind to come", "recipients": 7, "hard": "no", "reasons": None},
        {"file": "empty.eml", "kind": "bounce", "recipients": ["bob@example.com"], "hard": [True], "reasons": ["new"]},
        {"kind": "bounce"},
        ["no label"],
    ]
    lines = [*(json.dumps(label) for label in labels), "{not json", ""]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines), "utf-8")
    problems: list[str] = []
    reads = [read(label) for label in labelled(tmp_path, problems)]
    assert [problem.partition(":")[0] for problem in problems] == ["line 2", "line 5", "line 6", "line 7"]
    counted = figures(reads)
    assert (counted["messages"], counted["human_misread"], counted["recipient_known"]) == (3, 0, 0.0)
    assert counted["kind"] == 0.0
    assert counted["complaints"] is None
