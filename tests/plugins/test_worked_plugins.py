"""The plugins in ``plugins/`` pass their own tests, and are found by ``doctor``."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_environment import PLUGINS, Environment, needs_compiler

WORKED = ("ccpu", "csoftmax", "sanitizer")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("worked") / "venv")
    made.develop(*(PLUGINS / name for name in WORKED))
    return made


@pytest.mark.parametrize("name", WORKED)
def test_its_own_tests_pass(name: str, environment: Environment) -> None:
    if name != "sanitizer" and needs_compiler():
        pytest.skip(needs_compiler())
    assert " passed" in environment.run("pytest -q tests", PLUGINS / name)


def test_doctor_finds_them(environment: Environment, tmp_path: Path) -> None:
    out = environment.run("dispatchtorch doctor", tmp_path)
    for name in WORKED:
        (line,) = [each for each in out.splitlines() if each.startswith(f"  {name} ")]
        state = " failed " if name == "csoftmax" and needs_compiler() else " loaded "
        assert state in line


def test_a_missing_compiler_is_told_and_harms_nothing(
    environment: Environment, tmp_path: Path
) -> None:
    out = environment.run("CC=no-such-compiler dispatchtorch doctor", tmp_path)
    assert "ccpu: unavailable: there is no C compiler" in out
    assert "there is no C compiler; install one, or name it in CC" in out
    code = "import dispatchtorch as t; print(t.ones(9, 999).softmax(1).sum())"
    out = environment.run(f"CC=no-such-compiler python -c '{code}'", tmp_path)
    assert "tensor(9." in out


def test_templates_have_a_ci_file() -> None:
    for name in WORKED:
        assert (PLUGINS / name / ".github" / "workflows" / "ci.yml").is_file()
