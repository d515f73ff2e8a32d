"""Attention: products by cuBLAS, and what goes between them in one launch.

Scores are kept in float32 for half types; large batches go in pieces, so that the memory
of scores stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch_cupy.kernels.cublas import Products
from dispatchtorch_cupy.kernels.types import CLASS, COMPUTE, STORAGE

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_EXACT: dict[str, Any] = {"float": np.dtype("float32"), "double": np.dtype("float64")}
#: Bytes of scores that are there at a time.
_SCORES = 1 << 29


def kernels_for(products: Products) -> Kernels:
    """The kernels of fused attention."""
    runtime = products.runtime
    plans: dict[Any, Any] = {}

    def suits(query: Any, key: Any, value: Any, mask: Any) -> bool:
        if CLASS.get(query.dtype) != "f" or not query.size or not key.size:
            return False
        if not query.dtype == key.dtype == value.dtype:
            return False
        return mask is None or CLASS.get(mask.dtype, "") in ("b", "f")

    def rows(x: Any) -> Any:
        """(samples * heads, places, width)."""
        return runtime.contiguous(x).reshape(-1, *x.shape[2:])

    def plan(
        name: str, query: Any, keys: int, mask: Any, causal: bool, scale: float
    ) -> Any:
        samples, heads, queries, width = query.shape
        steps: tuple[int, ...] = (0, 0, 0, 0)
        if mask is not None:
            wide = runtime.xp.broadcast_to(mask, (samples, heads, queries, keys))
            steps = runtime.strides(wide)
        real = "f" if COMPUTE[query.dtype] == "float" else "d"
        kind = query.dtype if mask is None else mask.dtype
        key = (name, query.dtype, query.shape, keys, kind, steps, causal, scale)
        found = plans.get(key)
        if found is None:
            if len(plans) > 1000:
                plans.clear()
            launch = runtime.function(
                "attention.cu", name, T=STORAGE[query.dtype], A=COMPUTE[query.dtype],
                M=STORAGE[kind], MASK_HIDES=int(kind.kind == "b"),
            )  # fmt: skip
            constant = runtime.constant(
                f"9q{real}ii", samples * heads * queries, keys, queries, heads, width,
                *steps, scale, causal, mask is not None,
            )  # fmt: skip
            threads = min(512, max(32, -(-keys // 128) * 32))
            found = plans[key] = launch, (threads,), constant
        return found

    def pieces(query: Any, keys: int) -> int:
        """How many samples go at a time."""
        _, heads, queries, _ = query.shape
        each = heads * queries * keys * _EXACT[COMPUTE[query.dtype]].itemsize
        return max(1, _SCORES // each)

    def part(t: Any, first: int, count: int) -> Any:
        if t is None or t.ndim < 4 or t.shape[0] == 1:
            return t
        return t[first : first + count]

    def forward(
        query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float
    ) -> Any:
        if not suits(query, key, value, mask):
            return NotImplemented
        exact = _EXACT[COMPUTE[query.dtype]]
        made = runtime.empty(query.shape, query.dtype)
        sums = runtime.empty(query.shape[:3], exact)
        step = pieces(query, key.shape[2])
        for first in range(0, query.shape[0], step):
            q, k, v, m, o, s = (
                part(t, first, step) for t in (query, key, value, mask, made, sums)
            )
            launch, block, constant = plan(
                "attention_weights", q, k.shape[2], m, is_causal, 1.0
            )
            q, k, v = rows(q), rows(k), rows(v)
            shape = (q.shape[0], q.shape[1], k.shape[1])
            scores = runtime.empty(shape, exact)
            products.product(scores, q, k.swapaxes(1, 2), scale)
            weights = runtime.empty(shape, query.dtype)
            # Of one sample, part() leaves results whole: their rows are the same.
            launch((shape[0] * shape[1],), block, (weights, s, scores, m, constant))
            products.product(o.reshape(-1, *o.shape[2:]), weights, v)
        return made, sums

    def backward(
        grad: Any, query: Any, key: Any, value: Any, mask: Any, output: Any, sums: Any,
        is_causal: bool, scale: float, wanted: Any,
    ) -> Any:  # fmt: skip
        if not suits(query, key, value, mask) or grad.dtype != query.dtype:
            return NotImplemented
        exact = _EXACT[COMPUTE[query.dtype]]
        if sums.dtype != exact:
            return NotImplemented
        made = [
            runtime.empty(t.shape, t.dtype) if w else None
            for t, w in zip((query, key, value), wanted, strict=True)
        ]
        grad, output, sums = (runtime.contiguous(t) for t in (grad, output, sums))
        step = pieces(query, key.shape[2])
        for first in range(0, query.shape[0], step):
            q, k, v, m, g, o, by_q, by_k, by_v = (
                part(t, first, step)
                for t in (query, key, value, mask, grad, output, *made)
            )
            s = sums[first : first + step]
            launch, block, constant = plan(
                "attention_slopes", q, k.shape[2], m, is_causal, scale
            )
            q, k, v, g, o = rows(q), rows(k), rows(v), rows(g), rows(o)
            shape = (q.shape[0], q.shape[1], k.shape[1])
            scores = runtime.empty(shape, exact)
            products.product(scores, q, k.swapaxes(1, 2), scale)
            by_weights = runtime.empty(shape, exact)
            products.product(by_weights, g, v.swapaxes(1, 2))
            weights = runtime.empty(shape, query.dtype)
            slopes = runtime.empty(shape, query.dtype)
            launch(
                (shape[0] * shape[1],), block,
                (weights, slopes, scores, by_weights, g, o, s, m, constant),
            )  # fmt: skip
            for target, left, right in (
                (by_q, slopes, k),
                (by_k, slopes.swapaxes(1, 2), q),
                (by_v, weights.swapaxes(1, 2), g),
            ):
                if target is not None:
                    products.product(target.reshape(-1, *target.shape[2:]), left, right)
        return tuple(made)

    return {
        "_fused_attention": (forward, False),
        "_fused_attention_backward": (backward, False),
    }
