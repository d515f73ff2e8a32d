"""``torch.Size``: a shape, which is a tuple with ``numel``."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["Size"]


class Size(tuple):  # type: ignore[type-arg]
    """The shape of a tensor; slices and sums of Sizes are Sizes."""

    __slots__ = ()

    def __new__(cls, values: Any = ()) -> Size:
        made = tuple.__new__(cls, values)
        for i, value in enumerate(made):
            if type(value) is not int:
                made = tuple.__new__(cls, [_as_int(v, i) for i, v in enumerate(made)])
                break
        return made

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return tuple.__new__(Size, found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, tuple):
            return NotImplemented
        return tuple.__new__(Size, tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Any:
        if not isinstance(other, tuple):
            return NotImplemented
        return tuple.__new__(Size, tuple.__add__(other, self))

    def __mul__(self, other: Any) -> Any:
        return tuple.__new__(Size, tuple.__mul__(self, other))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


def _as_int(value: Any, index: int) -> int:
    try:
        if isinstance(value, float):
            raise TypeError
        return value.__index__()  # type: ignore[no-any-return]
    except (AttributeError, TypeError):
        raise TypeError(
            "torch.Size() takes an iterable of 'int' "
            f"(item {index} is '{type(value).__name__}')"
        ) from None
