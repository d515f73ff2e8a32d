"""Loss functions.

``reduction`` is a number here: 0 none, 1 mean, 2 sum. Losses that compare two tensors
element by element are rows (what is computed, and its slope); those over classes
follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import Operator, operator
from dispatchtorch.lift import Pointwise, broadcast_shapes
from dispatchtorch.ops._common import numel_of, scalar_type_name, torch
from dispatchtorch.ops._precision import (
    floats_only,
    half,
    has_values,
    in_single,
    refuse_but_floats,
)

__all__ = ["MEAN", "NONE", "SUM", "reduced"]

Body = Callable[..., Any]

NONE, MEAN, SUM = 0, 1, 2


def reduced(losses: Any, reduction: int) -> Any:
    """Losses as they are, their mean, or their sum."""
    if reduction == MEAN:
        return losses.mean()
    return losses.sum() if reduction == SUM else losses


def spread(grad: Any, count: int, reduction: int) -> Any:
    """The gradient of each of ``count`` losses, from that of their reduction."""
    return grad / count if reduction == MEAN else grad


def refuse_gradient(op: str, argument: str) -> Body:
    """The formula of an argument that PyTorch doesn't differentiate by."""

    def formula(grad: Any) -> Any:
        raise RuntimeError(
            f"The function '{op}' is not differentiable with respect to argument "
            f"'{argument}'. This input cannot have requires_grad True."
        )

    return formula


# Element by element.


class _Checked(Pointwise):
    """Operands that broadcast, with a check of the other arguments before."""

    def __init__(self, check: Body | None, forbid: dict[int, str]) -> None:
        super().__init__("same", forbid=forbid)
        self.check = check

    def prologue(self, op: Operator, constants: dict[str, Any]) -> list[str]:
        if self.check is None:
            return []
        constants["check_arguments"] = self.check
        rest = "".join(f", {a.name}" for a in op.schema.arguments[3:])
        return [f"check_arguments(self, target{rest})"]


def _compared(
    name: str,
    parameters: str,
    losses: Body,
    slope: Body,
    by_self: Body,
    by_target: Body,
    *,
    kernel: str = "",
    check: Body | None = None,
    as_self: bool = False,
    stepwise: bool = False,
) -> None:
    """Declares a loss of ``losses(x, y, *parameters)`` and the operator of its
    gradient.

    ``slope`` is the derivative by ``x``; ``by_self`` and ``by_target`` are the formulas
    that make gradients of it. ``as_self``: in the dtype of ``x``, unpromoted.
    ``stepwise``: half types are rounded after each step, as PyTorch does it.
    """
    forbid = floats_only(kernel) if kernel else {}

    def body(self, target, reduction, *rest):  # type: ignore[no-untyped-def]
        if check is not None:
            check(self, target, *rest)
        for t in (self, target) if kernel else ():
            refuse_but_floats(t, kernel)
        return reduced(losses(self, target, *rest), reduction)

    computed = body if stepwise else in_single(body)

    def unpromoted(*args):  # type: ignore[no-untyped-def]
        return computed(*args).to(args[0].dtype)

    def backward(grad_output, self, target, reduction, *rest):  # type: ignore[no-untyped-def]
        slopes = slope(self, target, *rest)
        return slopes * spread(grad_output, numel_of(slopes._shape), reduction)

    op = operator(
        f"{name}(Tensor self, Tensor target, int reduction=1{parameters}) -> Tensor",
        lift=None if as_self else _Checked(check, forbid),
        variants="private",
    )(unpromoted if as_self else computed)
    op.__doc__ = losses.__doc__
    op.shape(_shape_of)
    gradient = operator(
        f"{name}_backward(Tensor grad_output, Tensor self, Tensor target, "
        f"int reduction{parameters.partition('=')[0]}) -> Tensor",
        lift=Pointwise("same"),
        variants="private",
    )(backward if stepwise else in_single(backward))
    gradient.__doc__ = f"The gradient of :func:`{name}` by ``self``."

    derive(op, self=by_self, target=by_target)


