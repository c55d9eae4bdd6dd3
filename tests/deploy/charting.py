"""The chart, rendered by helm."""

import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

HERE: Final = Path(__file__).parents[2]
CHART: Final = HERE / "deploy/helm/outrider"
EXAMPLES: Final = sorted((HERE / "deploy/helm/examples").glob("*.yaml"))
Manifest = Mapping[str, Any]


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    program = HERE / ".tools/bin/helm"
    if not program.exists():
        pytest.fail("helm is missing: `make chart` brings it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  # our own arguments


@cache
def rendered(*values: str) -> list[Manifest]:
    """What the chart makes of these values, each ``path=value`` or the path of a file; nobody changes it."""
    arguments = [part for one in values for part in (("--set", one) if "=" in one else ("--values", one))]
    done = helm("template", "o", str(CHART), *arguments)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] == kind]


def pods(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    """Every pod's template, by component."""
    templates = [one["spec"]["template"] for one in manifests if one["kind"] in {"Deployment", "Job"}]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in templates}


def labels(pod: Manifest) -> dict[str, str]:
    """Of a pod."""
    found: dict[str, str] = pod["metadata"]["labels"]
    return found
