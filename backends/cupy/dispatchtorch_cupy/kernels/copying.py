"""Copies and casts between any dtypes and layouts, in one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_cupy.kernels.elementwise import Elementwise, Expression
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, REAL

__all__ = ["Copies"]


def _cast(source: Any, target: Any) -> str:
    """The expression of a cast, as PyTorch casts."""
    a, b = CLASS[source], CLASS[target]
    kind = COMPUTE[target]
    if b == "b":
        return "x.x != 0 || x.y != 0" if a == "c" else "x != 0"
    if b == "c":
        real = REAL[kind]
        pair = f"({real})x.x, ({real})x.y" if a == "c" else f"({real})x, 0"
        return f"{kind}{{{pair}}}"
    value = "x.x" if a == "c" else "x"
    if a in "fc" and b in "iu" and kind not in ("i64", "u64"):
        # Small types wrap around what a wide one makes of the number.
        return f"({kind})(i64){value}"
    return f"({kind}){value}"


class Copies:
    """Copies over a generator of pointwise kernels."""

    def __init__(self, elementwise: Elementwise) -> None:
        self.elementwise = elementwise
        self._expressions: dict[Any, Expression] = {}

    def _expression(self, source: Any, target: Any) -> Expression | None:
        key = source, target
        found = self._expressions.get(key)
        if found is None:
            if source not in CLASS or target not in CLASS:
                return None
            # Within one dtype bits move as they are.
            code = "x" if source == target else _cast(source, target)
            found = Expression(f"cast:{source.name}:{target.name}", code)
            self._expressions[key] = found
        return found

    def copy_(self, target: Any, source: Any) -> Any:
        """Writes ``source``, broadcast, to ``target``."""
        expression = self._expression(source.dtype, target.dtype)
        if expression is None or not self._here(target, source):
            return NotImplemented
        if self._shares(target, source):
            source = self.cast(source, source.dtype)
        self.elementwise(expression, (source,), target.dtype, target)
        return None

    def cast(self, x: Any, host: Any) -> Any:
        """A new array of dtype ``host``, in the memory order of ``x``."""
        expression = self._expression(x.dtype, host)
        if expression is None:
            return NotImplemented
        return self.elementwise(expression, (x,), host)

    def clone(self, x: Any, memory_format: Any) -> Any:
        """A copy with the strides of a dense array; all else is the core's to decide."""
        if memory_format is not None or not (
            self.elementwise.runtime.is_dense(x) or x.flags.f_contiguous
        ):
            return NotImplemented
        return self.cast(x, x.dtype)

    def _here(self, target: Any, source: Any) -> bool:
        """Whether both lie on one device."""
        index = self.elementwise.runtime.index
        return bool(index(target) == index(source))

    def _shares(self, target: Any, source: Any) -> bool:
        """Whether writing the one may change what is yet to be read of the other."""
        runtime = self.elementwise.runtime
        a, b = runtime.address(target), runtime.address(source)
        if a == b and target.strides == source.strides:
            return target.dtype.itemsize != source.dtype.itemsize
        return a < b + _span(source) and b < a + _span(target)

    def kernels(self) -> dict[str, tuple[Callable[..., Any], bool]]:
        """The kernels of copies."""
        return {"copy_": (self.copy_, False), "clone": (self.clone, False)}


def _span(x: Any) -> int:
    """Bytes from the first element to behind the last."""
    made = x.dtype.itemsize
    for n, s in zip(x.shape, x.strides, strict=True):
        made += (n - 1) * s
    return int(made) if x.size else 0