def _shape_of(x: Any, y: Any, reduction: int, *rest: Any) -> tuple[Any, Any]:
    return () if reduction else broadcast_shapes([x.shape, y.shape]), x.dtype


def _scaled(slopes: Any, grad: Any, reduction: int) -> Any:
    return slopes * spread(grad, numel_of(slopes._shape), reduction)


def _mse(x: Any, y: Any) -> Any:
    """The squares of the differences."""
    difference = x - y
    return difference * difference


# Exchanging input and target leaves the losses of these rows as they are, so that the
# gradient by the target is the one by the input with both exchanged.

_compared(
    "mse_loss",
    "",
    _mse,
    lambda x, y: 2 * (x - y),
    lambda grad, self, target, reduction: torch.mse_loss_backward(
        grad, self, target, reduction
    ),
    lambda grad, self, target, reduction: torch.mse_loss_backward(
        grad, target, self, reduction
    ),
    kernel="mse_cpu",
)


def _check_beta(x: Any, y: Any, beta: float) -> None:
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")


def _smooth_l1(x: Any, y: Any, beta: float) -> Any:
    """Squares of differences below ``beta``, absolute ones above (Girshick, 2015)."""
    distance = torch.abs(x - y)
    if beta == 0:
        return distance
    near = distance * distance * (0.5 / beta)
    return torch.where(distance < beta, near, distance - 0.5 * beta)


def _smooth_l1_slope(x: Any, y: Any, beta: float) -> Any:
    difference = x - y
    if beta == 0:
        return torch.sign(difference)
    return torch.clamp(difference / beta, -1, 1)


_compared(
    "smooth_l1_loss",
    ", float beta=1.0",
    _smooth_l1,
    _smooth_l1_slope,
    lambda grad, self, target, reduction, beta: torch.smooth_l1_loss_backward(
        grad, self, target, reduction, beta
    ),
    lambda grad, self, target, reduction, beta: torch.smooth_l1_loss_backward(
        grad, target, self, reduction, beta
    ),
    kernel="smooth_l1_cpu",
    check=_check_beta,
)


def _check_delta(x: Any, y: Any, delta: float) -> None:
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")


def _huber(x: Any, y: Any, delta: float) -> Any:
    """Squares of differences below ``delta``, absolute ones above (Huber, 1964)."""
    distance = torch.abs(x - y)
    near = 0.5 * distance * distance
    return torch.where(distance <= delta, near, delta * (distance - 0.5 * delta))


_compared(
    "huber_loss",
    ", float delta=1.0",
    _huber,
    lambda x, y, delta: torch.clamp(x - y, -delta, delta),
    lambda grad, self, target, reduction, delta: torch.huber_loss_backward(
        grad, self, target, reduction, delta
    ),
    lambda grad, self, target, reduction, delta: torch.huber_loss_backward(
        grad, target, self, reduction, delta
    ),
    kernel="huber_cpu",
    check=_check_delta,
    as_self=True,
)


def _check_kinds(x: Any, y: Any) -> None:
    if not x.is_floating_point() and not x.is_complex():
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{scalar_type_name(x.dtype)}"
        )


def _soft_margin(x: Any, y: Any) -> Any:
    """``log(1 + exp(-y * x))``."""
    return torch.log1p(torch.exp(-x * y))


def _soft_margin_slope(x: Any, y: Any) -> Any:
    power = torch.exp(-x * y)
    # Half types overflow where PyTorch's do.
    return -y * torch.sigmoid(-x * y) if not half(x) else -(y * power) / (power + 1)


_compared(
    "soft_margin_loss",
    "",
    _soft_margin,
    _soft_margin_slope,
    lambda grad, self, target, reduction: torch.soft_margin_loss_backward(
        grad, self, target, reduction
    ),
    lambda grad, self, target, reduction: torch.soft_margin_loss_backward(
        grad, target, self, reduction
    ),
    check=_check_kinds,
    stepwise=True,
)


@operator(
    "l1_loss(Tensor self, Tensor target, int reduction=1) -> Tensor", variants="private"
)
def l1_loss(self, target, reduction):
    """The absolute differences."""
    return reduced(torch.abs(self - target), reduction)


