"""Embeddings: rows of a table by index, singly or in bags; one-hot vectors."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import numel_of, scalar_type_name, torch
from dispatchtorch.ops._precision import half, has_values
from dispatchtorch.tensor import type_name

_PLAIN = Plain()
_INDEX = (dtypes.int64, dtypes.int32)
SUM, MEAN, MAX = 0, 1, 2


def _check_dtype(t: Any, argument: str, op: str, allowed: Any, names: str) -> None:
    if t.dtype not in allowed:
        raise RuntimeError(
            f"Expected tensor for argument #1 '{argument}' to have one of the "
            f"following scalar types: {names}; but got "
            f"torch.{scalar_type_name(t.dtype)}Tensor instead (while checking "
            f"arguments for {op})"
        )


def _check_indices(indices: Any, op: str) -> None:
    _check_dtype(indices, "indices", op, _INDEX, "Long, Int")


def _check_range(indices: Any, rows: int) -> None:
    if has_values(indices) and bool(((indices < 0) | (indices >= rows)).any()):
        raise IndexError("index out of range in self")


_OPTIONS = "int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False"


@operator(
    f"embedding(Tensor weight, Tensor indices, {_OPTIONS}) -> Tensor",
    lift=_PLAIN,
    variants="function",
)
def embedding(weight, indices, padding_idx, scale_grad_by_freq, sparse):
    """The rows of ``weight`` that ``indices`` name."""
    _embedding_checked(weight, indices)
    _check_range(indices, weight._shape[0])
    rows = weight.index_select(0, indices.reshape(-1))
    return rows.reshape((*indices._shape, weight._shape[1]))


def _embedding_checked(weight: Any, indices: Any, *options: Any) -> tuple[Any, Any]:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_indices(indices, "embedding")
    return weight, indices


embedding.prepare = _embedding_checked


@operator(
    "embedding_dense_backward(Tensor grad_output, Tensor indices, int num_weights, "
    "int padding_idx, bool scale_grad_by_freq) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
def embedding_dense_backward(
    grad_output, indices, num_weights, padding_idx, scale_grad_by_freq
):
    """The gradient of an embedding's table: those of its rows added up."""
    rows = indices.reshape(-1).to(torch.int64)
    grads = grad_output.reshape((rows._shape[0], grad_output._shape[-1]))
    if padding_idx >= 0:
        grads = torch.where((rows != padding_idx).unsqueeze(1), grads, 0)
    if scale_grad_by_freq:
        grads = grads / _frequencies(rows, num_weights, grads.dtype).unsqueeze(1)
    # Half types add up in float32.
    wide = grads.to(torch.float32) if half(grads) else grads
    table = wide.new_zeros((num_weights, grads._shape[1]))
    return table.index_add(0, rows, wide).to(grads.dtype)


def _frequencies(rows: Any, count: int, dtype: Any) -> Any:
    """How often each index occurs, at each place where it does."""
    ones = torch.ones_like(rows)
    totals = rows.new_zeros((count,)).scatter_add(0, rows, ones)
    return totals.index_select(0, rows).to(dtype)


def _row_gradient(
    grad: Any, weight_sizes: tuple[int, ...], indices: Any, padding_idx: int
) -> Any:
    """The gradient of the rows that were looked up, as a sparse tensor."""
    rows = indices.reshape(-1).to(torch.int64)
    grads = grad.reshape(rows._shape[0], weight_sizes[1])
    if padding_idx >= 0:
        kept = (rows != padding_idx).nonzero().reshape(-1)
        rows, grads = rows.index_select(0, kept), grads.index_select(0, kept)
    return torch._sparse_coo_tensor_with_dims_and_tensors(
        rows.unsqueeze(0), grads, weight_sizes, is_coalesced=False
    )


def _embedding_gradient(
    grad: Any,
    weight_sizes: tuple[int, ...],
    indices: Any,
    padding_idx: int,
    scale_grad_by_freq: bool,
    sparse: bool,
) -> Any:
    if sparse:
        if scale_grad_by_freq:
            raise RuntimeError(
                "embedding_backward: scale_grad_by_freq not supported with sparse "
                "gradients"
            )
        return _row_gradient(grad, weight_sizes, indices, padding_idx)
    return torch.embedding_dense_backward(
        grad, indices, weight_sizes[0], padding_idx, scale_grad_by_freq
    )


derive(embedding, weight=_embedding_gradient)


