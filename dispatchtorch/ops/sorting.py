"""Order: sorting, selecting by rank, running extrema, distinct elements, searching."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.lift import Plain, result_type, return_type
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import (
    numel_of,
    refuse,
    scalar_type_name,
    strict,
    torch,
    wrap_dim,
)
from dispatchtorch.ops._precision import single
from dispatchtorch.ops.reduction import value_selecting_backward

__all__: list[str] = []

_NO_KIND = "\"{}\" not implemented for '{{dtype}}'"

_NO_ISIN = "Unsupported input type encountered for isin(): {dtype}"

_sort = primitive(
    "sort_(Tensor self, int dim, bool descending) -> (Tensor, Tensor)",
    variants="private",
    tags="nondifferentiable",
)
_sort.shape_rule = lambda x, dim, descending: (
    (x.shape, x.dtype),
    (x.shape, dtypes.int64),
)


@operator(
    "_settle(Tensor values, Tensor indices, int dim, str algorithm, int k) -> "
    "(Tensor, Tensor)",
    lift=Plain(),
    variants="private",
)
def _settle(values, indices, dim, algorithm, k):
    """The result of a stable sort, with equal elements where an unstable algorithm
    leaves them: "sort", "topk" (or "topk unsorted") or "kthvalue", of which the first
    ``k`` matter. It is a device's choice; here they stay."""
    return values, indices


nondifferentiable(_settle)


def _sorted(
    self: Any, dim: int, descending: bool, algorithm: str = "", k: int = 0
) -> tuple[Any, Any]:
    """Values and indices, sorted; NaN counts as the largest value.

    Stable, unless an algorithm is named.
    """
    if self.is_complex():
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    dim = wrap_dim(dim, self.ndim)
    if self.ndim == 0:
        return self.clone(), torch.zeros((), dtype=dtypes.int64, device=self.device)
    values, indices = _sort(self, dim, descending)
    if algorithm and self._shape[dim] > 2 and (algorithm != "sort" or self.stride(dim)):
        values, indices = strict._settle(values, indices, dim, algorithm, k)
    return values, indices


@operator(
    "sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> "
    "(Tensor values, Tensor indices)",
    tags="out",
)
def sort_stable(self, *, stable, dim, descending):
    """The elements along a dim in order, and where they were."""
    algorithm = "" if stable else "sort"
    return return_type(sort_stable)(_sorted(self, dim, descending, algorithm))


def _derive_places(op: Any) -> None:
    """The derivative where the values keep the dim that they were taken along."""
    derive(
        op,
        outputs_=(0,),
        self=lambda grad, self_sizes, dim, indices: value_selecting_backward(
            grad, self_sizes, dim, True, indices
        ),
    )


_derive_places(sort_stable)


@operator(
    "sort(Tensor self, int dim=-1, bool descending=False) -> "
    "(Tensor values, Tensor indices)",
    tags="out",
)
def sort(self, dim=-1, descending=False):
    """The elements along a dim in order, and where they were."""
    return torch.sort(self, stable=False, dim=dim, descending=descending)


@operator("argsort(Tensor self, int dim=-1, bool descending=False) -> Tensor")
def argsort(self, dim=-1, descending=False):
    """The order that sorts a dim."""
    return _sorted(self.detach(), dim, descending, "sort")[1]


@operator(
    "argsort.stable(Tensor self, *, bool stable, int dim=-1, "
    "bool descending=False) -> Tensor"
)
def argsort_stable(self, *, stable, dim, descending):
    """The order that sorts a dim and keeps that of equal elements."""
    return _sorted(self.detach(), dim, descending, "" if stable else "sort")[1]


nondifferentiable(argsort, argsort_stable)


@operator("msort(Tensor self) -> Tensor", tags="out")
def msort(self):
    """The elements in order along the first dim."""
    return self.sort(0)[0]


def _select(
    op: Any, values: Any, indices: Any, dim: int, keepdim: bool, squeeze: bool = True
) -> Any:
    values, indices = values.contiguous(), indices.contiguous()
    if squeeze and not keepdim and values.ndim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return return_type(op)((values, indices))


def _derive_selection(op: Any) -> None:
    derive(
        op,
        outputs_=(0,),
        self=lambda grad, self_sizes, dim, keepdim, indices: value_selecting_backward(
            grad, self_sizes, dim, keepdim, indices
        ),
    )


