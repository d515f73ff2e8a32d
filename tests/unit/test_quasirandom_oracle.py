"""Sobol sequences are PyTorch's, scrambled ones too."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch.quasirandom import SobolEngine

oracle = pytest.importorskip("torch")
pytest.importorskip("scipy")
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(
    "dimension, scramble, seed",
    [
        (1, False, None),
        (3, False, None),
        (3, True, 5),
        (40, True, 7),
        (300, False, None),
    ],
)
def test_points(dimension: int, scramble: bool, seed: Any) -> None:
    found = SobolEngine(dimension, scramble, seed)
    wanted = oracle.quasirandom.SobolEngine(dimension, scramble, seed)
    assert repr(found) == repr(wanted)
    assert found.sobolstate.tolist() == wanted.sobolstate.tolist()
    for n in (1, 3, 8):
        assert found.draw(n).tolist() == wanted.draw(n).tolist()
        assert found.quasi.tolist() == wanted.quasi.tolist()
    assert (
        found.fast_forward(5).draw(2).tolist()
        == wanted.fast_forward(5).draw(2).tolist()
    )
    first = found.reset().draw(2, dtype=torch.float64)
    assert first.tolist() == wanted.reset().draw(2, dtype=oracle.float64).tolist()
    assert found.num_generated == wanted.num_generated
    out = torch.empty(0)
    assert found.draw(3, out=out) is out and out.shape == (3, dimension)


def test_what_is_refused() -> None:
    for engine in (SobolEngine, oracle.quasirandom.SobolEngine):
        with pytest.raises(
            ValueError, match=r"dimensionality for SobolEngine is \[1, "
        ):
            engine(21202)
        started = engine(2)
        started.draw(3)
        with pytest.raises(ValueError, match="3 points have been previously generated"):
            started.draw_base2(2)
    assert SobolEngine(2).draw_base2(3).shape == (8, 2)


def test_scrambling_without_a_seed_differs() -> None:
    first, second = (SobolEngine(5, scramble=True).draw(4) for _ in range(2))
    assert not torch.equal(first, second)
