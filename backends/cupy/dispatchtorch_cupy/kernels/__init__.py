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
    if generic:
        for name, (function, takes_out) in made.items():
            if name in generic:
                made[name] = _over(function, generic[name][0]), takes_out
    return made


def _over(
    function: Callable[..., Any], under: Callable[..., Any]
) -> Callable[..., Any]:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        return under(*args, **kwargs) if made is NotImplemented else made

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel
