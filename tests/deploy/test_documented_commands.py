"""Every command that a document tells somebody to run exists, with its options; so does every target of make."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import pytest
import yaml

from outrider.local.cli import main
from tests.deploy.charting import HERE, NEWEST, validate

DOCUMENTS: Final = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "examples/*.md",
        "deploy/helm/outrider/templates/NOTES.txt",
        "deploy/helm/**/*.yaml",
    )
    for path in HERE.glob(pattern)
)
SPAN: Final = re.compile(r"`([^`]+)`")
OPERATOR: Final = HERE / "deploy/helm/servers/operator-pod.yaml"


def commands(text: str, program: str) -> Iterator[Sequence[str]]:
    """The words behind the program's name, wherever a span of code or a line of a block begins with it."""
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in fenced for line in block.splitlines()]
    lines += re.findall(r"^ {4,}(\S.*)$", prose, re.MULTILINE)
    lines += [" ".join(span.split()) for span in SPAN.findall(prose)]
    for line in lines:
        for part in re.split(r"\||&&|;| -- ", line.split(" #")[0]):
            words = part.strip().removeprefix("$ ").split(" ")
            if words[0].rpartition("/")[2] == program and len(words) > 1:
                yield shlex.split(" ".join(words[1:]).replace("'", "").replace('"', ""))


def trouble(words: Sequence[str]) -> str:
    """What is wrong with this call of `outrider`, or nothing."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest or rest[0].startswith("-"):
            break
        found = command.get_command(context, rest[0])
        if found is None:
            return f"there is no {' '.join(words)}"
        command, rest = found, rest[1:]
    known = {option for one in command.params for option in one.opts} | {"--help", "-h"}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{' '.join(words)}: no {unknown}" if unknown else ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(HERE)))
def test_what_a_document_tells_to_run_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [wrong for words in commands(text, "outrider") if (wrong := trouble(words))] == []
    rules: list[str] = re.findall(r"^([a-z][a-z/ -]*):(?!=)", (HERE / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    made = {word for words in commands(text, "make") for word in words if re.fullmatch(r"[a-z][a-z/-]*", word)}
    assert made - targets == set()


def test_every_command_of_the_table_in_the_readme_is_listed() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    missing = [name for name in main.commands if f"`outrider {name}" not in text and f"make {name}`" not in text]
    assert set(missing) <= {"status", "up", "down", "demo"}


def test_it_would_notice() -> None:
    assert list(commands("run `outrider reseel --json`\n\n    make checks\n", "outrider")) == [["reseel", "--json"]]
    assert trouble(["reseel"]) == "there is no reseel"
    assert trouble(["dead", "list", "--jason"])
    assert trouble(["dead", "retry", "plan_batch", "--json"]) == ""
    assert list(commands("a\n\n    make checks\n", "make")) == [["checks"]]


def test_the_documents_have_commands_at_all() -> None:
    every = [words for path in DOCUMENTS for words in commands(path.read_text(encoding="utf-8"), "outrider")]
    assert {words[0] for words in every} >= {
        "doctor",
        "restore",
        "reseal",
        "keys",
        "dead",
        "rebuild",
        "split",
        "migrate",
    }


def test_the_operators_pod_is_restricted_and_has_every_secret() -> None:
    pod = yaml.safe_load(OPERATOR.read_text(encoding="utf-8"))
    validate(pod, NEWEST)
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert container["envFrom"] == [{"prefix": "OUTRIDER_", "secretRef": {"name": "outrider"}}]
    (owner,) = (one for one in container["env"] if "valueFrom" in one)
    assert owner["name"] == "OUTRIDER_DATABASE_URL"
    assert owner["valueFrom"]["secretKeyRef"] == {"name": "outrider", "key": "DATABASE_URL_OWNER"}
