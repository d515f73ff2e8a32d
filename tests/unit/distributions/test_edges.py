"""Expressions of ``edges.txt``, at the ends of supports and parameters: as PyTorch's.

``t`` is ``torch.tensor``, ``D`` the package. To add one, write it down.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.nn.twin import assert_same

pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

LINES = Path(__file__).with_name("edges.txt").read_text().splitlines()


@pytest.mark.parametrize("expression", LINES)
def test_edges(expression: str) -> None:
    assert_same(
        f"import torch.distributions as D; t = torch.tensor; {expression}", rtol=1e-4
    )
