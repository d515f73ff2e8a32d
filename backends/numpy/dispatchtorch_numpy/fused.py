"""Fused kernels of neural networks, laid over their decompositions.

Each does in one go what its operator's body does by many. Half types compute in
float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dispatchtorch._threads import in_shares
from dispatchtorch_numpy import _fused_blocks, special
from dispatchtorch_numpy._fused_blocks import is_half as _is_half
from dispatchtorch_numpy._fused_blocks import single as _single

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]
Function = Callable[..., Any]

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715


def kernels_for(xp: Any) -> Kernels:
    """The fused kernels of an array module."""
    kernels: Kernels = {}
    for family in (_activations, _softmax, _losses, *_fused_blocks.families):
        for name, function in family(xp).items():
            kernels[name] = (function, False)
    return kernels


#: Elements that a kernel of many passes works on at a time: few enough to stay in cache,
#: enough that threads seldom wait for the interpreter's lock.
_CHUNK = 1 << 17


def _elementwise(xp: Any, function: Function) -> Function:
    """A kernel of real arrays with dims, for 0-d arrays and half types too."""
    chunked = xp.__name__ == "numpy"

    def kernel(x: Any, *rest: Any) -> Any:
        kind = x.dtype
        if x.ndim and kind.itemsize > 2:
            if kind.kind == "c":
                return NotImplemented
            if chunked and x.size > _CHUNK:
                return _by_chunks(xp, function, x, rest)
            return function(x, *rest)
        if kind.kind not in "fV" or kind.itemsize == 1:
            return NotImplemented
        wide = [
            (_single(r) if r.ndim else _single(r).reshape(1))
            if hasattr(r, "ndim")
            else r
            for r in (x, *rest)
        ]
        made = function(*wide)
        if made is NotImplemented:
            return made
        made = made.astype(kind, copy=False)
        return made if x.ndim else made.reshape(())

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


def _by_chunks(xp: Any, function: Function, x: Any, rest: Any) -> Any:
    """``function`` on pieces of arrays of one shape; on the whole of others."""
    arrays = [x, *(r for r in rest if hasattr(r, "ndim"))]
    if any(a.shape != x.shape or not a.flags.c_contiguous for a in arrays):
        return function(x, *rest)
    others = [r for r in rest if not hasattr(r, "ndim")]
    flat = [a.reshape(-1) for a in arrays]
    made = xp.empty(x.shape, x.dtype)
    target = made.reshape(-1)
    first = function(*[a[:_CHUNK] for a in flat], *others)
    if first is NotImplemented:
        return NotImplemented
    target[:_CHUNK] = first

    def share(start: int, stop: int) -> None:
        for i in range(max(start, _CHUNK), stop, _CHUNK):
            part = slice(i, min(i + _CHUNK, stop))
            target[part] = function(*[a[part] for a in flat], *others)

    in_shares(share, x.size, _CHUNK)
    return made


# Activations.


def _activations(xp: Any) -> dict[str, Function]:
    erf = special.kernels_for(xp)["erf"][0]
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
        if approximate == "none":
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
        if approximate == "none":
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
        return where(x <= threshold, xp.zeros((), grad.dtype), grad)

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
    kernels = {name: _elementwise(xp, function) for name, function in made.items()}  # type: ignore[arg-type]
    kernels["threshold_backward"] = threshold_backward
    return kernels


# Softmax.


def _softmax(xp: Any) -> dict[str, Function]:
    greatest, total = xp.maximum.reduce, xp.add.reduce
    exp = xp.exp

    chunked = xp.__name__ == "numpy"

    def wide(function: Function) -> Function:
        def kernel(*args: Any) -> Any:
            *arrays, dim, shape = args
            first = arrays[0]
            if not first.size:
                return xp.empty_like(first).reshape(shape)
            kind = first.dtype
            if _is_half(first):
                made = function(*map(_single, arrays), dim).astype(kind)
            elif chunked and first.size > _CHUNK and dim == first.ndim - 1:
                made = by_rows(function, arrays)
            else:
                made = function(*arrays, dim)
            return made if made.shape == shape else made.reshape(shape)

        kernel.__wrapped__ = function  # type: ignore[attr-defined]
        return kernel

    def by_rows(function: Function, arrays: Any) -> Any:
        """``function`` along the last dim, some rows at a time."""
        shape = arrays[0].shape
        rows = [a.reshape(-1, shape[-1]) for a in arrays]
        made = xp.empty(rows[0].shape, rows[0].dtype)
        step = max(1, _CHUNK // shape[-1])

        def share(start: int, stop: int) -> None:
            for i in range(start, stop, step):
                part = slice(i, min(i + step, stop))
                function(*[r[part] for r in rows], 1, out=made[part])

        in_shares(share, len(made), step)
        return made.reshape(shape)

    def dense(x: Any) -> Any:
        return x if x.flags.c_contiguous else xp.ascontiguousarray(x)

    @wide
    def softmax(x: Any, dim: int, out: Any = None) -> Any:
        x = dense(x)
        made = xp.subtract(x, greatest(x, dim, None, None, True), out=out)
        exp(made, out=made)
        made /= total(made, dim, None, None, True)
        return made

    @wide
    def log_softmax(x: Any, dim: int, out: Any = None) -> Any:
        x = dense(x)
        made = xp.subtract(x, greatest(x, dim, None, None, True), out=out)
        sums = total(exp(made), dim, None, None, True)
        made -= xp.log(sums)
        return made

    @wide
    def softmax_backward(grad: Any, output: Any, dim: int, out: Any = None) -> Any:
        made = xp.multiply(grad, output, out=out)
        made -= output * total(made, dim, None, None, True)
        return made

    @wide
    def log_softmax_backward(grad: Any, output: Any, dim: int, out: Any = None) -> Any:
        made = exp(output, out=out)
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

    def reduced(losses: Any, reduction: int, kind: Any) -> Any:
        if not reduction:
            return losses.astype(kind, copy=False)
        made = losses.sum()
        if reduction == 1:
            made = made / losses.size if losses.size else made * math.nan
        return xp.asarray(made, kind)

    def scaled(slopes: Any, grad: Any, reduction: int, kind: Any) -> Any:
        scale = _single(grad)
        if reduction == 1:
            scale = scale / max(slopes.size, 1)
        return xp.multiply(slopes, scale).astype(kind, copy=False)

    def smooth_l1_loss(x: Any, y: Any, reduction: int, beta: float) -> Any:
        if beta == 0 or not x.ndim or not y.ndim:
            return NotImplemented
        distance = xp.abs(_single(x) - _single(y))
        made = distance * distance
        made *= 0.5 / beta
        losses = xp.where(distance < beta, made, distance - 0.5 * beta)
        return reduced(losses, reduction, x.dtype)

    def smooth_l1_loss_backward(
        grad: Any, x: Any, y: Any, reduction: int, beta: float
    ) -> Any:
        if beta == 0 or not x.ndim or not y.ndim:
            return NotImplemented
        made = _single(x) - _single(y)
        made /= beta
        return scaled(xp.clip(made, -1, 1, out=made), grad, reduction, x.dtype)

    def huber_loss(x: Any, y: Any, reduction: int, delta: float) -> Any:
        if x.dtype != y.dtype or x.dtype.kind not in "fV" or delta <= 0:
            return NotImplemented
        if not x.ndim or x.shape != y.shape:
            return NotImplemented
        distance = xp.abs(_single(x) - _single(y))
        made = distance * distance
        made *= 0.5
        losses = xp.where(distance <= delta, made, (distance - 0.5 * delta) * delta)
        return reduced(losses, reduction, x.dtype)

    def huber_loss_backward(
        grad: Any, x: Any, y: Any, reduction: int, delta: float
    ) -> Any:
        if not x.ndim or not y.ndim:
            return NotImplemented
        made = _single(x) - _single(y)
        return scaled(xp.clip(made, -delta, delta, out=made), grad, reduction, x.dtype)

    def bce_with_logits(
        x: Any, y: Any, weight: Any, pos_weight: Any, reduction: int
    ) -> Any:
        plain = weight is None and pos_weight is None and x.ndim
        if not plain or x.shape != y.shape or x.dtype != y.dtype:
            return NotImplemented
        if x.dtype.kind not in "fV":
            return NotImplemented
        kind = x.dtype
        x, y = _single(x), _single(y)
        made = xp.abs(x)
        xp.negative(made, out=made)
        xp.exp(made, out=made)
        xp.log1p(made, out=made)
        made += xp.maximum(x, 0)
        made -= x * y
        return reduced(made, reduction, kind)

    def labels_of(target: Any, ignored: int, classes: int) -> tuple[Any, Any]:
        """Labels with 0 for ignored ones, and which count (None: all)."""
        if target.dtype.itemsize == 8 and target.size and not 0 <= ignored < classes:
            # Of unsigned numbers, negative ones are the largest.
            if target.view("uint64").max() < classes:
                return target, None
        valid: Any = target != ignored
        if valid.all():
            valid = None
            labels = target
        else:
            labels = xp.where(valid, target, 0)
        wrong = labels[(labels < 0) | (labels >= classes)]
        if wrong.size:
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
        "smooth_l1_loss": smooth_l1_loss,
        "smooth_l1_loss_backward": smooth_l1_loss_backward,
        "huber_loss": huber_loss,
        "huber_loss_backward": huber_loss_backward,
        "binary_cross_entropy_with_logits": bce_with_logits,
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
