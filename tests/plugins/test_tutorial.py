"""The tutorials are true: their files are written and their commands run."""

from __future__ import annotations

import ast
import io
import re
import shutil
import time
import tokenize
from pathlib import Path
from types import FunctionType

import pytest
from pages import Page
from plugin_environment import PLUGINS, Environment, needs_compiler

PAGE = Page("backend-tutorial.md", "dispatchtorch-ccpu")
LAYERS = Page("layer-tutorial.md", "dispatchtorch-finite")
PLUGIN = PLUGINS / "ccpu"


def code_lines(path: Path) -> int:
    """Lines of a file without blank ones, comments and docstrings."""
    text = path.read_text()
    if path.suffix == ".c":
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        return sum(bool(line.strip()) for line in text.splitlines())
    skipped = (
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
        *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
    )
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            if ast.get_docstring(node) is not None:
                first = node.body[0]
                lines -= set(range(first.lineno, (first.end_lineno or 0) + 1))
    return len(lines)


def test_the_page_writes_the_plugin_that_is_in_plugins() -> None:
    for path, text in PAGE.written().items():
        assert (PLUGIN / path).read_text() == text, path


def test_the_rest_of_the_plugin_is_what_new_writes() -> None:
    from dispatchtorch._cli.new import rendered

    for path, text in rendered("backend", "ccpu").items():
        if path not in PAGE.written():
            text = text.replace('["dispatchtorch"]', '["dispatchtorch", "cffi>=1.15"]')
            assert (PLUGIN / path).read_text() == text, path


def test_the_figures_of_the_code_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN / "src"))
    from dispatchtorch_ccpu import device

    from dispatchtorch.backend import Backend

    kernels = len(device.CcpuBackend().kernels)
    backend = vars(device.CcpuBackend)
    methods = [
        name
        for name, value in backend.items()
        if isinstance(value, FunctionType) and hasattr(Backend, name)
    ]
    methods.remove("__init__")
    lines = sum(
        code_lines(path)
        for path in sorted((PLUGIN / "src" / "dispatchtorch_ccpu").iterdir())
        if path.suffix in (".py", ".c")
    )
    assert kernels == PAGE.figure(r"(\d+) kernels and \d+ methods")
    assert len(methods) == PAGE.figure(r"\d+ kernels and (\d+) methods")
    assert kernels + len(methods) <= 40
    assert lines == PAGE.figure(r"(\d+) lines of code")
    assert lines <= 400


@pytest.mark.slow
def test_every_command_of_the_page_does_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    if needs_compiler():
        pytest.skip(needs_compiler())
    trained = []
    started = time.perf_counter()

    def ran(command: str) -> None:
        if " demo " in command:
            trained.append(time.perf_counter() - started)

    PAGE.follow(Environment(tmp_path / "venv"), tmp_path, ran)
    assert trained[0] < 300


@pytest.mark.slow
def test_the_layer_of_the_page_is_made_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("setuptools")
    # An editable install leaves files with the sources.
    shutil.copytree(PLUGINS / "sanitizer", tmp_path / "plugins" / "sanitizer")
    monkeypatch.setenv("CHECKOUT", str(tmp_path))
    LAYERS.follow(Environment(tmp_path / "venv"), tmp_path)
