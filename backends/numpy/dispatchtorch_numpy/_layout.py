"""The memory order of pointwise results: that of the operands, the first one deciding.

NumPy falls back to row-major order where operands lie differently in memory; PyTorch
follows the first operand that tells two dims apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["arranged"]


def arranged(made: Any, *operands: Any) -> Any:
    """``made``, or a copy of it in the order that PyTorch would have written it in."""
    for each in operands:
        if not each.flags.c_contiguous:
            break
    else:
        return made
    first = operands[0]
    shape, strides = first.shape, first.strides
    for each in operands[1:]:
        if each.shape != shape or each.strides != strides:
            break
    else:
        return made
    shape = made.shape
    order = _order(shape, operands)
    wanted, step = [0] * made.ndim, made.itemsize
    for dim in order:
        wanted[dim] = step
        step *= shape[dim]
    if made.strides == tuple(wanted) or not made.size:
        return made
    outwards = order[::-1]
    copy = np.empty([shape[dim] for dim in outwards], made.dtype)
    copy = copy.transpose([outwards.index(dim) for dim in range(made.ndim)])
    copy[...] = made
    return copy


def _order(shape: tuple[int, ...], operands: tuple[Any, ...]) -> list[int]:
    """The dims from the one whose elements lie closest to the one they lie farthest."""
    ndim = len(shape)
    rows = []
    for each in operands:
        missing = ndim - each.ndim
        own = zip(each.shape, each.strides, shape[missing:], strict=True)
        steps = [0 if n == 1 != size else step for n, step, size in own]
        rows.append([0] * missing + steps)

    def farther(a: int, b: int) -> int:
        """1 where ``a`` lies farther apart than ``b``, -1 where it doesn't, 0 unknown."""
        for row in rows:
            if row[a] and row[b] and row[a] != row[b]:
                return 1 if row[a] > row[b] else -1
            if row[a] and row[a] == row[b] and shape[a] > shape[b]:
                return 1
        return 0

    order = list(range(ndim - 1, -1, -1))
    for i in range(1, ndim):
        at = i
        for j in range(i - 1, -1, -1):
            found = farther(order[j], order[at])
            if found > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif found < 0:
                break
    return order