@operator(
    "topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> "
    "(Tensor values, Tensor indices)",
    tags="out",
)
def topk(self, k, dim=-1, largest=True, sorted=True):
    """The ``k`` largest (or smallest) elements of a dim, and where they are."""
    refuse(self, "topk does not support bool dtypes on CPU", dtypes.BOOL)
    refuse(self, " topk does not support complex dtypes on CPU", dtypes.COMPLEX)
    dim = wrap_dim(dim, self.ndim)
    size = self._shape[dim] if self.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    algorithm = ("topk" if sorted else "topk unsorted") if k else ""
    values, indices = _sorted(self, dim, largest, algorithm, k)
    if self.ndim:
        values = values.narrow(dim, 0, k).clone(memory_format=contiguous_format)
        indices = indices.narrow(dim, 0, k).clone(memory_format=contiguous_format)
    return return_type(topk)((values, indices))


_derive_places(topk)


@operator(
    "kthvalue(Tensor self, int k, int dim=-1, bool keepdim=False) -> "
    "(Tensor values, Tensor indices)",
    tags="out apart_out",
)
def kthvalue(self, k, dim=-1, keepdim=False):
    """The ``k``-th smallest element of a dim, and where it is."""
    refuse(self, _NO_KIND.format("kthvalue_cpu"), dtypes.BOOL, dtypes.COMPLEX)
    dim = wrap_dim(dim, self.ndim)
    size = self._shape[dim] if self.ndim else 1
    if not size:
        raise IndexError(
            f"kthvalue(): Expected reduction dim {dim} to have non-zero size."
        )
    if not 1 <= k <= size:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {dim}"
        )
    values, indices = _sorted(self, dim, False, "kthvalue", k)
    if self.ndim:
        values, indices = values.narrow(dim, k - 1, 1), indices.narrow(dim, k - 1, 1)
        values = values.clone(memory_format=contiguous_format)
        indices = indices.clone(memory_format=contiguous_format)
    return _select(kthvalue, values, indices, dim, keepdim)


_derive_selection(kthvalue)


def _median(name: str, skip_nan: bool) -> None:
    def along(self, dim, keepdim=False):  # type: ignore[no-untyped-def]
        refuse(self, _NO_KIND.format("median_out"), dtypes.BOOL, dtypes.COMPLEX)
        dim = wrap_dim(dim, self.ndim)
        if self.ndim and self._shape[dim] == 0:
            raise IndexError(
                f"median(): Expected reduction dim {dim} to have non-zero size."
            )
        values, indices = _sorted(self, dim, False)
        if not self.ndim:
            return _select(op, values, indices, dim, keepdim)
        place = torch.full(
            (1,) * self.ndim,
            (self._shape[dim] - 1) // 2,
            dtype=dtypes.int64,
            device=self.device,
        )
        if self.is_floating_point():
            bad = self.isnan().sum(dim, True)
            good = self._shape[dim] - bad
            if skip_nan:
                place = (good - 1).clamp(min=0).div(2, rounding_mode="floor")
            else:
                place = torch.where(bad > 0, good, place)
        else:
            shape = list(self._shape)
            shape[dim] = 1
            place = place.expand(shape)
        return _select(
            op, values.gather(dim, place), indices.gather(dim, place), dim, keepdim
        )

    def whole(self):  # type: ignore[no-untyped-def]
        if self.numel() == 0:
            return torch.full((), math.nan, device=self.device).to(self.dtype)
        refuse(self, _NO_KIND.format("median_cpu"), dtypes.BOOL, dtypes.COMPLEX)
        return getattr(torch, name)(self.reshape(-1), 0)[0]

    along.__doc__ = "The lower median of a dim, and where it is" + (
        ", NaN left out." if skip_nan else "."
    )
    whole.__doc__ = "The lower median of all elements."
    first = operator(f"{name}(Tensor self) -> Tensor", tags="out")(whole)
    op = operator(
        f"{name}.dim(Tensor self, int dim, bool keepdim=False) -> "
        "(Tensor values, Tensor indices)",
        tags="out",
    )(along)
    title = name.capitalize()
    op_name = f"{title}Backward1"

    def whole_backward(grad, self, result):  # type: ignore[no-untyped-def]
        mask = self == result
        if self.is_floating_point():
            mask = mask | (self.isnan() & result.isnan())
        return grad * mask.to(grad.dtype) / mask.sum().clamp(min=1)

    derive(first, name_=f"{title}Backward0", self=whole_backward)
    _derive_selection(op)
    op.derivative.name = op_name


