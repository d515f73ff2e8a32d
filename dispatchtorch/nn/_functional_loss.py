"""Losses of ``torch.nn.functional``.

``reduction`` is "none", "mean" or "sum". ``size_average`` and ``reduce`` are its
deprecated predecessors; where one is given, it decides.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from dispatchtorch.errors import user_level
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops._common import torch as operators

from ._reduction import get_enum, reduction_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatchtorch import Tensor, dtype

    from .modules.linear_cross_entropy_options import LinearCrossEntropyOptions

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _number(
    reduction: str, size_average: bool | None = None, reduce: bool | None = None
) -> int:
    """The operators' number of a reduction, or of its deprecated predecessors."""
    reduction = reduction_of(size_average, reduce, reduction, 3)
    return get_enum(reduction, stacklevel=4)


def _reduced(losses: Tensor, number: int) -> Tensor:
    if number == 1:
        return losses.mean()
    return losses.sum() if number == 2 else losses


def _alike(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in their common shape; a warning where that isn't the shape of both."""
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input "
            f"size ({input.size()}). This will likely lead to incorrect results due to "
            "broadcasting. Please ensure they have the same size.",
            stacklevel=user_level(),
        )
        shape = broadcast_shapes([tuple(input.shape), tuple(target.shape)])
        return input.expand(shape), target.expand(shape)
    return input, target


def _weigh(losses: Tensor, weight: Tensor, input: Tensor) -> Tensor:
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    return losses * weight


# Losses of two tensors of one shape.


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The squared differences; with ``weight``, "mean" divides by its sum."""
    number = _number(reduction, size_average, reduce)
    input, target = _alike(input, target)
    if weight is None:
        return operators.mse_loss(input, target, number)
    losses = _weigh(operators.mse_loss(input, target, 0), weight, input)
    return losses.sum() / weight.sum() if number == 1 else _reduced(losses, number)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The absolute differences; with ``weight``, "mean" divides by its sum."""
    number = _number(reduction, size_average, reduce)
    input, target = _alike(input, target)
    if weight is None:
        return operators.l1_loss(input, target, number)
    losses = _weigh(operators.l1_loss(input, target, 0), weight, input)
    return losses.sum() / weight.sum() if number == 1 else _reduced(losses, number)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Squares of differences below ``beta``, absolute differences above."""
    number = _number(reduction, size_average, reduce)
    input, target = _alike(input, target)
    if beta == 0.0:
        return operators.l1_loss(input, target, number)
    return operators.smooth_l1_loss(input, target, number, beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Squares of differences below ``delta``, linear above; ``weight`` multiplies."""
    number = _number(reduction)
    input, target = _alike(input, target)
    if weight is None:
        return operators.huber_loss(input, target, number, delta)
    losses = operators.huber_loss(input, target, 0, delta)
    return _reduced(_weigh(losses, weight, input), number)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))`` for targets 1 and -1."""
    return operators.soft_margin_loss(
        input, target, _number(reduction, size_average, reduce)
    )


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The Kullback-Leibler divergence of ``target`` from ``exp(input)``.

    ``reduction`` may also be "batchmean", which divides the sum by the batch size
    alone.
    """
    legacy = size_average is not None or reduce is not None
    reduction = reduction_of(size_average, reduce, reduction, 3)
    if reduction == "mean" and not legacy:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the "
            "support size.'batchmean' divides only by the batch size, and aligns with "
            "the KL div math definition.'mean' will be changed to behave the same as "
            "'batchmean' in the next major release.",
            stacklevel=2,
        )
    batchmean = reduction == "batchmean"
    number = 2 if batchmean else _number(reduction)
    made = operators.kl_div(input, target, number, log_target=log_target)
    return made / input.size(0) if batchmean and input.ndim else made


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts under Poisson rates or their logarithms."""
    number = _number(reduction, size_average, reduce)
    return operators.poisson_nll_loss(input, target, log_input, full, eps, number)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of ``target`` under normal distributions.

    ``var`` is of the shape of ``input``, lacks its last dim, or has size 1 in one dim.
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * operators.ones_like(input)
    elif operators.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():  # type: ignore[union-attr]
        if input.size()[:-1] == var.size():  # type: ignore[union-attr]
            var = var.unsqueeze(-1)  # type: ignore[union-attr]
        elif not _has_one_thin_dim(var.size(), input.size()):  # type: ignore[union-attr]
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    bounded = var.clone()  # type: ignore[union-attr]
    with _no_grad():
        bounded.clamp_(min=eps)
    losses = 0.5 * (bounded.log() + (input - target) ** 2 / bounded)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return _reduced(losses, get_enum(reduction))


def _has_one_thin_dim(size: Any, full: Any) -> bool:
    """Whether a size is a full one but for a single dim of size 1."""
    if len(size) != len(full):
        return False
    return [n for n, m in zip(size, full, strict=True) if n != m] == [1]


def _no_grad() -> Any:
    from dispatchtorch import no_grad

    return no_grad()


# Binary cross-entropy.


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-target * log(input) - (1 - target) * log(1 - input)``.

    Raises ValueError where the shapes differ.
    """
    number = _number(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input "
            f"size ({input.size()}) is deprecated. Please ensure they have the same "
            "size."
        )
    if weight is not None:
        shape = broadcast_shapes([tuple(target.shape), tuple(weight.shape)])
        weight = weight.expand(shape)
    return operators.binary_cross_entropy(input, target, weight, number)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """:func:`binary_cross_entropy` of ``sigmoid(input)``, in a stable way."""
    number = _number(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size "
            f"({input.size()})"
        )
    return operators.binary_cross_entropy_with_logits(
        input, target, weight, pos_weight, number
    )


