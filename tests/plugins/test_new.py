"""``dispatchtorch new`` writes packages that install, are found, and pass their tests."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from plugin_environment import PLUGINS, Environment

from dispatchtorch import cli
from dispatchtorch._cli.new import KINDS, TEMPLATES, rendered

EXAMPLES = {
    "backend": "example",
    "layer": "example_layer",
    "operator-library": "example_ops",
}
NAMES = {"backend": "npu_2", "layer": "my-layer", "operator-library": "my-ops"}


def files(folder: Path) -> dict[str, str]:
    skipped = ("__pycache__", ".egg-info", "_cache/")
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(each in str(path) for each in skipped)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_template_in_plugins_is_what_it_writes(kind: str) -> None:
    assert files(PLUGINS / "template" / kind) == rendered(kind, EXAMPLES[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_left(kind: str) -> None:
    for path, text in rendered(kind, NAMES[kind]).items():
        for word in ("name", "namespace", "package", "distribution", "Class"):
            assert f"@{word}@" not in path + text


def test_the_command_offers_what_there_are_templates_for() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == set(KINDS)
    parser = argparse.ArgumentParser()
    cli._new(parser.add_subparsers())
    for kind in KINDS:
        assert parser.parse_args(["new", kind, "a"]).kind == kind
    with pytest.raises(SystemExit):
        parser.parse_args(["new", "device", "a"])


def test_it_says_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["new", "backend", "npu", "--into", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"cd {tmp_path / 'dispatchtorch-npu'}" in out
    assert "pip install -e ." in out
    assert "dispatchtorch doctor" in out
    assert "dispatchtorch coverage --device npu" in out
    assert files(tmp_path / "dispatchtorch-npu") == rendered("backend", "npu")


def test_a_folder_that_exists_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dispatchtorch-npu").mkdir()
    assert cli.main(["new", "backend", "npu", "--into", str(tmp_path)]) == 1
    assert "exists already; nothing was written" in capsys.readouterr().err
    assert not files(tmp_path)


@pytest.mark.parametrize(
    "kind, name, message",
    [
        ("backend", "NPU", "can't be the name of a backend"),
        ("backend", "my-npu", "joined by underscores, a letter first"),
        ("backend", "2npu", "can't be the name of a backend"),
        ("backend", "../npu", "can't be the name of a backend"),
        ("layer", "", "can't be the name of a layer"),
        ("layer", "my--layer", "words joined by underscores or dashes"),
        ("layer", "class", "is a keyword of Python"),
        ("backend", "cpu", "is taken"),
        ("operator-library", "aten", "is taken"),
    ],
)
def test_names_that_would_not_work_are_refused(
    kind: str,
    name: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["new", kind, name, "--into", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert not files(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, Path]:
    """An environment with one package of each kind, written and installed."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("new")
    environment = Environment(folder / "venv")
    projects = []
    for kind, name in NAMES.items():
        environment.run(f"dispatchtorch new {kind} {name}", folder)
        projects.append(f"-e ./dispatchtorch-{name.replace('_', '-')}")
    environment.run(f"pip install -q {' '.join(projects)}", folder)
    return environment, folder


def test_doctor_finds_and_tests_what_was_installed(
    made: tuple[Environment, Path],
) -> None:
    environment, folder = made
    lines = environment.run("dispatchtorch doctor", folder).splitlines()
    for name in NAMES.values():
        (line,) = [each for each in lines if each.startswith(f"  {name} ")]
        assert " loaded " in line
    first = next(i for i, line in enumerate(lines) if line.startswith("  npu_2: "))
    checks = [line for line in lines[first + 1 : first + 8] if "PASS" in line]
    assert len(checks) == 5
    assert "FAIL" not in "".join(lines)


def test_their_own_tests_pass(made: tuple[Environment, Path]) -> None:
    environment, folder = made
    command = "pytest -q -c dispatchtorch-npu-2/pyproject.toml dispatchtorch-*/tests"
    assert re.search(r"^\d+ passed", environment.run(command, folder), re.MULTILINE)


def test_the_conformance_kit_runs_on_it_as_ci_does(
    made: tuple[Environment, Path],
) -> None:
    environment, folder = made
    out = environment.run(
        "pytest -q --pyargs dispatchtorch.testing --device npu_2 "
        "--ops '^(neg|mul|Tensor.t)$'",
        folder / "dispatchtorch-npu-2",
    )
    assert " passed" in out
    assert "crossings to the host" in out