@operator(
    "embedding_renorm_(Tensor(a!) self, Tensor indices, float max_norm, float "
    "norm_type) -> Tensor(a!)",
    variants="function",
    tags="inplace nondifferentiable",
)
def embedding_renorm_(self, indices, max_norm, norm_type):
    """Scales the rows that ``indices`` name down to a norm, in place."""
    if self.ndim != 2:
        raise RuntimeError("'self' must be 2-D")
    _check_indices(indices, "embedding_renorm_")
    count = self._shape[0]
    if has_values(indices):
        above = indices.masked_select(indices >= count)
        if above._shape[0]:
            raise IndexError(
                f"select(): index {above.min().item()} out of range for tensor of size "
                f"{list(self._shape)} at dimension 0"
            )
    _check_range(indices, count)
    flat = indices.reshape(-1).to(torch.int64)
    used = flat.new_zeros((count,)).scatter(0, flat, 1) != 0
    norms = torch.norm(self, norm_type, 1, True)
    scale = torch.where(norms > max_norm, max_norm / (norms + 1e-7), 1)
    scaled = torch.where(used.unsqueeze(1), self * scale, self)
    return self.copy_(scaled)


# Bags.

_BAG = (
    "Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, "
    "int mode=0, bool sparse=False, Tensor? per_sample_weights=None, "
    "bool include_last_offset=False"
)


@operator(
    f"_embedding_bag({_BAG}, int padding_idx=-1) -> "
    "(Tensor output, Tensor offset2bag, Tensor bag_size, Tensor maximum_indices)",
    variants="function",
    tags="tuple",
)
def _embedding_bag(
    weight,
    indices,
    offsets,
    scale_grad_by_freq,
    mode,
    sparse,
    per_sample_weights,
    include_last_offset,
    padding_idx,
):
    """The bags, each index's bag, the bags' sizes, and where maxima are."""
    indices, offsets = _bag_checked(weight, indices, offsets, include_last_offset)
    if per_sample_weights is not None and mode != SUM:
        raise RuntimeError(
            "embedding_bag: per_sample_weights only supported with mode='sum'"
        )
    if per_sample_weights is not None and per_sample_weights.dtype is not weight.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for "
            f"argument #1 'per_sample_weights'; but type {type_name(weight)} does not "
            f"equal {type_name(per_sample_weights)} (while checking arguments for "
            "embedding_bag)"
        )
    total = indices._shape[0]
    _check_range(indices, weight._shape[0])
    bags = offsets._shape[0] - include_last_offset
    starts = offsets.narrow(0, 0, bags)
    counted = indices != padding_idx if padding_idx >= 0 else torch.ones_like(
        indices, dtype=torch.bool
    )  # fmt: skip
    # An index's bag is the last one that starts at or before it.
    opened = indices.new_zeros((total + 1,)).scatter_add(
        0, starts, torch.ones_like(starts)
    )
    bag = opened.cumsum(0).narrow(0, 0, total) - 1
    sizes = indices.new_zeros((bags,)).scatter_add(0, bag, counted.to(torch.int64))
    kind = weight.dtype
    rows = weight.index_select(0, indices)
    rows = rows.to(torch.float32) if half(rows) else rows
    if mode == MAX:
        made, where = _bag_maxima(rows, indices, bag, counted, sizes)
        return made.to(kind), bag, sizes, where
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    rows = torch.where(counted.unsqueeze(1), rows, 0)
    made = rows.new_zeros((bags, weight._shape[1])).index_add(0, bag, rows)
    if mode == MEAN:
        made = made / torch.clamp(sizes, min=1).to(made.dtype).unsqueeze(1)
    return made.to(kind), bag, sizes, indices.new_zeros((bags,))


def _bag_checked(
    weight: Any, indices: Any, offsets: Any, include_last: bool
) -> tuple[Any, Any]:
    for t in (indices, offsets):
        _check_indices(t, "embedding_bag")
    _check_dtype(
        weight,
        "weight",
        "embedding_bag",
        (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64),
        "Half, BFloat16, Float, Double",
    )
    kind = scalar_type_name(offsets.dtype)
    indices, offsets = indices.to(torch.int64), offsets.to(torch.int64)
    if offsets._shape[0] and has_values(offsets):
        first, last = offsets[0].item(), offsets[-1].item()
        if first != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch "
                f"has to start from position 0. However, got {first}\n"
                f"[ torch.{kind}Tensor{{}} ]"
            )
        if last > indices._shape[0]:
            raise RuntimeError(
                "offsets[-1] can not be greater than input's length "
                f"{indices._shape[0]} but got offsets[-1] of {last}"
            )
    elif include_last and not offsets._shape[0]:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    return indices, offsets