_median("median", False)
_median("nanmedian", True)


@operator(
    "mode(Tensor self, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)",
    tags="out",
)
def mode(self, dim=-1, keepdim=False):
    """The most frequent element of a dim (the least of several), and where it is."""
    dim = wrap_dim(dim, self.ndim)
    if self.ndim and self._shape[dim] == 0:
        raise IndexError(f"mode(): Expected reduction dim {dim} to have non-zero size.")
    if not self.ndim:
        return _select(
            mode, self.clone(), torch.zeros_like(self, dtype=dtypes.int64), dim, keepdim
        )
    refuse(self, _NO_KIND.format("mode_cpu"), dtypes.COMPLEX)
    values, indices = _sorted(self, dim, False, "sort")
    n = self._shape[dim]
    shape = [1] * self.ndim
    shape[dim] = n
    at = torch.arange(n, device=self.device).reshape(shape).expand(self._shape)
    first = torch.ones_like(values.narrow(dim, 0, 1), dtype=dtypes.bool)
    new = values.narrow(dim, 1, n - 1) != values.narrow(dim, 0, n - 1)
    starts = torch.where(torch.cat([first, new], dim), at, 0).cummax(dim)[0]
    end = (at - starts).argmax(dim, True)
    return _select(
        mode, values.gather(dim, end), indices.gather(dim, end), dim, keepdim
    )


_derive_selection(mode)

# Scans by doubling: log2(n) steps of whole-tensor operators.


def _scan(parts: Any, dim: int, combine: Any) -> Any:
    """The inclusive scan of an associative ``combine(earlier, later)``."""
    n = parts[0]._shape[dim]
    shift = 1
    while shift < n:
        early = [p.narrow(dim, 0, n - shift) for p in parts]
        late = [p.narrow(dim, shift, n - shift) for p in parts]
        parts = [
            torch.cat([p.narrow(dim, 0, shift), made], dim)
            for p, made in zip(parts, combine(early, late), strict=True)
        ]
        shift *= 2
    return parts


def _running(name: str, reaches: str) -> None:
    def combine(early, late):  # type: ignore[no-untyped-def]
        (a, i), (b, j) = early, late
        later = getattr(torch, reaches)(b, a)
        if a.is_floating_point():
            later = (later & a.isnan().logical_not()) | b.isnan()
        return torch.where(later, b, a), torch.where(later, j, i)

    def body(self, dim):  # type: ignore[no-untyped-def]
        dim = wrap_dim(dim, self.ndim)
        if self.ndim == 0:
            zero = torch.zeros((), dtype=dtypes.int64, device=self.device)
            return return_type(op)((self.clone(), zero))
        if self.numel():
            refuse(self, _NO_KIND.format(f"{name}_cpu"), dtypes.COMPLEX)
        shape = [1] * self.ndim
        shape[dim] = self._shape[dim]
        at = torch.arange(shape[dim], device=self.device).reshape(shape)
        at = at.expand(self._shape).contiguous()
        if self._shape[dim] < 2:
            return return_type(op)((self.clone(memory_format=contiguous_format), at))
        made = _scan([self.contiguous(), at], dim, combine)
        return return_type(op)(tuple([each.contiguous() for each in made]))

    body.__doc__ = f"The {name[3:]}imum of each element and those before it, and where."
    op = operator(
        f"{name}(Tensor self, int dim) -> (Tensor values, Tensor indices)", tags="out"
    )(body)
    _derive_places(op)


_running("cummax", "ge")
_running("cummin", "le")


