"""Tensors taken apart along a dim: several views at once, and their copies."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import as_ints, scalar_type_name, torch, wrap_dim
from dispatchtorch.ops.view import slice_

_MULTI_VIEW = (
    "This view is the output of a function that returns multiple views. Such functions do not allow "
    "the output views to be modified inplace. You should replace the inplace operation "
    "by an out-of-place one."
)


def _mark(views: Any) -> Any:
    for each in views:
        if each._keys & dtypes.DIFFERENTIABLE_MASK:
            each._autograd_meta().creation = _MULTI_VIEW
    return views


@operator("unbind.int(Tensor(a) self, int dim=0) -> Tensor[]", tags="views")
def unbind(self, dim=0):
    """All slices of a dim, without the dim."""
    if self.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    dim = wrap_dim(dim, self.ndim)
    return _mark(tuple([self.select(dim, i) for i in range(self._shape[dim])]))


def _unbind_backward(grads, dim):
    known = next(g for g in grads if g is not None)
    return torch.stack(
        [g if g is not None else torch.zeros_like(known) for g in grads], dim
    )


derive(unbind, self=_unbind_backward)


@operator(
    "split_with_sizes(Tensor(a) self, int[] split_sizes, int dim=0) -> Tensor[]",
    tags="views",
)
def split_with_sizes(self, split_sizes, dim=0):
    """Pieces of given lengths along a dim."""
    if self.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = wrap_dim(dim, self.ndim)
    size, sizes = self._shape[dim], as_ints(split_sizes)
    if any(n < 0 for n in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={list(sizes)}"
        )
    if sum(sizes) != size:
        raise RuntimeError(
            "split_with_sizes expects split_sizes to sum exactly to "
            f"{size} (input tensor's size at dimension {dim}), but got "
            f"split_sizes={list(sizes)}"
        )
    return _mark(_pieces(self, sizes, dim))


def _pieces(self: Any, sizes: Any, dim: int) -> Any:
    start, made = 0, []
    for n in sizes:
        made.append(slice_(self, dim, start, start + n, 1))
        start += n
    return tuple(made)


def _split_backward(grads, self_sizes, dim, sizes):
    dim = wrap_dim(dim, len(self_sizes))
    known = next(g for g in grads if g is not None)
    parts = []
    for g, n in zip(grads, sizes, strict=True):
        shape = list(self_sizes)
        shape[dim] = n
        parts.append(g if g is not None else known.new_zeros(shape))
    return torch.cat(parts, dim)


derive(
    split_with_sizes,
    self=lambda grads, self_sizes, split_sizes, dim: _split_backward(
        grads, self_sizes, dim, as_ints(split_sizes)
    ),
)


@operator(
    "split.Tensor(Tensor(a) self, int split_size, int dim=0) -> Tensor[]",
    tags="views",
    variants="method",
)
def split(self, split_size, dim=0):
    """Pieces of one length along a dim; the last may be shorter."""
    if self.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if split_size < 0:
        raise RuntimeError(
            f"split expects split_size be non-negative, but got split_size={split_size}"
        )
    dim = wrap_dim(dim, self.ndim)
    return _mark(_pieces(self, _even(self._shape[dim], split_size), dim))


def _even(size: int, each: int) -> list[int]:
    if each == 0:
        if size:
            raise RuntimeError(
                "split_size can only be 0 if dimension size is 0, but got dimension "
                f"size of {size}"
            )
        return [0]
    return [min(each, size - i) for i in range(0, size, each)] or [0]


derive(
    split,
    self=lambda grads, self_sizes, split_size, dim: _split_backward(
        grads,
        self_sizes,
        dim,
        _even(self_sizes[wrap_dim(dim, len(self_sizes))], split_size),
    ),
)


@operator(
    "split.sizes(Tensor(a) self, int[] split_size, int dim=0) -> Tensor[]",
    tags="views",
    variants="method",
)
def split_sizes(self, split_size, dim=0):
    """Pieces of given lengths along a dim."""
    return torch.split_with_sizes(self, split_size, dim)


@operator("chunk(Tensor(a) self, int chunks, int dim=0) -> Tensor[]", tags="views")
def chunk(self, chunks, dim=0):
    """At most ``chunks`` pieces of equal length along a dim."""
    if self.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(
            f"chunk expects `chunks` to be greater than 0, got: {chunks}"
        )
    dim = wrap_dim(dim, self.ndim)
    size = self._shape[dim]
    each = -(-size // chunks)
    if each == 0 and size == 0:
        return torch.split_with_sizes(self, [0] * chunks, dim)
    return torch.split(self, each, dim)


# Pieces that are ordinary slices.


# First, so that a 0-d tensor isn't taken for a number.
@operator(
    "tensor_split.tensor_indices_or_sections(Tensor(a) self, "
    "Tensor tensor_indices_or_sections, int dim=0) -> Tensor[]",
    tags="mixed_devices",
)
def tensor_split_tensor(self, tensor_indices_or_sections, dim=0):
    """Sections or indices given as a tensor on the host."""
    which = tensor_indices_or_sections
    if which.ndim > 1:
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to be a zero-dimensional "
            f"or one-dimensional tensor, but got a tensor with {which.ndim} dims"
        )
    if which.dtype is not dtypes.int64:
        raise RuntimeError(
            "tensor_split expected tensor_indices_or_sections to have dtype of long, but "
            f"got {scalar_type_name(which.dtype)}"
        )
    return torch.tensor_split(self, which.tolist(), dim)


@operator("tensor_split.sections(Tensor(a) self, int sections, int dim=0) -> Tensor[]")
def tensor_split(self, sections, dim=0):
    """``sections`` pieces along a dim, of lengths that differ by one at most."""
    _check_split(self)
    dim = wrap_dim(dim, self.ndim)
    if sections <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
    each, more = divmod(self._shape[dim], sections)
    sizes = [each + (i < more) for i in range(sections)]
    return _pieces(self, sizes, dim)


def _check_split(self: Any) -> None:
    if self.ndim == 0:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor "
            "with 0 dims"
        )


@operator("tensor_split.indices(Tensor(a) self, int[] indices, int dim=0) -> Tensor[]")
def tensor_split_indices(self, indices, dim=0):
    """The pieces of a dim between ``indices``."""
    _check_split(self)
    dim = wrap_dim(dim, self.ndim)
    ends = [*as_ints(indices), self._shape[dim]]
    starts = [0, *ends[:-1]]
    return tuple(
        [torch.slice(self, dim, a, b, 1) for a, b in zip(starts, ends, strict=True)]
    )


def _split_along(name: str, least: int, dim_of: Any) -> None:
    def check(self):  # type: ignore[no-untyped-def]
        if self.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, "
                f"but got a tensor with {self.ndim} "
                "dimensions!"
            )
        return dim_of(self)

    def sections_(self, sections):  # type: ignore[no-untyped-def]
        dim = check(self)
        if sections == 0 or self._shape[dim] % sections:
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {dim}, but the size "
                f"of the dimension {self._shape[dim]} is not divisible by the "
                f"split_size {sections}!"
            )
        return torch.tensor_split(self, sections, dim)

    def indices_(self, indices):  # type: ignore[no-untyped-def]
        return torch.tensor_split(self, as_ints(indices), check(self))

    sections_.__doc__ = indices_.__doc__ = f"Pieces along the {name[0]} direction."
    operator(f"{name}.int(Tensor(a) self, int sections) -> Tensor[]")(sections_)
    operator(f"{name}.array(Tensor(a) self, int[] indices) -> Tensor[]")(indices_)


_split_along("hsplit", 1, lambda t: 0 if t.ndim == 1 else 1)
_split_along("vsplit", 2, lambda t: 0)
_split_along("dsplit", 3, lambda t: 2)


# Pieces that count as tensors of their own, though they share memory.


@operator("unsafe_split.Tensor(Tensor self, int split_size, int dim=0) -> Tensor[]")
def unsafe_split(self, split_size, dim=0):
    """As split, but the pieces are no views as far as autograd knows."""
    return torch.split(self, split_size, dim)


@operator(
    "unsafe_split_with_sizes(Tensor self, int[] split_sizes, int dim=0) -> Tensor[]"
)
def unsafe_split_with_sizes(self, split_sizes, dim=0):
    """As split_with_sizes, but the pieces are no views as far as autograd knows."""
    return torch.split_with_sizes(self, split_sizes, dim)


derive(
    unsafe_split,
    self=lambda grads, self_sizes, split_size, dim: _split_backward(
        grads,
        self_sizes,
        dim,
        _even(self_sizes[wrap_dim(dim, len(self_sizes))], split_size),
    ),
)
derive(
    unsafe_split_with_sizes,
    self=lambda grads, self_sizes, split_sizes, dim: _split_backward(
        grads, self_sizes, dim, as_ints(split_sizes)
    ),
)


@operator("unsafe_chunk(Tensor self, int chunks, int dim=0) -> Tensor[]")
def unsafe_chunk(self, chunks, dim=0):
    """As chunk, but the pieces are no views as far as autograd knows."""
    if self.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(
            f"chunk expects `chunks` to be greater than 0, got: {chunks}"
        )
    size = self._shape[wrap_dim(dim, self.ndim)]
    each = -(-size // chunks)
    if not size:
        return torch.unsafe_split_with_sizes(self, [0] * chunks, dim)
    return torch.unsafe_split(self, each, dim)


def _copies(view: str, schema: str) -> None:
    def body(self, *args):  # type: ignore[no-untyped-def]
        parts = getattr(torch, view)(self, *args)
        return tuple([p.clone(memory_format=contiguous_format) for p in parts])

    body.__doc__ = f"The results of {view} as copies."
    operator(f"{schema} -> Tensor[]", variants="function")(body)


_copies("split", "split_copy.Tensor(Tensor self, int split_size, int dim=0)")
_copies(
    "split_with_sizes",
    "split_with_sizes_copy(Tensor self, int[] split_sizes, int dim=0)",
)
_copies("unbind", "unbind_copy.int(Tensor self, int dim=0)")