def _bag_maxima(rows: Any, indices: Any, bag: Any, counted: Any, sizes: Any) -> Any:
    """Each bag's maxima, and the index of the first row that reaches each."""
    total, width = rows._shape
    bags = sizes._shape[0]
    if not total or not bags or not has_values(rows):
        return rows.new_zeros((bags, width)), indices.new_zeros((bags, width))
    # The bags as a padded (bags, longest, width) block.
    first = torch.cumsum(torch.ones_like(bag), 0) - 1
    filled = bag.new_zeros((bags,)).scatter_add(0, bag, torch.ones_like(bag))
    begins = filled.cumsum(0) - filled
    place = first - begins.index_select(0, bag)
    longest = int(filled.max())
    block = rows.new_full((bags, longest, width), float("-inf"))
    values = torch.where(counted.unsqueeze(1), rows, float("-inf"))
    block = block.index_put([bag, place], values)
    at = block.argmax(1)
    table = indices.new_zeros((bags, longest)).index_put([bag, place], indices)
    empty = (sizes == 0).unsqueeze(1)
    where = torch.where(empty, -1, table.gather(1, at))
    made = block.gather(1, at.unsqueeze(1)).squeeze(1)
    return torch.where(empty, 0, made), where


def _bag_gradient(
    grad: Any,
    weight_sizes: tuple[int, ...],
    indices: Any,
    scale_grad_by_freq: bool,
    mode: int,
    sparse: bool,
    per_sample_weights: Any,
    padding_idx: int,
    offset2bag: Any,
    bag_size: Any,
    maximum_indices: Any,
) -> Any:
    count = weight_sizes[0]
    if sparse and mode == MAX:
        raise RuntimeError(
            "embedding_bag: sparse gradients aren't defined for mode 'max'"
        )
    if mode == MAX:
        # Only the rows that reach a maximum have a part in it, column by column.
        reached = maximum_indices >= 0
        rows = torch.where(reached, maximum_indices, 0)
        table = grad.new_zeros((count, grad._shape[1]))
        return table.scatter_add(0, rows, torch.where(reached, grad, 0))
    if mode == MEAN:
        grad = grad / torch.clamp(bag_size, min=1).to(grad.dtype).unsqueeze(1)
    grads = grad.index_select(0, offset2bag)
    if per_sample_weights is not None:
        grads = grads * per_sample_weights.unsqueeze(1)
    return _embedding_gradient(
        grads, weight_sizes, indices, padding_idx, scale_grad_by_freq, sparse
    )


def _sample_gradient(
    grad: Any, weight: Any, indices: Any, padding_idx: int, offset2bag: Any
) -> Any:
    rows = weight.index_select(0, indices.to(torch.int64))
    made = (grad.index_select(0, offset2bag) * rows).sum(1)
    return torch.where(indices != padding_idx, made, 0) if padding_idx >= 0 else made


derive(
    _embedding_bag,
    outputs_=(0,),
    name_="EmbeddingBagBackward0",
    weight=_bag_gradient,
    per_sample_weights=_sample_gradient,
)


def _padding(weight: Any, padding_idx: int | None) -> int:
    if padding_idx is None:
        return -1
    count = weight._shape[0]
    if not -count <= padding_idx < count:
        raise RuntimeError(
            f"padding_idx must be within the number of embeddings, {-count} through "
            f"{count - 1}, but got {padding_idx}"
        )
    return padding_idx % count if count else padding_idx


@operator(
    f"embedding_bag({_BAG}, int? padding_idx=None) -> (Tensor, Tensor, Tensor, Tensor)",
    variants="function",
)
def embedding_bag(weight, *options):
    """Sums (mode 0), means (1) or maxima (2) of bags of rows that begin at offsets."""
    *others, padding_idx = options
    return torch._embedding_bag(weight, *others, _padding(weight, padding_idx))


@operator(
    "one_hot(Tensor self, int num_classes=-1) -> Tensor",
    variants="nn",
    tags="nondifferentiable",
)
def one_hot(self, num_classes):
    """Vectors of zeros with a 1 at the place that ``self`` names, in a new last dim."""
    if self.dtype is not dtypes.int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor."
        )
    if not numel_of(self._shape):
        if num_classes <= 0:
            raise RuntimeError(
                "Can not infer total number of classes from empty tensor."
            )
        return self.new_zeros((*self._shape, num_classes))
    if not has_values(self) and num_classes > 0:
        return self.new_zeros((*self._shape, num_classes))
    if int(self.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(self.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes <= largest:
        raise RuntimeError("Class values must be smaller than num_classes.")
    made = self.new_zeros((*self._shape, num_classes))
    return made.scatter(-1, self.unsqueeze(-1), 1)
