"""Random operators of one variate a parameter, and gradients of gamma variates.

The gradients are implicit: dz/da = -(dF(z; a)/da) / f(z; a) with the distribution
function F and the density f (Figurnov et al. 2018). Both here are integrals over one
tail of a log-concave density, taken on the side of the mode where the tail is short,
by double-exponential quadrature in float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops._common import scalar_type_name, torch
from dispatchtorch.ops.random import _host, _tensor
from dispatchtorch.tensor import Tensor

_FUNCTION = "function"
_G = "Generator? generator=None"
_WIDE = (dtypes.float32, dtypes.float64)


def _require_wide(t: Tensor, kernel: str) -> None:
    if t.dtype not in _WIDE:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_type_name(t.dtype)}'"
        )


def _same_dtype(first: Tensor, *rest: Tensor) -> None:
    for t in rest:
        if t.dtype is not first.dtype:
            raise RuntimeError(
                f"Found dtype {scalar_type_name(t.dtype)} but expected "
                f"{scalar_type_name(first.dtype)}"
            )


def _draw(method: str, generator: Any, *parameters: Tensor) -> Tensor:
    """What an engine's sampler of arrays of parameters draws."""
    from dispatchtorch.random import engine_for

    like = parameters[0]
    if like._backend.device_type == "meta":
        return torch.empty_like(like)
    engine, on_host = engine_for(like, generator)
    arrays = [_host(p.detach()) for p in parameters]
    return _tensor(like, getattr(engine, method)(*arrays), on_host)


@operator(
    f"_standard_gamma(Tensor self, {_G}) -> Tensor",
    tags="random",
    variants=_FUNCTION,
)
def _standard_gamma(self, generator):
    """Gamma distributed numbers of the given concentrations and rate one."""
    _require_wide(self, "gamma_cpu")
    return _draw("standard_gamma", generator, self)


@operator(
    f"_sample_dirichlet(Tensor self, {_G}) -> Tensor",
    tags="random",
    variants=_FUNCTION,
)
def _sample_dirichlet(self, generator):
    """Points on the simplex, Dirichlet distributed along the last dim."""
    _require_wide(self, "dirichlet")
    return _draw("dirichlet", generator, self)


@operator(
    f"binomial(Tensor count, Tensor prob, {_G}) -> Tensor",
    tags="random",
    variants=_FUNCTION,
)
def binomial(count, prob, generator):
    """Numbers of successes in ``count`` trials of probability ``prob``."""
    if not count.is_floating_point():
        raise ValueError(
            "binomial only supports floating-point dtypes for count, got: "
            f"{scalar_type_name(count.dtype)}"
        )
    shape = broadcast_shapes([count._shape, prob._shape])
    _same_dtype(count, prob)
    _require_wide(count, "binomial_cpu")
    return _draw("binomial", generator, count.expand(shape), prob.expand(shape))


# Quadrature.

_ELEMENTS = 1 << 14  # parameters integrated at once: bounds the memory
_NEGLIGIBLE = 45.0  # an exponent below minus this adds nothing in float64


@functools.cache
def _nodes() -> tuple[list[float], list[float]]:
    """Double-exponential quadrature of (0, 1): places and weights, dense at both ends."""
    step, places, weights = 0.06, [], []
    for k in range(-62, 63):
        w = k * step
        place = 1.0 / (1.0 + math.exp(-math.pi * math.sinh(w)))
        slope = math.pi * math.cosh(w) * place * (1.0 - place)
        if slope > 1e-30:
            places.append(place)
            weights.append(slope * step)
    return places, weights


def _tail(decay: Any, start: Tensor, integrand: Callable[[Tensor], Tensor]) -> Tensor:
    """The integral over v > 0 of integrand(v) * exp(-decay(v)) for convex ``decay``.

    ``decay(v)`` gives value and slope, 0 at v = 0; ``start`` is a place right of where
    it becomes negligible, from where Newton's method comes down monotonously.
    """
    end = start
    for _ in range(9):
        value, slope = decay(end)
        nearer = end - (value - _NEGLIGIBLE) / slope
        end = torch.where((nearer > 0) & (nearer < end), nearer, end)
    places, weights = (
        torch.scalar_tensor(0, dtype=torch.float64, device=start.device).new_tensor(n)
        for n in _nodes()
    )
    v = end.unsqueeze(-1) * places
    made = integrand(v) * torch.exp(-decay(v)[0]) * weights
    return made.sum(-1) * end


def _flat(
    of: Callable[..., Tensor], result: Tensor, arguments: tuple[Tensor, ...]
) -> Tensor:
    """``of`` worked out in float64 on flat arguments, some at a time."""
    flat = [a.to(torch.float64).expand(result._shape).reshape(-1) for a in arguments]
    count = flat[0]._shape[0]
    parts = [
        of(*[a[i : i + _ELEMENTS] for a in flat]) for i in range(0, count, _ELEMENTS)
    ]
    if not parts:
        return result
    return torch.cat(parts).reshape(result._shape).to(result.dtype)


