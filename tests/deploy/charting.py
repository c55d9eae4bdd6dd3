"""The chart, rendered by helm, and held against Kubernetes' own schemas."""

import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate import latest_version
from kubernetes_validate.utils import all_versions, schema_contents
from referencing import Registry, Resource

HERE: Final = Path(__file__).parents[2]
CHART: Final = HERE / "deploy/helm/outrider"
EXAMPLES: Final = sorted((HERE / "deploy/helm/examples").glob("*.yaml"))
NEWEST: Final = latest_version().rpartition(".")[0]
"""Of the versions of Kubernetes whose schemas there are."""
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


@cache
def _definitions(folder: str) -> "Registry[Any]":
    """What the kinds of one version share: 2 MB, which `kubernetes_validate.validate` reads anew for each manifest."""
    shared: Resource[Any] = Resource.from_contents(schema_contents(f"{folder}/_definitions.json", ""))
    nothing: Registry[Any] = Registry()
    return (shared @ nothing).crawl()


def validate(manifest: Manifest, version: str) -> None:
    """It is as this minor version of Kubernetes wants it, with no field beside. Raises jsonschema.ValidationError."""
    newest = [one for one in all_versions() if one.startswith(f"{version}.")][-1]
    folder = f"kubernetes-json-schema/v{newest}-local-strict"
    group, _, number = manifest["apiVersion"].rpartition("/")
    kind = "-".join(filter(None, (manifest["kind"].lower(), group.partition(".")[0], number)))
    schema = schema_contents(f"{folder}/{kind}.json", version)
    registry = Resource.from_contents(schema) @ _definitions(folder)
    Draft202012Validator(schema, registry=registry).validate(manifest)


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
