"""Reductions of the segments that a dim is cut into."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import add_alias, operator
from dispatchtorch.ops._common import scalar_type_name, torch, wrap_dim
from dispatchtorch.tensor import Tensor

# Name of a reduction -> that of ``scatter_reduce``, and the result of an empty segment.
_KINDS: dict[str, tuple[str, float]] = {
    "sum": ("sum", 0.0),
    "mean": ("sum", math.nan),
    "prod": ("prod", 1.0),
    "max": ("amax", -math.inf),
    "amax": ("amax", -math.inf),
    "min": ("amin", math.inf),
    "amin": ("amin", math.inf),
}


def _borders(
    data: Tensor, lengths: Any, indices: Any, offsets: Any, axis: int, unsafe: bool
) -> tuple[Tensor, int]:
    """Where segments start and end along the last dim, and which dim of ``data`` it is."""
    if lengths is None and offsets is None:
        if indices is not None:
            raise RuntimeError(
                "segment_reduce(): indices based reduction is not supported yet."
            )
        raise RuntimeError(
            "segment_reduce(): Either lengths or offsets must be defined."
        )
    given, name = (lengths, "lengths") if lengths is not None else (offsets, "offsets")
    axis = wrap_dim(axis, data.ndim)
    if data.ndim < given.ndim:
        raise RuntimeError(
            f"Expected data.dim() >= {name}_value.dim() to be true, but got false.  "
            "(Could this error message be improved?  If so, please report an enhancement "
            "request to PyTorch.)"
        )
    if axis != given.ndim - 1:
        raise RuntimeError(
            f"segment_reduce(): Expected axis to be the last dimension of {name} but got "
            f"{axis}."
        )
    if given.dtype.category != dtypes.INT:
        raise NotImplementedError(
            f'"_segment_reduce_{name}_cpu_kernel1" not implemented for '
            f"'{scalar_type_name(given.dtype)}'"
        )
    if offsets is not None and lengths is None:
        return offsets, axis
    if not unsafe:
        if int(lengths.min()) < 0:
            raise RuntimeError("lengths contains negative value!")
        if bool((lengths.sum(-1) != data._shape[axis]).any()):
            raise RuntimeError(
                "segment_reduce(): Expected all rows of lengths along axis to sum to "
                "data.size(lengths.dim()-1) when !unsafe."
            )
    ends = lengths.cumsum(-1)
    return torch.cat([torch.zeros_like(ends[..., :1]), ends], -1), axis


def _segments(data: Tensor, borders: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The segment that each element lies in, and the sizes of segments.

    What lies in none is put to one more, behind the last.
    """
    rest = [1] * (data.ndim - axis - 1)
    places = torch.arange(data._shape[axis], device=data.device)
    places = places.expand((*borders._shape[:-1], places._shape[0])).contiguous()
    starts = borders.detach().to(dtypes.int64).contiguous()
    segment = torch.searchsorted(starts, places, right=True) - 1
    segment = torch.where(segment < 0, borders._shape[-1] - 1, segment)
    sizes = starts.diff(dim=-1)
    return (
        segment.reshape((*segment._shape, *rest)).expand(data._shape),
        sizes.reshape((*sizes._shape, *rest)),
    )


@operator(
    "segment_reduce(Tensor data, str reduce, *, Tensor? lengths=None, "
    "Tensor? indices=None, Tensor? offsets=None, int axis=0, bool unsafe=False, "
    "Scalar? initial=None) -> Tensor",
    variants="function",
)
def segment_reduce(data, reduce, *, lengths, indices, offsets, axis, unsafe, initial):
    """The sum, mean, product or extreme of each segment, given by lengths or offsets."""
    borders, axis = _borders(data, lengths, indices, offsets, axis, unsafe)
    if reduce not in _KINDS:
        raise RuntimeError(
            "reduce argument must be either sum, prod, mean, amax or amin, got "
            + reduce
        )
    if not data.is_floating_point():
        raise NotImplementedError(
            '"_segment_reduce_cpu" not implemented for '
            f"'{scalar_type_name(data.dtype)}'"
        )
    kind, empty = _KINDS[reduce]
    count = borders._shape[-1] - 1
    segment, sizes = _segments(data, borders, axis)
    count = borders._shape[-1] - 1
    shape = (*data._shape[:axis], count + 1, *data._shape[axis + 1 :])
    first = empty if initial is None else initial
    start = 0.0 if reduce == "mean" and initial is None else first
    made = data.new_full(shape, start)
    made = made.scatter_reduce(axis, segment, data, kind, include_self=True)
    made = made.narrow(axis, 0, count)
    if reduce == "mean":
        made = torch.where(sizes == 0, first, made / sizes.to(data.dtype))
    return made.contiguous()


def _backward(
    grad: Any,
    data: Any,
    reduce: str,
    lengths: Any,
    offsets: Any,
    axis: int,
    initial: Any,
    result: Any,
) -> Any:
    borders, axis = _borders(data, lengths, None, offsets, axis, True)
    segment, sizes = _segments(data, borders, axis)

    def of_each(values: Any) -> Any:
        """What belongs to a segment, for each of its elements; 0 outside."""
        none = torch.zeros_like(values.narrow(axis, 0, 1))
        return torch.cat([values, none], axis).gather(axis, segment)

    def total(values: Any, kind: str = "sum") -> Any:
        """The sum (or product) over each element's segment, for each element."""
        shape = (*data._shape[:axis], result._shape[axis] + 1, *data._shape[axis + 1 :])
        start = values.new_full(shape, 0.0 if kind == "sum" else 1.0)
        return start.scatter_reduce(axis, segment, values, kind).gather(axis, segment)

    if reduce == "mean":
        grad = grad / sizes.to(grad.dtype).clamp(min=1)
    made = of_each(grad)
    if reduce in ("sum", "mean"):
        return made
    if reduce != "prod":
        chosen = (data == of_each(result)).to(grad.dtype)
        return made * chosen / total(chosen).clamp(min=1)
    # The product of the others: of all that aren't 0, where this is the only 0.
    zero = data == 0
    nonzero = torch.where(zero, 1, data)
    zeros = total(zero.to(grad.dtype))
    rest = total(nonzero, "prod") * (1 if initial is None else initial)
    only = torch.where(zero & (zeros == 1), made * rest, 0)
    return torch.where(zeros == 0, made * of_each(result) / nonzero, only)


derive(segment_reduce, data=_backward)
add_alias("_segment_reduce", "segment_reduce")
