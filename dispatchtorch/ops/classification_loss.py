"""Losses over classes: negative log-likelihood, cross-entropy, margins."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import numel_of, scalar_type_name, torch
from dispatchtorch.ops._history import linked
from dispatchtorch.ops._precision import has_values, in_single, refuse_but_floats
from dispatchtorch.ops.loss import MEAN, NONE, SUM, reduced, refuse_gradient

_PLAIN = Plain()
_LABELS = (dtypes.int64, dtypes.uint8)
_NLL = "Tensor? weight=None, int reduction=1, int ignore_index=-100"
_NLL_STRICT = "Tensor? weight, int reduction, int ignore_index"


def _check_labels(self: Any, target: Any, weight: Any) -> tuple[Any, Any]:
    """Scores (N, C, …) and labels (N, …); PyTorch's errors where they don't fit."""
    if target.dtype not in _LABELS:
        raise RuntimeError(
            "expected target dtype to be Long or Byte, but got "
            f"{scalar_type_name(target.dtype)}"
        )
    if self.ndim == 1:
        if numel_of(target._shape) != 1:
            raise ValueError(
                "For 1D input, 1D target must have size 1, but got target size: "
                f"{numel_of(target._shape)}"
            )
        self, target = self.unsqueeze(0), target.reshape(1)
    refuse_but_floats(self, "nll_loss_out_frame")
    if weight is not None:
        classes = self._shape[1]
        if weight.ndim != 1 or numel_of(weight._shape) != classes:
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or "
                f"no classes but got weight tensor of shape: {list(weight._shape)}"
                if self.ndim == 2
                else "weight tensor should be defined either for all or no classes"
            )
        if weight.dtype is not self.dtype:
            raise RuntimeError(
                f"expected scalar type {scalar_type_name(self.dtype)} but found "
                f"{scalar_type_name(weight.dtype)}"
            )
    return self, target


def _valid(target: Any, ignore_index: int) -> tuple[Any, Any]:
    """Which labels count, and labels with 0 in place of those that don't."""
    valid = target != ignore_index
    return valid, torch.where(valid, target, 0).to(torch.int64)


def _weights(weight: Any, labels: Any, valid: Any, like: Any) -> Any:
    if weight is None:
        return valid.to(like.dtype)
    picked = weight.index_select(0, labels.reshape(-1)).reshape(labels._shape)
    return torch.where(valid, picked, 0)


def _check_range(labels: Any, classes: int) -> None:
    if not has_values(labels):
        return
    outside = (labels < 0) | (labels >= classes)
    if bool(outside.any()):
        first = torch.masked_select(labels, outside)[0].item()
        raise IndexError(f"Target {first} is out of bounds.")


def _nll(name: str, node: str) -> None:
    """``name_forward``, ``name_backward`` and ``name``; PyTorch has two of each."""

    def forward(self, target, weight, reduction, ignore_index):  # type: ignore[no-untyped-def]
        shape = target._shape
        self, target = _check_labels(self, target, weight)
        valid, labels = _valid(target, ignore_index)
        _check_range(labels, self._shape[1])
        weights = _weights(weight, labels, valid, self)
        picked = self.gather(1, labels.unsqueeze(1)).squeeze(1)
        losses = torch.where(valid, -picked * weights, 0)
        if reduction == NONE:
            return losses.reshape(shape), self.new_zeros(())
        total = weights.sum()
        made = losses.sum()
        return (made / total if reduction == MEAN else made), total

    forward.__doc__ = "Less the scores of the right classes, weighted and reduced."
    op = operator(
        f"{name}_forward(Tensor self, Tensor target, {_NLL_STRICT}) -> "
        "(Tensor output, Tensor total_weight)",
        lift=_PLAIN,
        variants="private",
    )(in_single(forward))
    op.prepare = _prepare_forward

    def backward(  # type: ignore[no-untyped-def]
        grad_output, self, target, weight, reduction, ignore_index, total_weight
    ):
        shape = self._shape
        if len(shape) == 1:
            self, target = self.unsqueeze(0), target.reshape(1)
        valid, labels = _valid(target, ignore_index)
        weights = -_weights(weight, labels, valid, self)
        if reduction == MEAN:
            grad_output = grad_output / total_weight
        elif reduction == NONE:
            grad_output = grad_output.reshape(target._shape)
        # A mean over nothing is NaN, but no class has a part in it.
        grads = torch.where(valid, weights * grad_output, 0).unsqueeze(1)
        made = torch.zeros_like(self).scatter_add(1, labels.unsqueeze(1), grads)
        return made.reshape(shape)

    backward.__doc__ = f"The gradient of :func:`{name}` by the scores."
    gradient = operator(
        f"{name}_backward(Tensor grad_output, Tensor self, Tensor target, "
        f"{_NLL_STRICT}, Tensor total_weight) -> Tensor",
        lift=_PLAIN,
        variants="private",
    )(in_single(backward))

    def formula(  # type: ignore[no-untyped-def]
        grad, self, target, weight, reduction, ignore_index, total_weight
    ):
        made = gradient(
            grad, self, target, weight, reduction, ignore_index, total_weight
        )
        return linked(made, self)

    derive(
        op,
        name_=node,
        outputs_=(0,),
        self=formula,
        weight=refuse_gradient(f"{name}_forward", "weight"),
    )

    def public(self, target, weight, reduction, ignore_index):  # type: ignore[no-untyped-def]
        return op(self, target, weight, reduction, ignore_index)[0]

    public.__doc__ = forward.__doc__
    operator(
        f"{name}(Tensor self, Tensor target, {_NLL}) -> Tensor", variants="private"
    )(public)


