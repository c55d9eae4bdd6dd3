"""Every event version that was ever stored has a sample here, and loads in every later build.

A new event, or a new version of one, wants a new file `events/<Name>.v<version>.json`. Files are never changed: what
stands in them stands in somebody's log.
"""

import importlib
import json
import pkgutil
from pathlib import Path

import pytest

import outrider.events
from outrider.events.message import Event, UnknownEvent

SAMPLES = sorted((Path(__file__).parent / "events").glob("*.json"))
BASES = {"DeliveryEvent", "InboundEvent"}
"""What events of one category share; never stored by themselves."""


@pytest.fixture(scope="module")
def declared() -> dict[str, type[Event]]:
    for module in pkgutil.iter_modules(outrider.events.__path__):
        importlib.import_module(f"outrider.events.{module.name}")
    return {
        name: kind
        for name, kind in Event.types.items()
        if kind.__module__.startswith("outrider.events.") and name not in BASES
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_stored_event_loads(sample: Path, declared: dict[str, type[Event]]) -> None:
    name, _, version = sample.stem.rpartition(".v")
    stored = json.loads(sample.read_text(encoding="utf-8"))
    event = Event.load(name, int(version), stored)
    assert type(event) is declared[name]
    if int(version) == event.version:  # nothing that was stored is lost or read as something else
        kept = event.as_json()
        assert {field: kept[field] for field in stored} == stored


def test_every_declared_event_has_a_sample_of_its_version(declared: dict[str, type[Event]]) -> None:
    missing = {f"{name}.v{kind.version}" for name, kind in declared.items()} - {sample.stem for sample in SAMPLES}
    assert not missing, f"write tests/contract/events/<Name>.v<version>.json for {sorted(missing)}"


def test_a_version_from_the_future_is_not_read_as_something_else(declared: dict[str, type[Event]]) -> None:
    kind = declared["CampaignPaused"]
    with pytest.raises(UnknownEvent):
        Event.load(kind.name, kind.version + 1, {"campaign_id": "00000000-0000-4000-8000-000000000000"})


def test_a_field_that_this_build_does_not_know_is_ignored() -> None:
    stored = {"campaign_id": "00000000-0000-4000-8000-000000000000", "colour": "green"}
    assert "colour" not in Event.load("CampaignResumed", 1, stored).as_json()
