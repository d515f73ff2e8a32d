"""A hook without a section in the documentation or without a test is unfinished."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from dispatchtorch import hookspecs

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "plugins.md"
HOOKS = hookspecs.hook_names()


def test_the_list_of_hooks_is_whole() -> None:
    specified = {
        name
        for name, value in vars(hookspecs).items()
        if hasattr(value, "dispatchtorch_spec")
    }
    assert specified == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_one_line_that_says_what_it_is_for(hook: str) -> None:
    doc = getattr(hookspecs, hook).__doc__
    assert doc and len(doc.strip().splitlines()) == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_section_in_the_docs(hook: str) -> None:
    headings = re.findall(r"^#+ `(\w+)", PAGE.read_text(), re.MULTILINE)
    assert headings.count(hook) == 1


def test_the_docs_have_no_section_for_a_hook_that_is_gone() -> None:
    headings = re.findall(r"^#+ `(dispatchtorch_\w+)", PAGE.read_text(), re.MULTILINE)
    assert set(headings) == set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_test_named_after_it(hook: str) -> None:
    tree = ast.parse((HERE / "test_hooks.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    short = hook.removeprefix("dispatchtorch_")
    assert any(name.startswith(f"test_{short}") for name in names)