def _prepare_forward(
    self: Any, target: Any, weight: Any, reduction: int, ignore_index: int
) -> tuple[Any, ...]:
    shape = target._shape
    scores, labels = _check_labels(self, target, weight)
    return scores, labels, weight, reduction, ignore_index, shape


_nll("nll_loss", "NllLossBackward0")
_nll("nll_loss2d", "NllLoss2DBackward0")


def check_batch(self: Any, target: Any) -> None:
    """ValueError unless scores and targets are of one batch."""
    shape = self._shape
    if not shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    batch = target._shape[0] if target._shape else 1
    if shape[0] != batch and len(shape) > 1:
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size "
            f"({batch})."
        )


@operator(
    f"nll_loss_nd(Tensor self, Tensor target, {_NLL}) -> Tensor", variants="private"
)
def nll_loss_nd(self, target, weight, reduction, ignore_index):
    """:func:`nll_loss` for scores of any rank: (C), (N, C) or (N, C, …)."""
    check_batch(self, target)
    if self.ndim <= 2:
        return torch.nll_loss_forward(self, target, weight, reduction, ignore_index)[0]
    wanted = (self._shape[0], *self._shape[2:])
    if target._shape != wanted:
        shape, given = list(self._shape), list(target._shape)
        raise RuntimeError(
            f"size mismatch (got input: {shape} , target: {given}"
            if self.ndim == 4
            else f"Expected target size {list(wanted)}, got {given}"
        )
    if self.ndim == 4 or reduction:
        return torch.nll_loss2d_forward(self, target, weight, reduction, ignore_index)[
            0
        ]
    n, c = self._shape[:2]
    inner = numel_of(wanted[1:])
    return torch.nll_loss2d_forward(
        self.contiguous().view((n, c, 1, inner)),
        target.contiguous().view((n, 1, inner)),
        weight,
        reduction,
        ignore_index,
    )[0].view(wanted)


# Cross-entropy.


@operator(
    f"cross_entropy_loss(Tensor self, Tensor target, {_NLL}, float "
    "label_smoothing=0.0) -> Tensor",
    variants="private",
)
def cross_entropy_loss(self, target, weight, reduction, ignore_index, label_smoothing):
    """The negative log-likelihood of the softmax, by classes or probabilities."""
    dim = 0 if self.ndim == 1 else 1
    if self._shape == target._shape:
        if not target.is_floating_point():
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{scalar_type_name(target.dtype)}"
            )
        if ignore_index >= 0:
            raise RuntimeError(
                "ignore_index is not supported for floating point target"
            )
        return _by_probabilities(self, target, weight, reduction, label_smoothing, dim)
    scores = torch._log_softmax(self, dim, False)
    if label_smoothing > 0:
        return _smoothed(
            scores, target, weight, reduction, ignore_index, label_smoothing, dim
        )
    if len(scores._shape) != 2:
        return torch.nll_loss_nd(scores, target, weight, reduction, ignore_index)
    check_batch(scores, target)
    return torch.nll_loss_forward(scores, target, weight, reduction, ignore_index)[0]


def _check_smoothing(label_smoothing: float) -> None:
    if label_smoothing > 1:
        raise RuntimeError(
            f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}"
        )


def _along(weight: Any, ndim: int, dim: int) -> Any:
    """Class weights in a shape that broadcasts along the class dim."""
    shape = [1] * ndim
    shape[dim] = weight._shape[0]
    return weight.reshape(shape)


def _by_probabilities(
    self: Any,
    target: Any,
    weight: Any,
    reduction: int,
    label_smoothing: float,
    dim: int,
) -> Any:
    classes = self._shape[dim]
    if weight is not None and (weight.ndim != 1 or weight._shape[0] != classes):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} "
            f"classes or no classes but got weight tensor of shape: "
            f"{list(weight._shape)}"
        )
    scores = torch._log_softmax(self, dim, False)
    if label_smoothing > 0:
        _check_smoothing(label_smoothing)
        target = target * (1 - label_smoothing) + label_smoothing / classes
    products = scores * target
    if weight is not None:
        products = products * _along(weight, self.ndim, dim)
    if reduction == NONE:
        return -products.sum(dim)
    if reduction == SUM:
        return -products.sum()
    samples = numel_of(self._shape) // classes if classes else 0
    total = -products.sum()
    return total / samples if samples else total * float("nan")


