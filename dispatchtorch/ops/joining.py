"""Tensors joined: along a dim, as rows, columns and layers, as blocks of a matrix."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import add_alias, operator
from dispatchtorch.lift import Plain, result_type
from dispatchtorch.ops._common import torch, wrap_dim

__all__ = ["at_least"]

_PLAIN = Plain()


def _listed(name: str, tensors: Any, label: str = "tensors") -> list[Any]:
    """A list of tensors; TypeError in PyTorch's words for anything else."""
    if hasattr(tensors, "_keys"):
        raise TypeError(
            f"{name}(): argument '{label}' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    parts = list(tensors)
    for i, each in enumerate(parts):
        if not hasattr(each, "_keys"):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got "
                f"{type(each).__name__}"
            )
    return parts


@operator(
    "cat(Tensor[] tensors, int dim=0) -> Tensor",
    lift=_PLAIN,
    variants="function",
    tags="apart_out",
)
def cat(tensors, dim=0):
    """Tensors one after the other along a dim."""
    parts, at, dtype = _check_cat(tensors, dim)
    shape = list(parts[0]._shape)
    shape[at] = sum(p._shape[at] for p in parts)
    made = torch.empty(tuple(shape), dtype=dtype, device=parts[0].device)
    start = 0
    for part in parts:
        made.narrow(at, start, part._shape[at]).copy_(part)
        start += part._shape[at]
    return made


def _check_cat(tensors: Any, dim: int) -> tuple[list[Any], int, Any]:
    tensors = _listed("cat", tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, t in enumerate(tensors):
        if t.ndim == 0:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {i}) cannot be concatenated"
            )
    dtype = result_type(tensors)
    # PyTorch lets empty vectors of any shape pass, as relics of its early days.
    parts = [t for t in tensors if t._shape != (0,)] or tensors[:1]
    at = wrap_dim(dim, parts[0].ndim)
    first = parts[0]._shape
    for i, p in enumerate(parts):
        shape = p._shape
        if len(shape) != len(first):
            raise RuntimeError(
                "Tensors must have same number of dimensions: got "
                f"{len(first)} and {len(shape)}"
            )
        for d, (a, b) in enumerate(zip(first, shape, strict=True)):
            if a != b and d != at:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {at}. Expected "
                    f"size {a} but got size {b} for tensor number {i} in the list."
                )
    return parts, at, dtype


@cat.preparation
def _(tensors, dim):
    parts, at, dtype = _check_cat(tensors, dim)
    return [p if p.dtype is dtype else p.to(dtype) for p in parts], at


def _cat_backward(grad, tensors_sizes, dim):
    parts = []
    start = 0
    at = wrap_dim(dim, grad.ndim)
    for shape in tensors_sizes:
        if shape == (0,) and grad.ndim != 1:
            parts.append(grad.new_zeros((0,)))
            continue
        parts.append(grad.narrow(at, start, shape[at]))
        start += shape[at]
    return parts


derive(cat, tensors=_cat_backward)


@operator(
    "stack(Tensor[] tensors, int dim=0) -> Tensor", tags="out", variants="function"
)
def stack(tensors, dim=0):
    """Tensors of one shape one after the other along a new dim."""
    tensors = _listed("stack", tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0]._shape
    for i, t in enumerate(tensors):
        if t._shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at "
                f"entry 0 and {list(t._shape)} at entry {i}"
            )
    at = wrap_dim(dim, len(first) + 1)
    return torch.cat([t.unsqueeze(at) for t in tensors], at)


derive(stack, tensors=lambda grad, dim: list(grad.unbind(dim)))


# Rows, columns, layers, blocks.


def at_least(n: int, t: Any) -> Any:
    """A tensor with at least ``n`` dims."""
    if t.ndim >= n:
        return t
    if n == 3 and t.ndim == 2:
        return t.unsqueeze(-1)
    if n == 3 and t.ndim == 1:
        return t.unsqueeze(0).unsqueeze(-1)
    return t.unsqueeze(0) if t.ndim == 1 else t.reshape((1,) * n)


