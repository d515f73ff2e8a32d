"""Fused kernels of whole blocks: normalisation, embeddings, attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["families", "is_half", "single"]

Function = Callable[..., Any]


def is_half(x: Any) -> bool:
    kind = x.dtype
    return bool(kind.itemsize == 2 and kind.kind in "fV")


def single(x: Any) -> Any:
    """An array of a half type in float32, anything else as it is."""
    return x.astype("float32") if x is not None and is_half(x) else x


# Normalisation. All see the input as a block with the reduced dims last (layer, group),
# or with channels in the middle (batch).


def _norms(xp: Any) -> dict[str, Function]:
    total = xp.add.reduce

    def moments(x: Any, dims: Any, count: int) -> tuple[Any, Any, Any]:
        """(x - mean), mean and variance."""
        mean = total(x, dims, None, None, True)
        mean /= count
        centred = x - mean
        if dims == 1:
            variance = xp.einsum("ij,ij->i", centred, centred)[:, None]
        else:
            variance = total(centred * centred, dims, None, None, True)
        variance /= count
        return centred, mean, variance

    def inverse(variance: Any, eps: float) -> Any:
        made = variance + eps
        xp.sqrt(made, out=made)
        return xp.divide(1, made, out=made)

    def input_gradient(grad: Any, normal: Any, rstd: Any) -> Any:
        """``grad`` (scaled by the weight) of rows, through mean and variance."""
        count = grad.shape[1]
        along = xp.einsum("ij,ij->i", grad, normal)[:, None]
        along /= count
        mean = total(grad, 1, None, None, True)
        mean /= count
        made = normal * along
        made += mean
        xp.subtract(grad, made, out=made)
        made *= rstd
        return made

    def layer_norm(x: Any, count: int, weight: Any, bias: Any, eps: float) -> Any:
        shape, kind = x.shape, x.dtype
        if not x.size:
            return NotImplemented
        inner = math.prod(shape[-count:])
        rows = single(x).reshape(-1, inner)
        made, mean, variance = moments(rows, 1, inner)
        rstd = inverse(variance, eps)
        made *= rstd
        if weight is not None:
            made *= single(weight).reshape(-1)
        if bias is not None:
            made += single(bias).reshape(-1)
        outer = shape[:-count] + (1,) * count
        of = kind if weight is None else weight.dtype
        return (
            made.reshape(shape).astype(kind, copy=False),
            mean.reshape(outer).astype(of, copy=False),
            rstd.reshape(outer).astype(of, copy=False),
        )

    def layer_norm_backward(
        grad: Any, x: Any, count: int, mean: Any, rstd: Any, weight: Any, bias: Any,
        mask: Any,
    ) -> Any:  # fmt: skip
        shape, kind = x.shape, x.dtype
        if not x.size:
            return NotImplemented
        inner = math.prod(shape[-count:])
        grad = single(grad).reshape(-1, inner)
        rstd = single(rstd).reshape(-1, 1)
        normal = single(x).reshape(-1, inner) - single(mean).reshape(-1, 1)
        normal *= rstd
        by_weight = by_bias = by_input = None
        if mask[1]:
            by_weight = xp.einsum("ij,ij->j", grad, normal)
            by_weight = by_weight.reshape(weight.shape).astype(weight.dtype, copy=False)
        if mask[2]:
            by_bias = total(grad, 0).reshape(bias.shape).astype(bias.dtype)
        if mask[0]:
            if weight is not None:
                grad = grad * single(weight).reshape(-1)
            by_input = input_gradient(grad, normal, rstd)
            by_input = by_input.reshape(shape).astype(kind, copy=False)
        return by_input, by_weight, by_bias

    def batch_norm(
        x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool,
        momentum: float, eps: float,
    ) -> Any:  # fmt: skip
        shape, kind = x.shape, x.dtype
        if not x.size or not x.flags.c_contiguous:
            return NotImplemented
        channels = shape[1]
        block = single(x).reshape(shape[0], channels, -1)
        dims = (0, 2)
        if training:
            count = block.shape[0] * block.shape[2]
            made, own, variance = moments(block, dims, count)
            rstd = inverse(variance, eps)
            for running, new in (
                (mean, own),
                (var, variance * (count / (count - 1 or 1))),
            ):
                if running is not None:
                    moved = single(running) * (1 - momentum)
                    moved += new.reshape(-1) * momentum
                    running[...] = moved
            scale = rstd
        else:
            made = block - single(mean).reshape(1, -1, 1)
            scale = inverse(single(var).reshape(1, -1, 1), eps)
        if weight is not None:
            scale = scale * single(weight).reshape(1, -1, 1)
        made *= scale
        if bias is not None:
            made += single(bias).reshape(1, -1, 1)
        parameter = mean if weight is None else weight
        of = kind if parameter is None else parameter.dtype
        if training:
            saved = [t.reshape(-1).astype(of, copy=False) for t in (own, rstd)]
        else:
            saved = [xp.empty((0,), kind)] * 2
        return made.reshape(shape).astype(kind, copy=False), *saved

    def batch_norm_backward(
        grad: Any, x: Any, weight: Any, running_mean: Any, running_var: Any, mean: Any,
        invstd: Any, train: bool, eps: float, mask: Any,
    ) -> Any:  # fmt: skip
        shape, kind = x.shape, x.dtype
        if not x.size or not x.flags.c_contiguous:
            return NotImplemented
        dims = (0, 2)
        rows = (shape[0], shape[1], -1)
        grad = single(grad).reshape(rows)
        block = single(x).reshape(rows)
        of = kind if weight is None else weight.dtype
        if train:
            mean, rstd = (single(t).reshape(1, -1, 1) for t in (mean, invstd))
        else:
            mean = single(running_mean).reshape(1, -1, 1)
            rstd = inverse(single(running_var).reshape(1, -1, 1), eps)
        count = block.shape[0] * block.shape[2]
        by_bias = total(grad, dims) if mask[2] or train else None
        by_input = by_weight = along = None
        if mask[1] or train:
            normal = block - mean
            normal *= rstd
            along = total(grad * normal, dims)
            by_weight = along.astype(of) if mask[1] else None
        if mask[0]:
            scale = rstd
            if weight is not None:
                scale = rstd * single(weight).reshape(1, -1, 1)
            if train:
                normal *= (along / count).reshape(1, -1, 1)
                normal += (by_bias / count).reshape(1, -1, 1)
                by_input = xp.subtract(grad, normal, out=normal)
                by_input *= scale
            else:
                by_input = grad * scale
            by_input = by_input.reshape(shape).astype(kind, copy=False)
        return by_input, by_weight, by_bias.astype(of) if mask[2] else None  # type: ignore[union-attr]

    def group_norm(
        x: Any, weight: Any, bias: Any, n: int, c: int, hw: int, group: int, eps: float
    ) -> Any:
        shape, kind = x.shape, x.dtype
        if not x.size:
            return NotImplemented
        rows = single(x).reshape(n * group, -1)
        made, mean, variance = moments(rows, 1, rows.shape[1])
        rstd = inverse(variance, eps)
        made *= rstd
        made = made.reshape(n, c, -1)
        if weight is not None:
            made *= single(weight).reshape(1, -1, 1)
        if bias is not None:
            made += single(bias).reshape(1, -1, 1)
        of = kind if weight is None else weight.dtype
        made = made.reshape(shape).astype(kind, copy=False)
        if not x.flags.c_contiguous and x.ndim in (4, 5):
            from dispatchtorch.ops._formats import channels_last_strides

            if channels_last_strides(shape, x.strides):
                last = xp.ascontiguousarray(xp.moveaxis(made, 1, -1))
                made = xp.moveaxis(last, -1, 1)
        return (
            made,
            mean.reshape(n, group).astype(of, copy=False),
            rstd.reshape(n, group).astype(of, copy=False),
        )

    def group_norm_backward(
        grad: Any, x: Any, mean: Any, rstd: Any, weight: Any, n: int, c: int, hw: int,
        group: int, mask: Any,
    ) -> Any:  # fmt: skip
        shape, kind = x.shape, x.dtype
        if not x.size:
            return NotImplemented
        mean, rstd = (single(t).reshape(-1, 1) for t in (mean, rstd))
        normal = single(x).reshape(n * group, -1) - mean
        normal *= rstd
        grad = single(grad).reshape(n, c, -1)
        of = kind if weight is None else weight.dtype
        by_weight = by_bias = by_input = None
        if mask[1]:
            by_weight = total(grad * normal.reshape(n, c, -1), (0, 2)).astype(of)
        if mask[2]:
            by_bias = total(grad, (0, 2)).astype(of)
        if mask[0]:
            if weight is not None:
                grad = grad * single(weight).reshape(1, -1, 1)
            grad = grad.reshape(n * group, -1)
            by_input = input_gradient(grad, normal, rstd)
            by_input = by_input.reshape(shape).astype(kind, copy=False)
        return by_input, by_weight, by_bias

    return {
        "native_layer_norm": layer_norm,
        "native_layer_norm_backward": layer_norm_backward,
        "native_batch_norm": batch_norm,
        "native_batch_norm_backward": batch_norm_backward,
        "native_group_norm": group_norm,
        "native_group_norm_backward": group_norm_backward,
    }


# Embeddings.


def _embeddings(xp: Any) -> dict[str, Function]:
    def embedding(weight: Any, indices: Any, *options: Any) -> Any:
        if indices.size and (indices.min() < 0 or indices.max() >= weight.shape[0]):
            raise IndexError("index out of range in self")
        return xp.take(weight, indices, 0)

    def embedding_backward(
        grad: Any, indices: Any, count: int, padding_idx: int, scale: bool
    ) -> Any:
        width, kind = grad.shape[-1], grad.dtype
        rows = indices.reshape(-1)
        if not rows.size:
            return xp.zeros((count, width), kind)
        grads = single(grad).reshape(-1, width)
        if padding_idx >= 0:
            kept = rows != padding_idx
            if not kept.all():
                rows, grads = rows[kept], grads[kept]
                if not rows.size:
                    return xp.zeros((count, width), kind)
        # Rows of one index next to each other, then one sum for each.
        order = xp.argsort(rows, kind="stable")
        sorted_rows = rows[order]
        first = xp.empty(sorted_rows.shape, bool)
        first[0] = True
        xp.not_equal(sorted_rows[1:], sorted_rows[:-1], out=first[1:])
        starts = xp.flatnonzero(first)
        sums = xp.add.reduceat(grads[order], starts, 0)
        if scale:
            counts = xp.diff(xp.append(starts, rows.size))
            sums /= counts.astype(sums.dtype)[:, None]
        made = xp.zeros((count, width), kind)
        made[sorted_rows[starts]] = sums
        return made

    return {"embedding": embedding, "embedding_dense_backward": embedding_backward}


# Attention.


def _attention(xp: Any) -> dict[str, Function]:
    greatest, total, matmul = xp.maximum.reduce, xp.add.reduce, xp.matmul
    minus_infinity = -math.inf

    def scores_of(
        query: Any, key: Any, mask: Any, is_causal: bool, scale: float
    ) -> Any:
        scores = matmul(query * scale, key.swapaxes(-2, -1))
        if is_causal:
            rows = xp.arange(scores.shape[-2])[:, None]
            hidden = rows < xp.arange(scores.shape[-1])
            xp.copyto(scores, minus_infinity, where=hidden)
        if mask is None:
            return scores
        if mask.dtype.kind == "b":
            xp.copyto(scores, minus_infinity, where=~mask)
        else:
            scores += single(mask)
        return scores

    def forward(
        query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float
    ) -> Any:
        kind = query.dtype
        query, key, value = (single(t) for t in (query, key, value))
        scores = scores_of(query, key, mask, is_causal, scale)
        top = greatest(scores, -1, None, None, True)
        xp.copyto(top, 0, where=top == minus_infinity)
        scores -= top
        xp.exp(scores, out=scores)
        sums = total(scores, -1, None, None, True)
        made = matmul(scores, value)
        made /= xp.where(sums == 0, sums.dtype.type(1), sums)
        top += xp.log(sums)
        return made.astype(kind, copy=False), top[..., 0]

    def backward(
        grad: Any, query: Any, key: Any, value: Any, mask: Any, output: Any, sums: Any,
        is_causal: bool, scale: float, wanted: Any,
    ) -> Any:  # fmt: skip
        kind = query.dtype
        grad, query, key, value = (single(t) for t in (grad, query, key, value))
        weights = scores_of(query, key, mask, is_causal, scale)
        weights -= xp.where(sums == minus_infinity, sums.dtype.type(0), sums)[..., None]
        xp.exp(weights, out=weights)
        by_value = by_query = by_key = None
        if wanted[2]:
            by_value = matmul(weights.swapaxes(-2, -1), grad)
        if wanted[0] or wanted[1]:
            scores = matmul(grad, value.swapaxes(-2, -1))
            scores -= total(grad * single(output), -1, None, None, True)
            scores *= weights
            scores *= scale
            by_query = matmul(scores, key) if wanted[0] else None
            by_key = matmul(scores.swapaxes(-2, -1), query) if wanted[1] else None
        return tuple(
            None if t is None else t.astype(kind, copy=False)
            for t in (by_query, by_key, by_value)
        )

    return {"_fused_attention": forward, "_fused_attention_backward": backward}


families = (_norms, _embeddings, _attention)
