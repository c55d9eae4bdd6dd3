"""Alerts and dashboards: rules that fire when they should, on figures that exist, each with a runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import Histogram

from outrider.events import telemetry

HERE: Final = Path(__file__).parents[2]
RULES: Final = HERE / "deploy/helm/outrider/files/alerts.yaml"
RULE_TESTS: Final = HERE / "deploy/helm/alerts.test.yaml"
DASHBOARDS: Final = sorted((HERE / "deploy/helm/outrider/files/dashboards").glob("*.json"))
RUNBOOKS: Final = HERE / "docs/operations.md"
FIGURE: Final = re.compile(r"outrider_[a-z_]+")
ALERTS: Final = [
    rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]


def figures() -> set[str]:
    """The name of every figure that a process shows."""
    declared = [getattr(telemetry, name) for name in dir(telemetry) if name.isupper()]
    names = {sample.name for one in declared if hasattr(one, "describe") for sample in one.describe()}
    counted = {sample.name for one in declared if isinstance(one, Histogram) for sample in one.describe()}
    parts = {f"{name}_{part}" for name in counted for part in ("bucket", "count", "sum")}
    return names | parts | {f"{name}_total" for name in names}


def expressions(dashboard: Path) -> list[str]:
    """Every query of a dashboard."""
    board: dict[str, Any] = json.loads(dashboard.read_text(encoding="utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_watches_figures_that_exist_and_has_a_runbook(alert: dict[str, Any]) -> None:
    assert set(FIGURE.findall(alert["expr"])) <= figures()
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "docs/operations.md"
    assert [part for part in ("*One sees*", "*Do:*", "*Do not*") if part not in sections()[anchor]] == []
    assert alert["labels"]["severity"] in {"page", "ticket"}


def test_every_alert_is_made_to_fire() -> None:
    """With promtool, below."""
    tried = yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
    fired = {one["alertname"] for test in tried for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in ALERTS}


def sections() -> dict[str, str]:
    """What stands where a link into the runbooks may lead."""
    parts = re.split(r"^#+ (.+)$", RUNBOOKS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    names = [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in parts[::2]]
    return dict(zip(names, parts[1::2], strict=True))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_figures_that_exist(dashboard: Path) -> None:
    asked = {name for expression in expressions(dashboard) for name in FIGURE.findall(expression)}
    assert asked
    assert asked <= figures()


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_has_a_picture_of_all_its_panels(dashboard: Path) -> None:
    board = json.loads(dashboard.read_text(encoding="utf-8"))
    picture = (HERE / "docs/pictures" / f"{dashboard.stem}.svg").read_text(encoding="utf-8")
    drawn = picture.count("<g ")
    assert [panel["title"] for panel in board["panels"] if f">{panel['title']}</text>" not in picture] == []
    assert drawn == len(board["panels"])
    assert f"(pictures/{dashboard.stem}.svg)" in RUNBOOKS.read_text(encoding="utf-8")


def test_every_figure_is_in_the_runbooks_table() -> None:
    text = RUNBOOKS.read_text(encoding="utf-8")
    declared = [getattr(telemetry, name) for name in dir(telemetry) if name.isupper()]
    for one in declared:
        if hasattr(one, "describe"):
            assert all(f"`{sample.name}" in text for sample in one.describe())


def test_the_rules_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: `apt-get install prometheus` brings it, and .ci/run has it")
    shutil.copy(RULES, tmp_path / "alerts.yaml")
    shutil.copy(RULE_TESTS, tmp_path / "alerts.test.yaml")
    queries = {
        f"dashboard:{path.stem}:{at}": query for path in DASHBOARDS for at, query in enumerate(expressions(path))
    }
    recorded = [{"record": re.sub(r"[^a-z0-9:]", "_", name), "expr": query} for name, query in queries.items()]
    (tmp_path / "dashboards.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": recorded}]}))
    for arguments in (
        ("check", "rules", "alerts.yaml", "dashboards.yaml"),
        ("test", "rules", "alerts.test.yaml"),
    ):
        done = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603  # constants
        assert done.returncode == 0, done.stdout + done.stderr
