"""Adaptive softmax: cheap scores for many classes of very unequal frequency."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn.modules.container import ModuleList, Sequential
from dispatchtorch.nn.modules.linear import Linear
from dispatchtorch.nn.modules.module import Module

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of frequent classes and of clusters of rare ones.

    Grave et al., "Efficient softmax approximation for GPUs" (2017). Classes must be
    sorted by falling frequency. Those below the first cutoff are scored by the head,
    as is each cluster between cutoffs; cluster i is scored within by a tail of
    `in_features // div_value ** (i + 1)` features.

    Args:
        in_features: features of the input.
        n_classes: number of classes.
        cutoffs: where clusters begin, increasing, in [1, n_classes - 1]; else
            ValueError.
        div_value: by how much each further tail is smaller.
        head_bias: whether the head has a bias.
    """

    in_features: int
    n_classes: int
    cutoffs: list[int]
    div_value: float
    head_bias: bool
    head: Linear
    tail: ModuleList

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(set(cutoffs))
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted "
                "in an increasing order, where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters

        options = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(self._clusters()):
            hidden = int(in_features // div_value ** (i + 1))
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **options),
                    Linear(hidden, high - low, bias=False, **options),
                )
            )

    def _clusters(self) -> list[tuple[int, int]]:
        """(first class, one past the last) of each tail cluster."""
        return list(zip(self.cutoffs, self.cutoffs[1:]))

    def reset_parameters(self) -> None:
        """Initialise all linear layers anew."""
        self.head.reset_parameters()
        for projection, scores in self.tail:
            projection.reset_parameters()
            scores.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """(output, loss): each target's log-probability and their negative mean.

        `input_` is (N, in_features) and `target_` (N), or (in_features) and a scalar.
        Raises RuntimeError for other shapes and for targets outside [0, n_classes).
        """
        if target_.dim() == 1:
            if input_.shape[0] != target_.shape[0]:
                raise RuntimeError(
                    "Input and target should have the same size in the batch dimension."
                )
        elif target_.dim() == 0:
            if input_.dim() != 1:
                raise RuntimeError(
                    "0D target tensor expects 1D input tensors, "
                    f"but found inputs with size {input_.size()}"
                )
        else:
            raise RuntimeError(
                "0D or 1D target tensor expected, multi-target not supported"
            )
        batched = target_.dim() == 1
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        if not target.is_floating_point():
            target = target.long()
        if target.numel():
            low, high = target.min().item(), target.max().item()
            if low < 0 or high >= self.n_classes:
                raise RuntimeError(
                    f"Target values should be in [0, {self.n_classes - 1}], "
                    f"but values in range [{low}, {high}] were found. "
                )

        # A class of the shortlist has a column of the head; the others have their
        # cluster's, and their share within the cluster.
        column = target
        within: list[tuple[Tensor, Tensor]] = []
        for i, (low, high) in enumerate(self._clusters()):
            member: Any = (target >= low) & (target < high)
            column = column.masked_fill(member, self.shortlist_size + i)
            rows = member.nonzero().squeeze(1)
            if rows.numel():
                scores = self.tail[i](input.index_select(0, rows))
                classes = (target.index_select(0, rows) - low).unsqueeze(1)
                scores = torch.nn.functional.log_softmax(scores, dim=1)
                within.append((rows, scores.gather(1, classes).squeeze(1)))
        head = torch.nn.functional.log_softmax(self.head(input), dim=1)
        output = head.gather(1, column.unsqueeze(1)).squeeze(1)
        for rows, share in within:
            output = output.index_add(0, rows, share)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        log_softmax = torch.nn.functional.log_softmax
        head = log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, tail in enumerate(self.tail):
            at = self.shortlist_size + i
            parts.append(log_softmax(tail(input), dim=1) + head[:, at : at + 1])
        return torch.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities (N, n_classes) for `input` (N, in_features)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most likely class of each row of `input` (N, in_features)."""
        head_output = self.head(input)
        best = head_output.argmax(dim=1)
        # Only where a cluster leads must one look inside the clusters.
        rows = (best >= self.shortlist_size).nonzero().squeeze(1)
        if rows.numel() == 0:
            return best
        full = self._get_full_log_prob(
            input.index_select(0, rows), head_output.index_select(0, rows)
        )
        return best.index_copy(0, rows, full.argmax(dim=1))