@operator("logcumsumexp(Tensor self, int dim) -> Tensor", tags="out", lift=Plain())
def logcumsumexp(self, dim):
    """The logarithm of the running sum of exponentials."""
    self, dim = _check_logcumsumexp(self, dim)
    if self.ndim == 0 or self._shape[dim] < 2:
        return self.clone()
    if self.is_complex():
        # One after the other, because angles go on from the operand that weighs more.
        wide = self.to(dtypes.complex128)
        parts = [wide.narrow(dim, 0, 1)]
        for i in range(1, self._shape[dim]):
            parts.append(torch.logaddexp(parts[-1], wide.narrow(dim, i, 1)))
        return torch.cat(parts, dim).to(self.dtype)
    made = _scan(
        [single(self.contiguous())],
        dim,
        lambda early, late: [torch.logaddexp(early[0], late[0])],
    )[0]
    return made.to(self.dtype)


@logcumsumexp.preparation
def _check_logcumsumexp(self, dim):
    dim = wrap_dim(dim, self.ndim)
    refuse(self, _NO_KIND.format("logcumsumexp_out_cpu"), dtypes.BOOL, dtypes.INT)
    return self, dim


def _logcumsumexp_backward(grad: Any, self: Any, result: Any, dim: int) -> Any:
    if self.ndim == 0:
        return grad

    if self.is_complex():
        logs = grad.conj().log() - result
        return (logs.flip(dim).logcumsumexp(dim).flip(dim) + self).exp().conj()

    # A finite stand-in for log(0), which keeps second derivatives free of NaN.
    least = dtypes.finfo(self.dtype).min
    none = least if self.dtype is dtypes.float16 else least / 8

    def of(part: Any) -> Any:
        safe = torch.where(part > 0, part, 1).log()
        logs = torch.where(part > 0, safe - result, none)
        return (logs.flip(dim).logcumsumexp(dim).flip(dim) + self).exp()

    return of(grad) - of(-grad)


derive(logcumsumexp, self=_logcumsumexp_backward)

# Distinct elements.


def _runs(new: Any, inverse: bool, counts: bool) -> tuple[Any, Any, Any]:
    """From marks of where runs start: the starts, each one's run, the runs' lengths."""
    starts = new.nonzero().reshape(-1)
    group = new.to(dtypes.int64).cumsum(0) - 1 if inverse else None
    lengths = None
    if counts:
        end = torch.full((1,), new._shape[0], dtype=dtypes.int64, device=new.device)
        lengths = torch.cat([starts, end])[1:] - starts
    return starts, group, lengths


def _starts(rows: Any) -> Any:
    """Whether each row of a matrix (or element of a vector) differs from the last."""
    n = rows._shape[0]
    differs = rows.narrow(0, 1, n - 1) != rows.narrow(0, 0, n - 1)
    if rows.ndim > 1:
        differs = differs.reshape((n - 1, numel_of(rows._shape[1:]))).any(1)
    first = torch.ones((1,), dtype=dtypes.bool, device=rows.device)
    return torch.cat([first, differs])


def _results(values: Any, inverse: Any, counts: Any) -> Any:
    made = [values, *[each for each in (inverse, counts) if each is not None]]
    return made[0] if len(made) == 1 else tuple(made)


def _rows_of(self: Any, dim: int) -> tuple[Any, int]:
    dim = wrap_dim(dim, self.ndim)
    if self._shape.count(0) > 1:
        raise RuntimeError(
            "Number of zero sized dimensions is more than one, so unique cannot be "
            "applied "
        )
    if 0 in self._shape and self._shape[dim]:
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be "
            "applied"
        )
    return self.movedim(dim, 0), dim


