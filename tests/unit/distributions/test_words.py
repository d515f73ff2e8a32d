"""Expressions of ``words.txt``: results, errors and warnings as PyTorch has them.

``t`` is ``torch.tensor``, ``D`` the package, ``c`` its constraints, ``tr`` its
transforms. To add one, write it down; the answer is PyTorch's.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

LINES = Path(__file__).with_name("words.txt").read_text().splitlines()


def _outcome(expression: str, framework: Any) -> str:
    package = framework.distributions
    scope = {
        "torch": framework,
        "t": framework.tensor,
        "D": package,
        "c": package.constraints,
        "tr": package.transforms,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            words = repr(eval(expression, scope))
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
    said = [f"{w.category.__name__}: {w.message}" for w in caught]
    text = "\n".join([words, *said]).replace("dispatchtorch", "torch")
    return re.sub(r"0x[0-9a-f]+", "0x", text)


@pytest.mark.parametrize("expression", LINES)
def test_words(expression: str) -> None:
    assert _outcome(expression, torch) == _outcome(expression, oracle)
