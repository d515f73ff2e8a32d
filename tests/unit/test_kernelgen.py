"""The arithmetic of shapes that generated kernels stand on, and the rows of expressions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatchtorch.kernelgen.expressions import HELPERS, rows
from dispatchtorch.kernelgen.geometry import (
    broadcast,
    collapse,
    is_dense,
    magic,
    row_major,
    spread,
)


@given(st.integers(1, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_division_by_multiplication_is_exact(by: int, n: int) -> None:
    _, m, shift = magic(by)
    assert 0 < m < 2**32
    assert ((n * m >> 32) + n) >> shift == n // by


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms())
def test_merged_dims_reach_the_same_elements(sizes: list[int], random: object) -> None:
    order = list(range(len(sizes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    x = np.arange(np.prod(sizes)).reshape([sizes[d] for d in order])
    x = x.transpose(np.argsort(order))
    strides = tuple(s // x.itemsize for s in x.strides)
    merged, steps = collapse(x.shape, [strides], keep_order=True)
    places = [
        sum(i * s for i, s in zip(at, steps[0], strict=True))
        for at in np.ndindex(*merged)
    ]
    assert places == x.reshape(-1).tolist()


def test_strides_of_broadcast_operands_are_zero() -> None:
    assert broadcast([(3, 1), (2, 1, 4)]) == (2, 3, 4)
    assert spread((3, 1), (1, 1), (2, 3, 4)) == (0, 1, 0)
    with pytest.raises(ValueError, match="don't broadcast"):
        broadcast([(3,), (4,)])


def test_row_major_strides_are_dense() -> None:
    assert is_dense((2, 3, 1), row_major((2, 3, 1)))
    assert not is_dense((2, 3), (1, 2))


def test_rows_name_each_operator_once_and_known_classes() -> None:
    made = rows()
    names = [name for name, _, _ in made]
    assert len(names) == len(set(names))
    assert {kind for _, _, cells in made for kind in cells} <= set(HELPERS)
    assert dict((n, c) for n, _, c in made)["bitwise_or"]["i"] == ("x | y", False)