@operator(
    "unique(Tensor self, bool sorted=True, bool return_inverse=False, "
    "bool return_counts=False, int? dim=None) -> Any"
)
def unique(self, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements (or slices of a dim) in order; inverse and counts if asked."""
    refuse(self, _NO_KIND.format("unique"), dtypes.COMPLEX)
    x = self.detach()
    if dim is None:
        flat = x.reshape(-1)
        if not flat.numel():
            empty = torch.zeros(x._shape, dtype=dtypes.int64, device=x.device)
            return _results(
                flat,
                empty if return_inverse else None,
                empty.reshape(-1) if return_counts else None,
            )
        ordered, order = _sorted(flat, 0, False)
        starts, group, lengths = _runs(_starts(ordered), return_inverse, return_counts)
        if group is not None:
            group = torch.zeros_like(group).scatter(0, order, group).reshape(x._shape)
        return _results(ordered.index_select(0, starts), group, lengths)
    rows, dim = _rows_of(x, dim)
    n = rows._shape[0]
    order = torch.arange(n, device=x.device)
    flat = rows.reshape((n, -1)) if rows.numel() else rows.reshape((n, 0))
    # Least significant column first: each stable sort keeps the order of the later ones.
    for column in range(flat._shape[1] - 1, -1, -1):
        keys = flat.select(1, column).index_select(0, order)
        order = order.index_select(0, _sorted(keys, 0, False)[1])
    if not n:
        return _results(
            x.clone(),
            order if return_inverse else None,
            order if return_counts else None,
        )
    ordered = rows.index_select(0, order)
    starts, group, lengths = _runs(_starts(ordered), return_inverse, return_counts)
    if group is not None:
        group = torch.zeros_like(group).scatter(0, order, group)
    return _results(ordered.index_select(0, starts).movedim(0, dim), group, lengths)


@operator(
    "unique_consecutive(Tensor self, bool return_inverse=False, "
    "bool return_counts=False, int? dim=None) -> Any"
)
def unique_consecutive(self, return_inverse=False, return_counts=False, dim=None):
    """The first of each run of equal elements (or slices of a dim)."""
    refuse(self, _NO_KIND.format("unique"), dtypes.COMPLEX)
    x = self.detach()
    rows, at = (x.reshape(-1), 0) if dim is None else _rows_of(x, dim)
    if not rows._shape[0]:
        empty = torch.zeros((0,), dtype=dtypes.int64, device=x.device)
        return _results(
            rows.movedim(0, at).clone(),
            empty if return_inverse else None,
            empty if return_counts else None,
        )
    starts, group, lengths = _runs(_starts(rows), return_inverse, return_counts)
    if group is not None and dim is None:
        group = group.reshape(x._shape)
    return _results(rows.index_select(0, starts).movedim(0, at), group, lengths)


nondifferentiable(unique, unique_consecutive)

# Searching.


def _check_search(
    boundaries: Any, values: Any, side: Any, right: bool, sorter: Any
) -> bool:
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of "
            "left while right was True"
        )
    if boundaries.ndim != 1 and (
        boundaries.ndim != values.ndim or boundaries._shape[:-1] != values._shape[:-1]
    ):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first "
            "N-1 dimensions of boundaries tensor and input value tensor must match, but "
            f"we got boundaries tensor {list(boundaries._shape)} and input value tensor "
            f"{list(values._shape)}"
        )
    if boundaries.dtype is not values.dtype and values.ndim:
        raise RuntimeError(
            "torch.searchsorted(): input value tensor and boundary tensor should have "
            f"same dtype, but got boundary tensor dtype "
            f"{scalar_type_name(boundaries.dtype)} and input value tensor dtype "
            f"{scalar_type_name(values.dtype)}"
        )
    return right or side == "right"


def _search(
    boundaries: Any, values: Any, out_int32: bool, right: bool, sorter: Any
) -> Any:
    """By bisection, all values at once."""
    name = "searchsorted_out_cpu"
    refuse(boundaries, _NO_KIND.format(name), dtypes.BOOL, dtypes.COMPLEX)
    boundaries, values = boundaries.detach(), values.detach()
    if sorter is not None:
        boundaries = boundaries.gather(-1, sorter)
    kind = result_type([boundaries, values])
    boundaries, values = boundaries.to(kind), values.to(kind)
    n = boundaries._shape[-1]
    shape = values._shape
    if boundaries.ndim == 1:
        values = values.reshape(-1)
    low = torch.zeros(values._shape, dtype=dtypes.int64, device=values.device)
    high = torch.full(values._shape, n, dtype=dtypes.int64, device=values.device)
    for _ in range(n.bit_length() if values.numel() else 0):
        middle = (low + high).div(2, rounding_mode="floor")
        found = boundaries.gather(-1, middle.clamp(max=n - 1))
        # "Not greater" rather than "less": NaN is beyond all, as in PyTorch.
        above = found > values if right else found >= values
        beyond = above.logical_not()
        beyond = beyond & (low < high)
        low = torch.where(beyond, middle + 1, low)
        high = torch.where(beyond, high, torch.where(low < high, middle, high))
    made = low.reshape(shape)
    return made.to(dtypes.int32) if out_int32 else made


@operator(
    "searchsorted.Tensor(Tensor sorted_sequence, Tensor input, *, "
    "bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) "
    "-> Tensor",
    tags="out nondifferentiable",
    variants="function",
)
def searchsorted(sorted_sequence, input, *, out_int32, right, side, sorter):
    """Where values belong in sorted sequences (the last dim)."""
    right = _check_search(sorted_sequence, input, side, right, sorter)
    return _search(sorted_sequence, input, out_int32, right, sorter)


@operator(
    "searchsorted.Scalar(Tensor sorted_sequence, Scalar input, *, "
    "bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) "
    "-> Tensor",
    tags="out nondifferentiable",
    variants="function",
)
def searchsorted_scalar(sorted_sequence, input, *, out_int32, right, side, sorter):
    """Where a number belongs in a sorted sequence."""
    value = torch.full((), input, device=sorted_sequence.device)
    right = _check_search(sorted_sequence, value, side, right, sorter)
    return _search(sorted_sequence, value, out_int32, right, sorter)


def _check_boundaries(boundaries: Any) -> None:
    if boundaries.ndim != 1:
        raise RuntimeError(
            f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})"
        )


@operator(
    "bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, "
    "bool right=False) -> Tensor",
    tags="out nondifferentiable",
    variants="function",
)
def bucketize(self, boundaries, *, out_int32, right):
    """The number of the bucket that each element falls in."""
    _check_boundaries(boundaries)
    return _search(boundaries, self, out_int32, right, None)


@operator(
    "bucketize.Scalar(Scalar self, Tensor boundaries, *, bool out_int32=False, "
    "bool right=False) -> Tensor",
    tags="nondifferentiable",
    variants="function",
)
def bucketize_scalar(self, boundaries, *, out_int32, right):
    """The number of the bucket that a number falls in."""
    _check_boundaries(boundaries)
    value = torch.full((), self, device=boundaries.device)
    return _search(boundaries, value, out_int32, right, None)


@operator(
    "isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, "
    "bool assume_unique=False, bool invert=False) -> Tensor",
    tags="out nondifferentiable",
    variants="function",
)
def isin(elements, test_elements, *, assume_unique, invert):
    """Whether each element is among others."""
    for each in (elements, test_elements):
        refuse(each, _NO_ISIN, dtypes.BOOL, dtypes.COMPLEX)
    kind = result_type([elements, test_elements])
    values = elements.detach().to(kind)
    tests = test_elements.detach().to(kind).reshape(-1)
    if not tests.numel():
        return torch.full(
            elements._shape, invert, dtype=dtypes.bool, device=elements.device
        )
    ordered = _sorted(tests, 0, False)[0]
    place = _search(ordered, values, False, False, None).clamp(max=tests.numel() - 1)
    found = ordered.gather(0, place.reshape(-1)).reshape(values._shape) == values
    return found.logical_not() if invert else found


@operator(
    "isin.Tensor_Scalar(Tensor elements, Scalar test_element, *, "
    "bool assume_unique=False, bool invert=False) -> Tensor",
    tags="nondifferentiable",
    variants="function",
)
def isin_scalar(elements, test_element, *, assume_unique, invert):
    """Whether each element equals a number."""
    return elements != test_element if invert else elements == test_element


@operator(
    "isin.Scalar_Tensor(Scalar element, Tensor test_elements, *, "
    "bool assume_unique=False, bool invert=False) -> Tensor",
    tags="nondifferentiable",
    variants="function",
)
def scalar_isin(element, test_elements, *, assume_unique, invert):
    """Whether a number is among the elements."""
    found = (test_elements == element).any()
    return found.logical_not() if invert else found


@operator("argwhere(Tensor self) -> Tensor", tags="nondifferentiable")
def argwhere(self):
    """The positions of the elements that aren't zero, one row each."""
    return self.nonzero().t().contiguous().t()


@operator(
    "where(Tensor condition) -> Tensor[]", variants="function", tags="nondifferentiable"
)
def where(condition):
    """The positions of the true elements, one vector for each dim."""
    at = condition if condition.ndim else condition.reshape(1)
    return tuple(at.nonzero().t().contiguous().unbind(0))