def _joined(name: str, n: int, dim: int) -> None:
    def body(tensors):  # type: ignore[no-untyped-def]
        tensors = _listed(name, tensors)
        if not tensors:
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        parts = [at_least(n, t) for t in tensors]
        return torch.cat(parts, 0 if name == "hstack" and parts[0].ndim == 1 else dim)

    body.__doc__ = f"Tensors joined along dim {dim}, after that of vectors."
    operator(f"{name}(Tensor[] tensors) -> Tensor", tags="out", variants="function")(
        body
    )


_joined("hstack", 1, 1)
_joined("vstack", 2, 0)
_joined("dstack", 3, 2)


@operator("column_stack(Tensor[] tensors) -> Tensor", tags="out", variants="function")
def column_stack(tensors):
    """Vectors as columns of a matrix, beside matrices."""
    tensors = _listed("column_stack", tensors)
    if not tensors:
        raise RuntimeError("column_stack expects a non-empty TensorList")
    parts = [t if t.ndim > 1 else t.reshape((t.numel(), 1)) for t in tensors]
    return torch.hstack(parts)


add_alias("concat", "cat")
add_alias("concatenate", "cat")
add_alias("row_stack", "vstack")
add_alias("swapdims", "transpose")


@operator("_block_diag(Tensor[] tensors) -> Tensor", variants="function")
def _block_diag(tensors):
    """The matrix with matrices (or vectors, numbers) along its diagonal."""
    parts = []
    for i, t in enumerate(tensors):
        if t.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{i} has {t.ndim} dimensions"
            )
        parts.append(t if t.ndim == 2 else t.reshape((1, -1)))
    width = sum(p._shape[1] for p in parts)
    rows, start = [], 0
    for p in parts:
        n, m = p._shape
        rows.append(
            torch.cat(
                [p.new_zeros((n, start)), p, p.new_zeros((n, width - start - m))], 1
            )
        )
        start += m
    return torch.cat(rows, 0)


def _block_diag_backward(grad, tensors_sizes):  # type: ignore[no-untyped-def]
    parts = []
    row = column = 0
    for shape in tensors_sizes:
        n, m = ((1, 1), (1, *shape))[len(shape)] if len(shape) < 2 else shape
        part = grad.narrow(0, row, n).narrow(1, column, m)
        parts.append(part.reshape(shape))
        row, column = row + n, column + m
    return parts


derive(_block_diag, name_="BlockDiagBackward0", tensors=_block_diag_backward)


@operator(
    "_chunk_cat(Tensor[] tensors, int dim, int num_chunks) -> Tensor",
    tags="out",
    variants="function",
)
def _chunk_cat(tensors, dim, num_chunks):
    """Tensors cut into equal chunks along a dim, the chunks of one number side by side.

    Dims after ``dim`` become one; the last chunks are filled up with zeros.
    """
    tensors = _listed("_chunk_cat", tensors)
    if num_chunks < 1:
        raise RuntimeError("_chunk_cat expects positive num_chunks")
    if not tensors:
        raise RuntimeError("_chunk_cat expects a non-empty input tensor list")
    if dim < 0 and len({t.ndim for t in tensors}) > 1:
        raise RuntimeError(
            "_chunk_cat expects non-negative dim when input tensors have different ndims"
        )
    at = wrap_dim(dim, tensors[0].ndim)
    parts = []
    for t in tensors:
        if at >= t.ndim:
            raise RuntimeError("_chunk_cat expects dim < ndim for all input tensors")
        if not t.numel():
            raise RuntimeError("_chunk_cat expects non-empty tensor")
        if t._shape[:at] != tensors[0]._shape[:at]:
            raise RuntimeError(
                "_chunk_cat expects same sizes of 0,...,dim-1 dimensions for all tensors"
            )
        lead, size = t._shape[:at], t._shape[at]
        each = -(-size // num_chunks)
        missing = each * num_chunks - size
        if missing:
            rest = t.new_zeros((*lead, missing, *t._shape[at + 1 :]))
            t = torch.cat([t, rest], at)
        parts.append(t.reshape((*lead, num_chunks, -1)))
    return torch.cat(parts, at + 1)