# Binary cross-entropy.

_BCE = "Tensor? weight=None, int reduction=1"


def _between_0_and_1(t: Any, which: str) -> None:
    if not has_values(t):
        return
    inside = (t >= 0) & (t <= 1)
    if not bool(inside.all()):
        raise RuntimeError(f"all elements of {which} should be between 0 and 1")


def _weighted(losses: Any, weight: Any) -> Any:
    return losses if weight is None else (losses * weight).to(losses.dtype)


@operator(
    f"binary_cross_entropy(Tensor self, Tensor target, {_BCE}) -> Tensor",
    variants="private",
)
@in_single
def binary_cross_entropy(self, target, weight, reduction):
    """``-y * log(x) - (1 - y) * log(1 - x)``, the logarithms not below -100."""
    if self.dtype is not target.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_type_name(target.dtype)} but expected "
            f"{scalar_type_name(self.dtype)}"
        )
    refuse_but_floats(self, "binary_cross_entropy")
    _between_0_and_1(self, "input")
    _between_0_and_1(target, "target")
    positive = torch.clamp(torch.log(self), min=-100)
    negative = torch.clamp(torch.log1p(-self), min=-100)
    losses = (target - 1) * negative - target * positive
    return reduced(_weighted(losses, weight), reduction)


@operator(
    "binary_cross_entropy_backward(Tensor grad_output, Tensor self, Tensor target, "
    f"{_BCE}) -> Tensor",
    variants="private",
)
@in_single
def binary_cross_entropy_backward(grad_output, self, target, weight, reduction):
    """The gradient of :func:`binary_cross_entropy` by ``self``."""
    scale = torch.clamp((1 - self) * self, min=1e-12)
    slopes = _weighted((self - target) / scale, weight)
    return _scaled(slopes, grad_output, reduction)


derive(
    binary_cross_entropy,
    self=lambda grad, self, target, weight, reduction: (
        torch.binary_cross_entropy_backward(grad, self, target, weight, reduction)
    ),
    target=lambda grad, self, weight, reduction: _scaled(
        _weighted(torch.clamp(torch.log1p(-self) - torch.log(self), min=-100), weight),
        grad,
        reduction,
    ),
    weight=refuse_gradient("binary_cross_entropy", "weight"),
)


@operator(
    "binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, "
    "Tensor? pos_weight=None, int reduction=1) -> Tensor",
    variants="function",
)
@in_single
def binary_cross_entropy_with_logits(self, target, weight, pos_weight, reduction):
    """:func:`binary_cross_entropy` of the sigmoid, computed without forming it."""
    refuse_but_floats(self, "log_sigmoid_cpu")
    if not target.is_floating_point():
        raise RuntimeError(
            f"result type {scalar_type_name(self.dtype)} can't be cast to the desired "
            f"output type {scalar_type_name(target.dtype)}"
        )
    log_sigmoid = torch.log_sigmoid(self)
    if pos_weight is not None:
        log_sigmoid = log_sigmoid * ((pos_weight - 1) * target + 1)
    losses = (1 - target) * self - log_sigmoid
    return reduced(_weighted(losses, weight), reduction)


@in_single
def _bce_logits_backward(grad, self, target, weight, pos_weight, reduction):  # type: ignore[no-untyped-def]
    if pos_weight is None:
        slopes = torch.sigmoid(self) - target
    else:
        positive = pos_weight * target
        slopes = (positive + 1 - target) * torch.sigmoid(self) - positive
    return _scaled(_weighted(slopes, weight), grad, reduction)


@in_single
def _bce_logits_target(grad, self, weight, pos_weight, reduction):  # type: ignore[no-untyped-def]
    slopes = -self
    if pos_weight is not None:
        slopes = torch.log_sigmoid(-self) - pos_weight * torch.log_sigmoid(self)
    return _scaled(_weighted(slopes, weight), grad, reduction)


