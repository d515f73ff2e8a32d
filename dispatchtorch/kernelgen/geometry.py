"""Shapes and strides as kernels walk them: broadcast, sorted, merged."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "broadcast",
    "collapse",
    "is_dense",
    "magic",
    "row_major",
    "size_of",
    "spread",
]

Shape = tuple[int, ...]


def size_of(shape: Sequence[int]) -> int:
    """The number of elements of a shape."""
    made = 1
    for n in shape:
        made *= n
    return made


def row_major(shape: Sequence[int]) -> Shape:
    """The strides of a contiguous array, in elements."""
    steps, step = [], 1
    for n in reversed(shape):
        steps.append(step)
        step *= n if n > 1 else 1
    steps.reverse()
    return tuple(steps)


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements fill a piece of memory without gaps, in row-major order."""
    step = 1
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1:
            if s != step:
                return False
            step *= n
    return True


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The common shape; ValueError where there is none."""
    made = shapes[0]
    for other in shapes[1:]:
        if other == made:
            continue
        if len(other) > len(made):
            made, other = other, made
        lead = len(made) - len(other)
        sizes = list(made)
        for d, n in enumerate(other, lead):
            if sizes[d] == 1:
                sizes[d] = n
            elif n != 1 and n != sizes[d]:
                raise ValueError(f"shapes {shapes} don't broadcast")
        made = tuple(sizes)
    return made


def spread(own: Shape, strides: Shape, shape: Shape) -> Shape:
    """The strides of an operand of shape ``own`` that is broadcast to ``shape``."""
    if own == shape:
        return strides
    lead = len(shape) - len(own)
    return (0,) * lead + tuple(
        0 if n == 1 else s for n, s in zip(own, strides, strict=True)
    )


def collapse(
    shape: Sequence[int], strides: Sequence[Sequence[int]], keep_order: bool = False
) -> tuple[list[int], list[list[int]]]:
    """Dims without those of size 1, sorted by the first strides, and merged.

    ``keep_order``: not sorted, so that the place of an element stays. Sizes and strides
    have one item at least.
    """
    first = strides[0]
    dims = [d for d, n in enumerate(shape) if n != 1]
    if not keep_order:
        dims.sort(key=lambda d: -abs(first[d]))
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d in dims:
        if sizes and all(
            own[-1] == s[d] * shape[d] for own, s in zip(steps, strides, strict=True)
        ):
            sizes[-1] *= shape[d]
            for own, s in zip(steps, strides, strict=True):
                own[-1] = s[d]
        else:
            sizes.append(shape[d])
            for own, s in zip(steps, strides, strict=True):
                own.append(s[d])
    if not sizes:
        return [1], [[0] for _ in strides]
    return sizes, steps


def magic(by: int) -> tuple[int, int, int]:
    """(by, m, s): ``n // by == (high word of n * m, plus n) >> s`` for n < 2**31.

    Granlund & Montgomery, "Division by invariant integers using multiplication" (1994).
    """
    shift = (by - 1).bit_length()
    return by, ((1 << 32) * ((1 << shift) - by)) // by + 1, shift