# Losses over classes.


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Less the log-probabilities (N, C, …) of the classes ``target`` (N, …)."""
    number = _number(reduction, size_average, reduce)
    return operators.nll_loss_nd(input, target, weight, number, ignore_index)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of logits (N, C, …) and classes (N, …) or probabilities."""
    number = _number(reduction, size_average, reduce)
    return operators.cross_entropy_loss(
        input, target, weight, number, ignore_index, label_smoothing
    )


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """:func:`cross_entropy` of ``linear(input, linear_weight, linear_bias)``.

    ``input`` is (in_features) or (N, in_features), ``linear_weight`` (C, in_features)
    or (C, d1, …, in_features). With ``options``, the logits of a batch are formed some
    rows at a time, and again in the backward pass, so that they are never in memory
    whole.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(
            f"expected input with dimensionality 1 or 2, got {input.dim()}"
        )
    if linear_weight.dim() < 2:
        raise RuntimeError(
            "expected linear_weight with dimensionality at least 2, got "
            f"{linear_weight.dim()}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    number = _number(reduction)
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError(
            "ignore_index cannot be specified when target contains probabilities"
        )
    ignored = -100 if ignore_index is None else ignore_index
    outputs = tuple(linear_weight.shape[:-1])
    if len(outputs) > 1 and input.dim() == 1:
        size = input.shape[0]
        raise RuntimeError(
            "K-dimensional loss defined by linear_weight shape "
            f"{tuple(linear_weight.shape)} requires batched input, (N, {size}), got "
            f"unbatched input with shape ({size},)"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != outputs:
        raise RuntimeError(
            f"expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}"
        )
    if len(outputs) > 1:
        linear_weight = linear_weight.flatten(0, -2)
        linear_bias = None if linear_bias is None else linear_bias.flatten()

    kind = linear_weight.dtype

    def losses(rows: Any, targets: Any, how: int) -> Any:
        # Where these are wider, so are the sums of the pieces' gradients.
        factors = linear_weight.to(kind)
        bias = None if linear_bias is None else linear_bias.to(kind)
        logits = operators.linear(rows, factors, bias)
        if len(outputs) > 1:
            logits = logits.reshape((*rows.shape[:-1], *outputs))
        return operators.cross_entropy_loss(
            logits, targets, weight, how, ignored, label_smoothing
        )

    rows = 0
    if options is not None and input.dim() == 2 and target.dim():
        rows = _chunk_rows(options, input, linear_weight)
    if not rows or rows >= input.shape[0] or input.shape[0] != target.shape[0]:
        return losses(input, target, number)
    from dispatchtorch.utils.checkpoint import checkpoint

    assert options is not None
    wide = _accumulated_in(options, kind)
    linear_weight = linear_weight.to(wide)
    linear_bias = None if linear_bias is None else linear_bias.to(wide)
    how = 0 if number == 0 else 2
    parts = [
        checkpoint(losses, x, y, how, use_reentrant=False, preserve_rng_state=False)
        for x, y in zip(input.split(rows), target.split(rows), strict=True)
    ]
    if number == 0:
        return operators.cat(parts)
    total = operators.stack(parts).sum()
    if number == 2:
        return total
    if target.is_floating_point():
        return total / (target.numel() // outputs[0])
    valid = target != ignored
    if weight is None:
        return total / valid.sum()
    return total / weight[target[valid]].sum()


def _chunk_rows(options: Any, input: Any, weight: Any) -> int:
    """How many rows of a batch are worked on at a time; 0 for all of them."""
    if options.batch_chunk_size is not None:
        return int(options.batch_chunk_size)
    if options.chunking_method is None:
        return 0
    # A piece of the logits is about as large as the input, or ``ratio`` times so.
    ratio = int(options.chunking_method.partition(":")[2] or 2)
    classes = max(weight.shape[0], 1)
    return max(1, ratio * input.numel() // classes)


def _accumulated_in(options: Any, kind: dtype) -> Any:
    """The dtype in which the gradients of the pieces are added up."""
    if options.acc_dtype is not None:
        wider = options.acc_dtype.itemsize > kind.itemsize
        return options.acc_dtype if wider else kind
    wide = kind.itemsize < 4 and options.acc_policy not in ("auto", "compact")
    return operators.float32 if wide else kind


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin - input[y] + input[j]) ** p``, averaged over classes j but y."""
    number = _number(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    return operators.multi_margin_loss(input, target, p, margin, weight, number)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """:func:`multi_margin_loss` of several labels a sample; -1 ends their list."""
    number = _number(reduction, size_average, reduce)
    return operators.multilabel_margin_loss(input, target, number)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The binary cross-entropy of every class, averaged over classes."""
    number = _number(reduction, size_average, reduce)
    losses = -(
        target * operators.log_sigmoid(input)
        + (1 - target) * operators.log_sigmoid(-input)
    )
    if weight is not None:
        losses = losses * weight
    class_dim = input.dim() - 1
    return _reduced(losses.sum(dim=class_dim) / input.size(class_dim), number)


# Losses of distances.


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``input`` where the target is 1, ``max(0, margin - input)`` where it is -1."""
    number = _number(reduction, size_average, reduce)
    return operators.hinge_embedding_loss(input, target, margin, number)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cosine`` where the target is 1, ``max(0, cosine - margin)`` where -1."""
    number = _number(reduction, size_average, reduce)
    return operators.cosine_embedding_loss(input1, input2, target, margin, number)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``."""
    number = _number(reduction, size_average, reduce)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but "
            f"got sizes: input1: {input1.size()}, input2: {input2.size()}, target: "
            f"{target.size()} "
        )
    return operators.margin_ranking_loss(input1, input2, target, margin, number)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)``, d a p-norm."""
    number = _number(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return operators.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, number
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """:func:`triplet_margin_loss` with any distance, the Euclidean one by default."""
    number = _number(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = (anchor.ndim, positive.ndim, negative.ndim)
    if not dims[0] == dims[1] == dims[2]:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same "
            f"number of dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, "
            f"and negative {dims[2]}D inputs"
        )
    distance = distance_function or operators.pairwise_distance
    near = distance(anchor, positive)
    far = distance(anchor, negative)
    if swap:
        far = operators.minimum(far, distance(positive, negative))
    return _reduced(operators.clamp_min(margin + near - far, 0), number)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification (Graves et al., 2006).

    ``log_probs`` is (T, N, C) or (T, C); ``targets`` (N, S), or all of them in one row.
    "mean" divides each loss by its target's length before averaging.
    """
    return operators.ctc_loss(
        log_probs,
        targets,
        input_lengths,
        target_lengths,
        blank,
        _number(reduction),
        zero_infinity,
    )