derive(
    binary_cross_entropy_with_logits,
    self=lambda grad, self, target, weight, pos_weight, reduction: _bce_logits_backward(
        grad, self, target, weight, pos_weight, reduction
    ),
    target=lambda grad, self, weight, pos_weight, reduction: _bce_logits_target(
        grad, self, weight, pos_weight, reduction
    ),
    weight=refuse_gradient("binary_cross_entropy_with_logits", "weight"),
    pos_weight=refuse_gradient("binary_cross_entropy_with_logits", "pos_weight"),
)

# Compositions.


@operator(
    "kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> "
    "Tensor",
    variants="function",
)
def kl_div(self, target, reduction, *, log_target):
    """``target * (log(target) - self)``, with ``self`` in logarithms."""
    for t in (self, target):
        if t.dtype.category <= dtypes.INT:
            raise RuntimeError("kl_div: Integral inputs not supported.")
    if log_target:
        return reduced(torch.exp(target) * (target - self), reduction)
    return reduced(torch.xlogy(target, target) - target * self, reduction)


@operator(
    "poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float "
    "eps, int reduction) -> Tensor",
    variants="function",
)
def poisson_nll_loss(input, target, log_input, full, eps, reduction):
    """The negative log-likelihood of counts; ``full`` adds Stirling's approximation."""
    if log_input:
        losses = torch.exp(input) - target * input
    else:
        losses = input - target * torch.log(input + eps)
    if full:
        stirling = (
            target * torch.log(target) - target + 0.5 * torch.log(_TWO_PI * target)
        )
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return reduced(losses, reduction)


_TWO_PI = 6.283185307179586


@operator(
    "hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int "
    "reduction=1) -> Tensor",
    variants="function",
)
def hinge_embedding_loss(self, target, margin, reduction):
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    zeros = torch.zeros_like(self)
    apart = torch.where(target != 1, torch.clamp_min(margin - self, 0), zeros)
    return reduced(apart + torch.where(target != -1, self, zeros), reduction)


@operator(
    "margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float "
    "margin=0.0, int reduction=1) -> Tensor",
    variants="function",
)
def margin_ranking_loss(input1, input2, target, margin, reduction):
    """``max(0, -target * (input1 - input2) + margin)``."""
    return reduced(torch.clamp_min(-target * (input1 - input2) + margin, 0), reduction)


@operator(
    "cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, "
    "float margin=0.0, int reduction=1) -> Tensor",
    variants="function",
)
def cosine_embedding_loss(input1, input2, target, margin, reduction):
    """One less the cosine for pairs that belong together, else the cosine."""
    if target.ndim > 1:
        raise RuntimeError(
            "0D or 1D target tensor expected, multi-target not supported"
        )
    wanted = target.ndim + 1
    if input1.ndim != wanted or input2.ndim != wanted:
        raise RuntimeError(
            f"{wanted - 1}D target tensor expects {wanted}D input tensors, but found "
            f"inputs with sizes {list(input1._shape)} and {list(input2._shape)}."
        )
    product = (input1 * input2).sum(wanted - 1)
    squares1 = (input1 * input1).sum(wanted - 1) + 1e-12
    squares2 = (input2 * input2).sum(wanted - 1) + 1e-12
    cosine = product / torch.sqrt(squares1 * squares2)
    zeros = torch.zeros_like(cosine)
    together = torch.where(target == 1, 1 - cosine, zeros)
    apart = torch.where(target == -1, torch.clamp_min(cosine - margin, 0), zeros)
    return reduced(together + apart, reduction)


@operator(
    "triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, "
    "float margin=1.0, float p=2.0, float eps=9.9999999999999995e-07, bool swap=False, "
    "int reduction=1) -> Tensor",
    variants="function",
)
def triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction):
    """How far the positive isn't nearer than the negative by a margin."""
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same "
            f"number of dimensions, but got: anchor {anchor.ndim}D, positive "
            f"{positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near = torch.pairwise_distance(anchor, positive, p, eps)
    far = torch.pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = torch.minimum(far, torch.pairwise_distance(positive, negative, p, eps))
    return reduced(torch.clamp_min(margin + near - far, 0), reduction)
