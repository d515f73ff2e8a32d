"""An array class with what the contract asks of one, and nothing else.

It has no operators, no NumPy protocol and no length: a core that reached for more than
the contract would fail here at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["LoopbackArray"]


class LoopbackArray:
    """A strided window on a flat piece of memory (strides and offset in elements)."""

    __slots__ = ("_memory", "dtype", "index", "offset", "shape", "strides")

    def __init__(
        self,
        memory: np.ndarray[Any, Any],
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        dtype: Any,
        index: int,
    ) -> None:
        self._memory = memory
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.dtype = dtype
        self.index = index

    # What Python and NumPy would otherwise do for any object is refused.

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a loopback array isn't a NumPy array; go through to_host()")

    def __bool__(self) -> bool:
        raise TypeError("a loopback array has no truth value")

    def __eq__(self, other: object) -> bool:
        raise TypeError("loopback arrays can't be compared with Python's operators")

    __hash__ = object.__hash__
    __array_ufunc__ = None