def _gamma_gradient(a: Tensor, x: Tensor) -> Tensor:
    """With s = log z: the integral of (s - digamma(a)) exp(a s - e^s) past log x."""
    below = x <= a
    side = torch.where(below, -1.0, 1.0).to(torch.float64)
    wide = (side.unsqueeze(-1), a.unsqueeze(-1), x.unsqueeze(-1))

    def decay(v: Tensor) -> tuple[Tensor, Tensor]:
        s, at, height = wide if v.ndim == 2 else (side, a, x)
        grown = height * torch.expm1(s * v)
        return grown - at * s * v, s * (grown + height - at)

    left = (x + _NEGLIGIBLE) / a
    right = torch.minimum(
        torch.sqrt(2 * _NEGLIGIBLE / x), torch.log(4 * _NEGLIGIBLE / x).clamp_min(1.0)
    )
    offset = (torch.log(x) - torch.digamma(a)).unsqueeze(-1)
    found = _tail(
        decay, torch.where(below, left, right), lambda v: offset + wide[0] * v
    )
    return side * x * found


def _dirichlet_gradient(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """With s = logit z of the marginal Beta(alpha, total - alpha), over 1 - x."""
    beta = total - alpha
    below = x * total <= alpha
    side = torch.where(below, -1.0, 1.0).to(torch.float64)
    near, far = torch.where(below, alpha, beta), torch.where(below, beta, alpha)
    logit = torch.log(x) - torch.log1p(-x)
    away = side * logit  # the distance is counted into the tail: sigmoid(-away - v)
    columns = [t.unsqueeze(-1) for t in (near, far, away)]

    def decay(v: Tensor) -> tuple[Tensor, Tensor]:
        n, f, at = columns if v.ndim == 2 else (near, far, away)
        there = at + v
        value = n * (_softplus(there) - _softplus(at))
        value = value + f * (_softplus(-there) - _softplus(-at))
        share = torch.sigmoid(there)
        return value, n * share - f * (1 - share)

    start = (_NEGLIGIBLE + total * _softplus(-away)) / near
    mean_log = (torch.digamma(alpha) - torch.digamma(total)).unsqueeze(-1)
    wide_side, wide_logit = side.unsqueeze(-1), logit.unsqueeze(-1)
    found = _tail(
        decay, start, lambda v: -_softplus(-wide_logit - wide_side * v) - mean_log
    )
    return side * x * found


def _softplus(x: Tensor) -> Tensor:
    return x.clamp_min(0.0) + torch.log1p(torch.exp(-x.abs()))


@operator(
    "_standard_gamma_grad(Tensor self, Tensor output) -> Tensor", variants=_FUNCTION
)
def _standard_gamma_grad(self, output):
    """How gamma variates ``output`` move with their concentrations."""
    _same_dtype(self, output)
    _require_wide(self, "_standard_gamma_grad_cpu")
    shape = broadcast_shapes([self._shape, output._shape])
    result = torch.empty(shape, dtype=self.dtype, device=self.device)
    if result._backend.device_type == "meta":
        return result
    return _flat(_gamma_gradient, result, (self, output))


@operator(
    "_dirichlet_grad(Tensor x, Tensor alpha, Tensor total) -> Tensor",
    variants=_FUNCTION,
)
def _dirichlet_grad(x, alpha, total):
    """How a part ``x`` of a Dirichlet variate moves with its concentration.

    The other parts keep their proportions: d x_j / d alpha_i is this times
    (1 where i = j, else 0) - x_j.
    """
    _same_dtype(x, alpha, total)
    _require_wide(x, "_dirichlet_grad_cpu")
    shape = broadcast_shapes([x._shape, alpha._shape, total._shape])
    result = torch.empty(shape, dtype=x.dtype, device=x.device)
    if result._backend.device_type == "meta":
        return result
    return _flat(_dirichlet_gradient, result, (x, alpha, total))


def _missing(op: str) -> Any:
    def formula(grad: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{op} is not implemented")

    return formula


def _no_second(grad: Any) -> Any:
    raise NotImplementedError(
        "the derivative for '_standard_gamma_grad' is not implemented."
    )


derive(
    _standard_gamma,
    self=lambda grad, self, result: grad * torch._standard_gamma_grad(self, result),
)
derive(
    _standard_gamma_grad,
    self=_no_second,
    output=_no_second,
)
for _op, _names in (
    (_sample_dirichlet, ("self",)),
    (binomial, ("count", "prob")),
    (_dirichlet_grad, ("x", "alpha", "total")),
):
    derive(
        _op,
        name_="NotImplemented",
        **dict.fromkeys(_names, _missing(_op.name)),
    )
