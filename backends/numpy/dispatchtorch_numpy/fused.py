"""Fused kernels of neural networks, laid over their decompositions.

Each does in one go what its operator's body does by many. Half types compute in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dispatchtorch_numpy import special

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]
Function = Callable[..., Any]

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715


def kernels_for(xp: Any) -> Kernels:
    """The fused kernels of an array module."""
    kernels: Kernels = {}
    for family in (_activations, _softmax, _losses, _norms, _embeddings, _attention):
        for name, function in family(xp).items():
            kernels[name] = (function, False)
    return kernels


def _is_half(x: Any) -> bool:
    kind = x.dtype
    return bool(kind.itemsize == 2 and kind.kind in "fV")


def _single(x: Any) -> Any:
    """An array of a half type in float32, anything else as it is."""
    return x.astype("float32") if x is not None and _is_half(x) else x


def _elementwise(function: Function) -> Function:
    """A kernel of real arrays with dims, for 0-d arrays and half types too."""

    def kernel(x: Any, *rest: Any) -> Any:
        kind = x.dtype
        if x.ndim and kind.itemsize > 2:
            return NotImplemented if kind.kind == "c" else function(x, *rest)
        if kind.kind not in "fV" or kind.itemsize == 1:
            return NotImplemented
        wide = [
            (_single(r) if r.ndim else _single(r).reshape(1))
            if hasattr(r, "ndim")
            else r
            for r in (x, *rest)
        ]
        made = function(*wide).astype(kind, copy=False)
        return made if x.ndim else made.reshape(())

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


# Activations.


def _activations(xp: Any) -> dict[str, Function]:
    special_erf = special.kernels_for(xp).get("erf")
    erf = special_erf[0] if special_erf is not None else None
    exp, tanh, where = xp.exp, xp.tanh, xp.where

    def sigmoid(x: Any) -> Any:
        # tanh doesn't overflow, and is exact at both ends.
        made = x * 0.5
        tanh(made, out=made)
        made *= 0.5
        made += 0.5
        return made

    def normal(x: Any) -> Any:
        """The normal distribution function."""
        made = erf(x * _SQRT_HALF)  # type: ignore[misc]
        made += 1
        made *= 0.5
        return made

    def gelu(x: Any, approximate: str) -> Any:
        if approximate == "none" and erf is not None:
            made = normal(x)
        elif approximate == "tanh":
            made = x * x
            made *= _GELU_CUBIC * _SQRT_2_OVER_PI
            made += _SQRT_2_OVER_PI
            made *= x
            tanh(made, out=made)
            made += 1
            made *= 0.5
        else:
            return NotImplemented
        made *= x
        return made

    def gelu_backward(grad: Any, x: Any, approximate: str) -> Any:
        if approximate == "none" and erf is not None:
            made = x * x
            made *= -0.5
            exp(made, out=made)
            made *= _SQRT_2_OVER_PI / 2
            made *= x
            made += normal(x)
        elif approximate == "tanh":
            square = x * x
            t = square * (_GELU_CUBIC * _SQRT_2_OVER_PI)
            t += _SQRT_2_OVER_PI
            t *= x
            tanh(t, out=t)
            square *= 3 * _GELU_CUBIC * _SQRT_2_OVER_PI
            square += _SQRT_2_OVER_PI
            made = t * t
            made -= 1
            made *= square
            made *= x
            made *= -0.5
            t += 1
            t *= 0.5
            made += t
        else:
            return NotImplemented
        made *= grad
        return made

    def silu(x: Any) -> Any:
        made = sigmoid(x)
        made *= x
        return made

    def silu_backward(grad: Any, x: Any) -> Any:
        s = sigmoid(x)
        made = 1 - s
        made *= x
        made += 1
        made *= s
        made *= grad
        return made

    def softplus_tanh(x: Any) -> Any:
        """``tanh(softplus(x))`` by one exponential: (n² + 2n) / (n² + 2n + 2)."""
        n = exp(xp.minimum(x, 20))
        n *= n + 2
        n /= n + 2
        return n

    def mish(x: Any) -> Any:
        made = softplus_tanh(x)
        made *= x
        return made

    def mish_backward(grad: Any, x: Any) -> Any:
        t = softplus_tanh(x)
        made = t * t
        made -= 1
        made *= sigmoid(x)
        made *= x
        t -= made
        t *= grad
        return t

    def softplus(x: Any, beta: Any, threshold: Any) -> Any:
        scaled = x * beta
        made = exp(scaled)
        xp.log1p(made, out=made)
        made /= beta
        return where(scaled > threshold, x, made)

    def softplus_backward(grad: Any, x: Any, beta: Any, threshold: Any) -> Any:
        scaled = x * beta
        return where(scaled > threshold, grad, grad * sigmoid(scaled))

    def elu(x: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
        made = xp.expm1(x * input_scale)
        made *= alpha * scale
        return where(x < 0, made, x * scale)

    def elu_backward(
        grad: Any, x: Any, alpha: Any, scale: Any, input_scale: Any
    ) -> Any:
        made = exp(x * input_scale)
        made *= alpha * scale * input_scale
        made = where(x <= 0, made, made.dtype.type(scale))
        made *= grad
        return made

    def leaky_relu(x: Any, slope: Any) -> Any:
        return where(x > 0, x, x * slope)

    def leaky_relu_backward(grad: Any, x: Any, slope: Any) -> Any:
        return where(x > 0, grad, grad * slope)

    def hardswish(x: Any) -> Any:
        made = x + 3
        xp.maximum(made, 0, out=made)
        xp.minimum(made, 6, out=made)
        made *= x
        made /= 6
        return made

    def threshold_backward(grad: Any, x: Any, threshold: Any) -> Any:
        if grad.dtype != x.dtype:
            return NotImplemented
        return where(x <= threshold, grad.dtype.type(0), grad)

    made = {
        "gelu": gelu,
        "gelu_backward": gelu_backward,
        "silu": silu,
        "silu_backward": silu_backward,
        "mish": mish,
        "mish_backward": mish_backward,
        "softplus": softplus,
        "softplus_backward": softplus_backward,
        "elu": elu,
        "_elu_backward": elu_backward,
        "leaky_relu": leaky_relu,
        "_leaky_relu_backward": leaky_relu_backward,
        "hardswish": hardswish,
    }
    kernels = {name: _elementwise(function) for name, function in made.items()}  # type: ignore[arg-type]
    kernels["threshold_backward"] = threshold_backward
    return kernels


# Softmax.


def _softmax(xp: Any) -> dict[str, Function]:
    greatest, total = xp.maximum.reduce, xp.add.reduce
    exp = xp.exp

    def wide(function: Function) -> Function:
        def kernel(*args: Any) -> Any:
            first, shape = args[0], args[-1]
            if not first.size:
                return xp.empty_like(first).reshape(shape)
            kind = first.dtype
            if _is_half(first):
                args = tuple(_single(a) if hasattr(a, "ndim") else a for a in args)
                made = function(*args[:-1]).astype(kind)
            else:
                made = function(*args[:-1])
            return made if made.shape == shape else made.reshape(shape)

        kernel.__wrapped__ = function  # type: ignore[attr-defined]
        return kernel

    @wide
    def softmax(x: Any, dim: int) -> Any:
        made = x - greatest(x, dim, None, None, True)
        exp(made, out=made)
        made /= total(made, dim, None, None, True)
        return made

    @wide
    def log_softmax(x: Any, dim: int) -> Any:
        made = x - greatest(x, dim, None, None, True)
        sums = total(exp(made), dim, None, None, True)
        made -= xp.log(sums)
        return made

    @wide
    def softmax_backward(grad: Any, output: Any, dim: int) -> Any:
        made = grad * output
        made -= output * total(made, dim, None, None, True)
        return made

    @wide
    def log_softmax_backward(grad: Any, output: Any, dim: int) -> Any:
        made = exp(output)
        made *= total(grad, dim, None, None, True)
        return xp.subtract(grad, made, out=made)

    return {
        "_softmax": softmax,
        "_log_softmax": log_softmax,
        "_softmax_backward_data": softmax_backward,
        "_log_softmax_backward_data": log_softmax_backward,
    }


# Losses.


def _losses(xp: Any) -> dict[str, Function]:
    def mse_loss(x: Any, y: Any, reduction: int) -> Any:
        kind = x.dtype
        difference = xp.subtract(_single(x), _single(y))
        if not reduction:
            return xp.multiply(difference, difference).astype(kind, copy=False)
        flat = difference.reshape(-1)
        made = xp.dot(flat, flat)
        if reduction == 1:
            made = made / flat.size if flat.size else made * math.nan
        return xp.asarray(made, kind)

    def mse_loss_backward(grad: Any, x: Any, y: Any, reduction: int) -> Any:
        kind = x.dtype
        made = xp.subtract(_single(x), _single(y))
        scale = 2.0 / max(made.size, 1) if reduction == 1 else 2.0
        return xp.multiply(made, _single(grad) * scale).astype(kind, copy=False)

    def labels_of(target: Any, ignored: int, classes: int) -> tuple[Any, Any]:
        """Labels with 0 for ignored ones, and which count (None: all)."""
        valid = target != ignored
        if valid.all():
            valid = None
            labels = target
        else:
            labels = xp.where(valid, target, 0)
        # Of unsigned numbers, negative ones are the largest.
        if labels.size and labels.astype("int64").view("uint64").max() >= classes:
            wrong = labels[(labels < 0) | (labels >= classes)]
            raise IndexError(f"Target {int(wrong.reshape(-1)[0])} is out of bounds.")
        return labels.astype("int64", copy=False), valid

    def nll_forward(
        x: Any, target: Any, weight: Any, reduction: int, ignored: int, shape: Any
    ) -> Any:
        kind = x.dtype
        x, weight = _single(x), _single(weight)
        labels, valid = labels_of(target, ignored, x.shape[1])
        picked = _pick(xp, x, labels)
        losses = xp.negative(picked)
        weights: Any = None
        if weight is not None:
            weights = weight[labels]
            losses *= weights
        if valid is not None:
            weights = valid.astype(x.dtype) if weights is None else weights * valid
            losses = xp.where(valid, losses, x.dtype.type(0))
        if not reduction:
            none = losses.reshape(shape).astype(kind, copy=False)
            return none, xp.zeros((), kind)
        count = labels.size if weights is None else weights.sum()
        made = losses.sum()
        if reduction == 1:
            made = made / count if count else made * math.nan
        return xp.asarray(made, kind), xp.asarray(count, kind)

    def nll_backward(
        grad: Any, x: Any, target: Any, weight: Any, reduction: int, ignored: int,
        total: Any,
    ) -> Any:  # fmt: skip
        shape, kind = x.shape, x.dtype
        if len(shape) == 1:
            x, target = x.reshape(1, -1), target.reshape(1)
        grad, weight = _single(grad), _single(weight)
        if reduction == 1:
            grad = grad / _single(total)
        elif not reduction:
            grad = grad.reshape(target.shape)
        labels, valid = labels_of(target, ignored, x.shape[1])
        values: Any = -grad if weight is None else -grad * weight[labels]
        if valid is not None:
            values = xp.where(valid, values, 0)
        made = xp.zeros(x.shape, kind)
        _put(xp, made, labels, values)
        return made.reshape(shape)

    return {
        "mse_loss": mse_loss,
        "mse_loss_backward": mse_loss_backward,
        "nll_loss_forward": nll_forward,
        "nll_loss2d_forward": nll_forward,
        "nll_loss_backward": nll_backward,
        "nll_loss2d_backward": nll_backward,
    }


def _pick(xp: Any, x: Any, labels: Any) -> Any:
    """``x[n, labels[n, …], …]``."""
    if x.ndim == 2:
        return x[xp.arange(x.shape[0]), labels]
    return xp.take_along_axis(x, xp.expand_dims(labels, 1), 1)[:, 0]


def _put(xp: Any, x: Any, labels: Any, values: Any) -> None:
    if x.ndim == 2:
        x[xp.arange(x.shape[0]), labels] = values
    else:
        values = xp.expand_dims(xp.broadcast_to(values, labels.shape), 1)
        xp.put_along_axis(x, xp.expand_dims(labels, 1), values.astype(x.dtype), 1)


# Normalisation. All see the input as a block with the reduced dims last (layer, group),
# or with channels in the middle (batch).


def _norms(xp: Any) -> dict[str, Function]:
    total = xp.add.reduce

    def moments(x: Any, dims: Any, count: int, eps: float) -> tuple[Any, Any, Any]:
        """(x - mean), mean and 1 / deviation."""
        mean = total(x, dims, None, None, True)
        mean /= count
        centred = x - mean
        variance = total(centred * centred, dims, None, None, True)
        variance /= count
        return centred, mean, variance

    def inverse(variance: Any, eps: float) -> Any:
        made = variance + eps
        xp.sqrt(made, out=made)
        return xp.divide(1, made, out=made)

    def input_gradient(grad: Any, normal: Any, rstd: Any, dims: Any, count: int) -> Any:
        """``grad`` (scaled by the weight) through mean and variance, in place."""
        along = total(grad * normal, dims, None, None, True)
        along /= count
        mean = total(grad, dims, None, None, True)
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
        rows = _single(x).reshape(-1, inner)
        made, mean, variance = moments(rows, 1, inner, eps)
        rstd = inverse(variance, eps)
        made *= rstd
        if weight is not None:
            made *= _single(weight).reshape(-1)
        if bias is not None:
            made += _single(bias).reshape(-1)
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
        grad = _single(grad).reshape(-1, inner)
        rstd = _single(rstd).reshape(-1, 1)
        normal = _single(x).reshape(-1, inner) - _single(mean).reshape(-1, 1)
        normal *= rstd
        by_weight = by_bias = by_input = None
        if mask[1]:
            by_weight = (
                total(grad * normal, 0).reshape(weight.shape).astype(weight.dtype)
            )
        if mask[2]:
            by_bias = total(grad, 0).reshape(bias.shape).astype(bias.dtype)
        if mask[0]:
            if weight is not None:
                grad = grad * _single(weight).reshape(-1)
            by_input = input_gradient(grad, normal, rstd, 1, inner)
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
        block = _single(x).reshape(shape[0], channels, -1)
        dims = (0, 2)
        if training:
            count = block.shape[0] * block.shape[2]
            made, own, variance = moments(block, dims, count, eps)
            rstd = inverse(variance, eps)
            for running, new in (
                (mean, own),
                (var, variance * (count / (count - 1 or 1))),
            ):
                if running is not None:
                    moved = _single(running) * (1 - momentum)
                    moved += new.reshape(-1) * momentum
                    running[...] = moved
            scale = rstd
        else:
            made = block - _single(mean).reshape(1, -1, 1)
            scale = inverse(_single(var).reshape(1, -1, 1), eps)
        if weight is not None:
            scale = scale * _single(weight).reshape(1, -1, 1)
        made *= scale
        if bias is not None:
            made += _single(bias).reshape(1, -1, 1)
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
        grad = _single(grad).reshape(rows)
        block = _single(x).reshape(rows)
        of = kind if weight is None else weight.dtype
        if train:
            mean, rstd = (_single(t).reshape(1, -1, 1) for t in (mean, invstd))
        else:
            mean = _single(running_mean).reshape(1, -1, 1)
            rstd = inverse(_single(running_var).reshape(1, -1, 1), eps)
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
                scale = rstd * _single(weight).reshape(1, -1, 1)
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
        rows = _single(x).reshape(n * group, -1)
        made, mean, variance = moments(rows, 1, rows.shape[1], eps)
        rstd = inverse(variance, eps)
        made *= rstd
        made = made.reshape(n, c, -1)
        if weight is not None:
            made *= _single(weight).reshape(1, -1, 1)
        if bias is not None:
            made += _single(bias).reshape(1, -1, 1)
        of = kind if weight is None else weight.dtype
        return (
            made.reshape(shape).astype(kind, copy=False),
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
        mean, rstd = (_single(t).reshape(-1, 1) for t in (mean, rstd))
        normal = _single(x).reshape(n * group, -1) - mean
        normal *= rstd
        grad = _single(grad).reshape(n, c, -1)
        of = kind if weight is None else weight.dtype
        by_weight = by_bias = by_input = None
        if mask[1]:
            by_weight = total(grad * normal.reshape(n, c, -1), (0, 2)).astype(of)
        if mask[2]:
            by_bias = total(grad, (0, 2)).astype(of)
        if mask[0]:
            if weight is not None:
                grad = grad * _single(weight).reshape(1, -1, 1)
            grad = grad.reshape(n * group, -1)
            by_input = input_gradient(grad, normal, rstd, 1, grad.shape[1])
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
        grads = _single(grad).reshape(-1, width)
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
            scores += _single(mask)
        return scores

    def forward(
        query: Any, key: Any, value: Any, mask: Any, is_causal: bool, scale: float
    ) -> Any:
        kind = query.dtype
        query, key, value = (_single(t) for t in (query, key, value))
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
        grad, query, key, value = (_single(t) for t in (grad, query, key, value))
        weights = scores_of(query, key, mask, is_causal, scale)
        weights -= xp.where(sums == minus_infinity, sums.dtype.type(0), sums)[..., None]
        xp.exp(weights, out=weights)
        by_value = by_query = by_key = None
        if wanted[2]:
            by_value = matmul(weights.swapaxes(-2, -1), grad)
        if wanted[0] or wanted[1]:
            scores = matmul(grad, value.swapaxes(-2, -1))
            scores -= total(grad * _single(output), -1, None, None, True)
            scores *= weights
            scores *= scale
            by_query = matmul(scores, key) if wanted[0] else None
            by_key = matmul(scores.swapaxes(-2, -1), query) if wanted[1] else None
        return tuple(
            None if t is None else t.astype(kind, copy=False)
            for t in (by_query, by_key, by_value)
        )

    return {"_fused_attention": forward, "_fused_attention_backward": backward}
