"""Connectionist temporal classification (Graves et al., 2006).

The forward and backward recursions run over whole batches, one step of time after the
other. States are the labels of a target with blanks between and around them.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import scalar_type_name, torch
from dispatchtorch.ops.loss import MEAN, SUM

_MINUS_INFINITY = float("-inf")
_WHERE = "(while checking arguments for ctc_loss_allocate_outputs)"


def _check(
    log_probs: Any, targets: Any, inputs: list[int], lengths: list[int], blank: int
) -> None:
    if log_probs.ndim != 3:
        raise RuntimeError(
            f"Expected 3-dimensional tensor, but got {log_probs.ndim}-dimensional "
            f"tensor for argument #1 'log_probs' {_WHERE}"
        )
    if log_probs.dtype not in (dtypes.float32, dtypes.float64):
        raise NotImplementedError(
            f'"ctc_loss_cpu" not implemented for '
            f"'{scalar_type_name(log_probs.dtype)}'"
        )
    steps, batch, classes = log_probs._shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if len(inputs) != batch:
        raise RuntimeError("input_lengths must be of size batch_size")
    if len(lengths) != batch:
        raise RuntimeError("target_lengths must be of size batch_size")
    for name, values in (("input_lengths", inputs), ("target_lengths", lengths)):
        if values and min(values) < 0:
            raise RuntimeError(
                f"Expected {name} to have value at least 0, but got value "
                f"{min(values)} {_WHERE}"
            )
    if inputs and max(inputs) > steps:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {steps}, but got value "
            f"{max(inputs)} {_WHERE}"
        )
    longest = max(lengths, default=0)
    size = "for argument #2 'targets' " + _WHERE
    if targets.ndim == 1:
        if targets._shape[0] != sum(lengths):
            raise RuntimeError(
                f"Expected tensor to have size {sum(lengths)} at dimension 0, but got "
                f"size {targets._shape[0]} {size}"
            )
    elif targets._shape[0] != batch:
        raise RuntimeError(
            f"Expected tensor to have size {batch} at dimension 0, but got size "
            f"{targets._shape[0]} {size}"
        )
    elif targets._shape[1] < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got "
            f"size {targets._shape[1]} {size}"
        )


class _States:
    """The states of a batch of targets, and what connects them."""

    def __init__(
        self, log_probs: Any, targets: Any, inputs: Any, lengths: Any, blank: int
    ) -> None:
        device = log_probs.device
        batch = log_probs._shape[1]
        longest = max(lengths, default=0)
        self.count = 2 * longest + 1
        self.inputs = _integers(inputs, device)
        self.lengths = _integers(lengths, device)
        labels = _padded(targets, lengths, longest, batch)
        blanks = torch.full(
            (batch, longest + 1), blank, dtype=torch.int64, device=device
        )
        # blank, label, blank, label, …, blank
        pairs = torch.stack([blanks.narrow(1, 0, longest), labels], 2)
        self.labels = torch.cat(
            [pairs.reshape((batch, 2 * longest)), blanks.narrow(1, longest, 1)], 1
        )
        index = self.labels.unsqueeze(0).expand((log_probs._shape[0], -1, -1))
        self.log_probs = log_probs.gather(2, index)
        #: Where a state may be reached from the one before the last blank.
        differs = self.labels.narrow(1, 2, self.count - 2) != self.labels.narrow(
            1, 0, self.count - 2
        ) if longest else None  # fmt: skip
        self.skips = differs
        place = torch.arange(self.count, device=device)
        self.last = 2 * self.lengths
        #: The states that a path may end in, and those that belong to the target.
        ends = self.last.unsqueeze(1)
        self.final = (place == ends) | ((place == ends - 1) & (ends > 0))
        self.inside = place <= ends
        self.initial = (place < 2) & self.inside


def _integers(values: list[int], device: Any) -> Any:
    from dispatchtorch.factory import tensor

    return tensor(values, dtype=dtypes.int64, device=device)


def _padded(targets: Any, lengths: Any, longest: int, batch: int) -> Any:
    targets = targets.to(torch.int64)
    if targets.ndim == 2:
        return targets.narrow(1, 0, longest)
    rows, start = [], 0
    for length in lengths:
        row = targets.narrow(0, start, length)
        filler = targets.new_zeros((longest - length,))
        rows.append(torch.cat([row, filler]))
        start += length
    return torch.stack(rows) if rows else targets.new_zeros((batch, longest))


def _log_sum(terms: list[Any]) -> Any:
    """The logarithm of the sum of exponentials; of nothing but zeros, -inf."""
    stacked = torch.stack(terms)
    top = torch.amax(stacked, 0)
    safe = torch.where(top == _MINUS_INFINITY, 0, top)
    return torch.log(torch.sum(torch.exp(stacked - safe), 0)) + safe


def _moved(values: Any, by: int, allowed: Any = None) -> Any:
    """Values of the states ``by`` places before (after, for negative), else -inf."""
    size = values._shape[1]
    gap = values.new_full((values._shape[0], min(abs(by), size)), _MINUS_INFINITY)
    kept = size - gap._shape[1]
    if by > 0:
        rest = values.narrow(1, 0, kept)
    else:
        rest = values.narrow(1, size - kept, kept)
    if allowed is not None:
        rest = torch.where(allowed, rest, _MINUS_INFINITY)
    return torch.cat([gap, rest] if by > 0 else [rest, gap], 1)


def _step(values: Any, states: _States, sign: int) -> Any:
    terms = [values, _moved(values, sign)]
    if states.skips is not None:
        terms.append(_moved(values, 2 * sign, states.skips))
    return _log_sum(terms)


@operator(
    "_ctc_loss(Tensor log_probs, Tensor targets, int[] input_lengths, "
    "int[] target_lengths, int blank=0, bool zero_infinity=False) -> "
    "(Tensor neg_log_likelihood, Tensor log_alpha)",
    variants="function",
    tags="tuple",
)
def _ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity):
    """The loss of each sample, and the forward variables (N, T, states)."""
    inputs, lengths = list(input_lengths), list(target_lengths)
    _check(log_probs, targets, inputs, lengths, blank)
    steps, batch, _ = log_probs._shape
    states = _States(log_probs, targets, inputs, lengths, blank)
    rows = []
    alpha = None
    for t in range(steps):
        if alpha is None:
            reached = torch.where(states.initial, 0.0, _MINUS_INFINITY)
            reached = reached.to(log_probs.dtype)
        else:
            reached = _step(alpha, states, 1)
        alpha = reached + states.log_probs.select(0, t)
        rows.append(alpha)
    if not rows or not batch:
        shape = (batch, steps, states.count)
        nothing = log_probs.new_full(shape, _MINUS_INFINITY)
        empty = torch.where(states.lengths > 0, -_MINUS_INFINITY, 0.0)
        return empty.to(log_probs.dtype), nothing
    log_alpha = torch.stack(rows, 1)
    final_step = torch.clamp(states.inputs - 1, min=0).reshape((batch, 1, 1))
    ends = log_alpha.gather(1, final_step.expand((-1, 1, states.count))).squeeze(1)
    ends = torch.where(states.final, ends, _MINUS_INFINITY)
    losses = -_log_sum(list(ends.unbind(1)))
    # Without any input, only the empty target is possible.
    instead = torch.where(states.lengths > 0, -_MINUS_INFINITY, 0.0).to(losses.dtype)
    return torch.where(states.inputs == 0, instead, losses), log_alpha


@operator(
    "_ctc_loss_backward(Tensor grad, Tensor log_probs, Tensor targets, "
    "int[] input_lengths, int[] target_lengths, Tensor neg_log_likelihood, "
    "Tensor log_alpha, int blank, bool zero_infinity=False) -> Tensor",
    variants="private",
)
def _ctc_loss_backward(
    grad,
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    neg_log_likelihood,
    log_alpha,
    blank,
    zero_infinity,
):
    """The gradient by the log-probabilities, taken as those of a softmax."""
    steps, batch, _ = log_probs._shape
    inputs, lengths = list(input_lengths), list(target_lengths)
    states = _States(log_probs, targets, inputs, lengths, blank)
    ends = torch.where(states.final, 0.0, _MINUS_INFINITY).to(log_probs.dtype)
    beta = torch.full_like(ends, _MINUS_INFINITY)
    rows = []
    for t in range(steps - 1, -1, -1):
        here = states.log_probs.select(0, t)
        beta = torch.where(
            (states.inputs == t + 1).unsqueeze(1), ends, _step(beta, states, -1)
        )
        # Without this step's own probability, which is in alpha.
        rows.append(beta)
        beta = beta + here
    if not rows or not batch:
        return torch.zeros_like(log_probs)
    log_beta = torch.stack(rows[::-1])
    joint = log_alpha.transpose(0, 1) + log_beta + neg_log_likelihood.reshape((-1, 1))
    share = torch.where(states.inside, torch.exp(joint), 0)
    index = states.labels.unsqueeze(0).expand(share._shape)
    taken = torch.zeros_like(log_probs).scatter_add(2, index, share)
    impossible = (neg_log_likelihood == -_MINUS_INFINITY).reshape((-1, 1))
    made = (torch.exp(log_probs) - taken) * grad.reshape((-1, 1))
    made = torch.where(impossible, float("nan"), made)
    time = torch.arange(steps, device=log_probs.device).unsqueeze(1)
    counted = (time < states.inputs).unsqueeze(2)
    if zero_infinity:
        counted = counted & ~impossible
    return torch.where(counted, made, 0)


def _no_second(grad: Any) -> Any:
    raise RuntimeError("derivative for aten::_ctc_loss_backward is not implemented")


derive(_ctc_loss_backward, grad=_no_second, log_probs=_no_second)
derive(
    _ctc_loss,
    outputs_=(0,),
    log_probs=lambda grad, log_probs, targets, input_lengths, target_lengths, blank,
    zero_infinity, neg_log_likelihood, log_alpha: torch._ctc_loss_backward(
        grad, log_probs, targets, input_lengths, target_lengths, neg_log_likelihood,
        log_alpha, blank, zero_infinity,
    ),
)  # fmt: skip


def _ctc(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int,
    reduction: int,
    zero_infinity: bool,
) -> Any:
    batched = log_probs.ndim == 3
    if log_probs.ndim == 2:
        log_probs = log_probs.unsqueeze(1)
    losses = torch._ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, zero_infinity
    )[0]
    if zero_infinity:
        losses = torch.where(losses == -_MINUS_INFINITY, 0, losses)
    if reduction == MEAN:
        sizes = losses.new_tensor([max(n, 1) for n in target_lengths])
        return (losses / sizes).mean()
    if reduction == SUM:
        return losses.sum()
    return losses if batched else losses.squeeze(0)


_TAIL = "int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor"


@operator(
    "ctc_loss.IntList(Tensor log_probs, Tensor targets, int[] input_lengths, "
    f"int[] target_lengths, {_TAIL}",
    variants="function",
)
def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity
):
    """The loss of sequences whose alignment with the input isn't known."""
    return _ctc(
        log_probs,
        targets,
        input_lengths,
        target_lengths,
        blank,
        reduction,
        zero_infinity,
    )


@operator(
    "ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, "
    f"Tensor target_lengths, {_TAIL}",
    variants="function",
)
def ctc_loss_tensor(
    log_probs, targets, input_lengths, target_lengths, blank, reduction, zero_infinity
):
    """:func:`ctc_loss` with lengths in tensors."""
    for name, t in (
        ("input_lengths", input_lengths),
        ("target_lengths", target_lengths),
    ):
        if t.dtype.category > dtypes.INT:
            raise RuntimeError(f"{name} must be integral")
    return _ctc(
        log_probs,
        targets,
        input_lengths.reshape(-1).tolist(),
        target_lengths.reshape(-1).tolist(),
        blank,
        reduction,
        zero_infinity,
    )