def _smoothed(
    scores: Any,
    target: Any,
    weight: Any,
    reduction: int,
    ignore_index: int,
    label_smoothing: float,
    dim: int,
) -> Any:
    """A part of each label's weight shared equally among all classes."""
    _check_smoothing(label_smoothing)
    right = torch.nll_loss_nd(scores, target, weight, reduction, ignore_index)
    classes = scores._shape[dim]
    if weight is None:
        spread = -scores.sum(dim)
    else:
        spread = -(scores * _along(weight, scores.ndim, dim)).sum(dim)
    ignored = target == ignore_index
    spread = spread.masked_fill(ignored.reshape(spread._shape), 0)
    if reduction == SUM:
        spread = spread.sum()
    elif reduction == MEAN:
        valid, labels = _valid(target, ignore_index)
        if weight is None:
            count = valid.sum()
        else:
            count = _weights(weight, labels, valid, scores).sum()
        spread = spread.sum() / count
    return (1 - label_smoothing) * right + (label_smoothing / classes) * spread


# Margins.


def _check_margin(self: Any) -> tuple[int, int]:
    """(samples, classes) of scores (C) or (N, C)."""
    shape = self._shape
    if len(shape) > 2 or 0 in shape[len(shape) == 2 :]:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but "
            f"got: {list(shape)}"
        )
    if len(shape) < 2:
        return 1, shape[0] if shape else 1
    return shape[0], shape[1]


def _check_long(target: Any) -> None:
    if target.dtype is not dtypes.int64:
        raise RuntimeError(
            f"expected scalar type Long but found {scalar_type_name(target.dtype)}"
        )


_MARGIN = "Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1"


@operator(
    f"multi_margin_loss(Tensor self, Tensor target, {_MARGIN}) -> Tensor",
    variants="private",
)
@in_single
def multi_margin_loss(self, target, p, margin, weight, reduction):
    """How far each wrong class isn't below the right one by a margin."""
    samples, classes = _check_margin(self)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if target.ndim > 1 or numel_of(target._shape) != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the "
            f"number of input samples (batch size). Expected target size [{samples}], "
            f"but got {list(target._shape)}. Input has shape {list(self._shape)}."
        )
    if weight is not None and (weight.ndim != 1 or weight._shape[0] != classes):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got "
            f"{list(weight._shape)}"
        )
    refuse_but_floats(self, "multi_margin_loss_cpu_kernel")
    _check_long(target)
    labels = target.reshape(samples, 1)
    if has_values(labels) and bool(((labels < 0) | (labels >= classes)).any()):
        raise RuntimeError("target out of range")
    scores = self.reshape(samples, classes)
    short = torch.clamp_min(margin - scores.gather(1, labels) + scores, 0)
    short = short if p == 1 else short * short
    if weight is not None:
        short = short * weight.index_select(0, labels.reshape(-1)).unsqueeze(1)
    losses = short.scatter(1, labels, 0).sum(1) / classes
    if self.ndim < 2 and reduction == NONE:
        return losses.reshape(())
    if not samples and reduction != NONE:
        return losses.sum()
    return reduced(losses, reduction)


@operator(
    "multilabel_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    variants="private",
)
@in_single
def multilabel_margin_loss(self, target, reduction):
    """How far wrong classes aren't below each of several right ones by 1."""
    samples, classes = _check_margin(self)
    if target._shape != self._shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target._shape)} for input of size: "
            f"{list(self._shape)}"
        )
    refuse_but_floats(self, "multilabel_margin_loss_forward_out_frame")
    _check_long(target)
    if has_values(target) and bool(((target < -1) | (target >= classes)).any()):
        raise RuntimeError("argument #2 'target' is out of range")
    labels = target.reshape(samples, classes)
    scores = self.reshape(samples, classes)
    # Labels count up to the first -1.
    listed = torch.cumsum((labels < 0).to(torch.int64), 1) == 0
    labels = torch.where(listed, labels, 0)
    right = torch.zeros_like(labels).scatter_add(1, labels, listed.to(torch.int64)) > 0
    picked = scores.gather(1, labels)
    short = torch.clamp_min(1 - picked.unsqueeze(2) + scores.unsqueeze(1), 0)
    counted = listed.unsqueeze(2) & ~right.unsqueeze(1)
    losses = torch.where(counted, short, 0).sum((1, 2)) / classes
    if self.ndim < 2 and reduction == NONE:
        return losses.reshape(())
    return reduced(losses, reduction)
