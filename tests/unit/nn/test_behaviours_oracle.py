"""Short scripts that must do what they do with PyTorch: print, warn, raise, result.

They stand in ``behaviours/*.txt``, separated by ``---``. A script sees ``torch``,
``nn``, ``F`` and ``M`` (``nn.Module``) and leaves its result in ``out``. To add one,
write it down; the answer is PyTorch's.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

SCRIPTS = [
    pytest.param(script, id=f"{path.stem}-{' '.join(script.split())[:60]}")
    for path in sorted((Path(__file__).parent / "behaviours").glob("*.txt"))
    for script in path.read_text().split("\n---\n")
]


def outcome(script: str, framework: Any) -> str:
    """What the script prints, its result or exception, and its warnings."""
    name = framework.__name__
    script = re.sub(r"\b(from|import) torch\b", rf"\1 {name}", script)
    nn = framework.nn
    scope = {"torch": framework, "nn": nn, "F": nn.functional, "M": nn.Module}
    scope["__name__"] = "script"
    framework.manual_seed(0)
    printed = io.StringIO()
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(printed),
    ):
        warnings.simplefilter("always")
        try:
            exec(script, scope)
            result = repr(scope.get("out"))
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
    lines = [f"{w.category.__name__}: {w.message}" for w in caught]
    text = "\n".join([printed.getvalue(), result, *lines])
    text = text.replace(name, "torch")
    # Methods are named in errors; here they are functions written in Python.
    text = re.sub(r"in (<.* at 0x\w+>|<method [^>]*>|Tensor\.\w+)\.", "in <it>.", text)
    return re.sub(r"0x[0-9a-f]+", "0x", text)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_does_what_it_does_with_pytorch(script: str) -> None:
    assert outcome(script, torch) == outcome(script, oracle)
