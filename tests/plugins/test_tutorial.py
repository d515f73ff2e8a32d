"""``docs/backend-tutorial.md`` is true: its files are written and its commands run."""

from __future__ import annotations

import ast
import io
import re
import time
import tokenize
from pathlib import Path
from types import FunctionType

import pytest
from plugin_environment import PLUGINS, REPOSITORY, Environment, needs_compiler

PAGE = REPOSITORY / "docs" / "backend-tutorial.md"
PLUGIN = PLUGINS / "ccpu"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)
FOLDER = "dispatchtorch-ccpu"


def blocks() -> list[tuple[str, str, str]]:
    """(language, title, text) of the page's code blocks, in order."""
    return [(m[1], m[2] or "", m[3]) for m in BLOCK.finditer(PAGE.read_text())]


def written() -> dict[str, str]:
    """The files that the page writes; a file's parts follow one another."""
    files: dict[str, str] = {}
    for _, title, text in blocks():
        if title:
            before = f"{files[title]}\n\n" if title in files else ""
            files[title] = before + text.strip("\n") + "\n"
    return files


def figure(pattern: str) -> float:
    """A number that the page states."""
    found = re.search(pattern, PAGE.read_text())
    assert found, pattern
    return float(found[1])


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
    for path, text in written().items():
        assert (PLUGIN / path).read_text() == text, path


def test_the_rest_of_the_plugin_is_what_new_writes() -> None:
    from dispatchtorch._cli.new import rendered

    for path, text in rendered("backend", "ccpu").items():
        if path not in written():
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
    assert kernels == figure(r"(\d+) kernels and \d+ methods")
    assert len(methods) == figure(r"\d+ kernels and (\d+) methods")
    assert kernels + len(methods) <= 40
    assert lines == figure(r"(\d+) lines of code")
    assert lines <= 400


@pytest.mark.slow
def test_every_command_of_the_page_does_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    if needs_compiler():
        pytest.skip(needs_compiler())
    environment = Environment(tmp_path / "venv")
    place = tmp_path
    begun: set[str] = set()
    started = time.perf_counter()
    for language, title, text in blocks():
        if title:
            path = tmp_path / FOLDER / title
            with path.open("a" if title in begun else "w") as file:
                file.write(text)
            begun.add(title)
        elif language == "console":
            out = ""
            for line in text.splitlines():
                command = line.removeprefix("$ ")
                if command == line:
                    for part in filter(None, map(str.strip, line.split("…"))):
                        assert part in out, f"{line!r} isn't in\n{out}"
                elif command.startswith("cd "):
                    place = place / command.removeprefix("cd ")
                else:
                    out = environment.run(command, place)
                    if " demo " in command:
                        trained = time.perf_counter() - started
    assert trained < 300
