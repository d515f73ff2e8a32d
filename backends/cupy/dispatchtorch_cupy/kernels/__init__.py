"""CUDA kernels over CuPy's memory: fused where composites of array operations are slow.

``cuda/`` holds the sources, ``elementwise`` generates those of pointwise operators, and a
module for each family launches them. ``kernels()`` has them all by operator name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["kernels"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels(
    xp: Any = None,
    generic: Mapping[str, tuple[Callable[..., Any], bool]] | None = None,
    runtime: Any = None,
    engine: Any = None,
    cudnn: Callable[[], Any] | None = None,
) -> Kernels:
    """Operator name -> (kernel, whether it takes ``out=``).

    A kernel that declines a call hands it on to the one of ``generic``, if there is one.

    Args:
        xp: the array module; CuPy where None.
        generic: kernels to lie under these.
        runtime: what launches; of ``xp`` where None.
        engine: what multiplies matrices; cuBLAS where None.
        cudnn: finds cuDNN's library; where it is usually installed if None.
    """
    from dispatchtorch_cupy.kernels import (
        attention,
        foreach,
        loss,
        norm,
        pointwise,
        pool,
        reduction,
        softmax,
    )
    from dispatchtorch_cupy.kernels.copying import Copies
    from dispatchtorch_cupy.kernels.cublas import CublasEngine, Products
    from dispatchtorch_cupy.kernels.cudnn import Convolutions, find_library
    from dispatchtorch_cupy.kernels.elementwise import Elementwise
    from dispatchtorch_cupy.kernels.indexing import Indexing
    from dispatchtorch_cupy.kernels.runtime import CupyRuntime

    if runtime is None:
        if xp is None:
            import cupy

            xp = cupy
        runtime = CupyRuntime(xp)
    elementwise = Elementwise(runtime)
    made: Kernels = dict(pointwise.kernels_for(elementwise))
    reductions = reduction.Reduction(runtime)
    made.update(reduction.kernels_for(reductions))
    made.update(norm.kernels_for(runtime, reductions))
    made.update(softmax.kernels_for(runtime))
    made.update(loss.kernels_for(runtime))
    copies = Copies(elementwise)
    made.update(copies.kernels())
    made.update(Indexing(runtime, copies).kernels())
    engine = CublasEngine(runtime.xp) if engine is None else engine
    products = Products(runtime, copies, engine)
    made.update(products.kernels())
    made.update(attention.kernels_for(products))
    made.update(foreach.kernels_for(runtime))
    made.update(pool.kernels_for(runtime))
    made.update(Convolutions(runtime, cudnn or find_library).kernels())
    for name, (function, takes_out) in made.items():
        if generic and name in generic:
            over = _over_with_out if takes_out else _over
            made[name] = over(function, *generic[name], copies.copy_), takes_out
    return made


def _over(
    function: Callable[..., Any],
    under: Callable[..., Any],
    under_takes_out: bool,
    copy: Callable[..., Any],
) -> Callable[..., Any]:
    """A kernel that leaves what it declines to another."""

    def kernel(*args: Any) -> Any:
        made = function(*args)
        return under(*args) if made is NotImplemented else made

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


def _over_with_out(
    function: Callable[..., Any],
    under: Callable[..., Any],
    under_takes_out: bool,
    copy: Callable[..., Any],
) -> Callable[..., Any]:
    """As ``_over``, of a kernel that takes ``out=``."""

    def kernel(*args: Any, out: Any = None) -> Any:
        made = function(*args, out=out)
        if made is not NotImplemented:
            return made
        if out is None:
            return under(*args)
        if under_takes_out:
            return under(*args, out=out)
        made = under(*args)
        if made is NotImplemented:
            return made
        copy(out, made)
        return out

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel
