"""What the families of linear algebra share: checks, transposes, batches, layouts."""

from __future__ import annotations

import warnings
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.operator import Operator, primitive
from dispatchtorch.errors import LinAlgError
from dispatchtorch.lift import Plain, broadcast_shapes
from dispatchtorch.ops._common import conj, scalar_type_name, torch

__all__ = [
    "broadcast_batch",
    "check_floating",
    "check_info",
    "check_kernel_dtype",
    "check_square",
    "column_major",
    "check_matrix",
    "deprecated",
    "element",
    "eye_like",
    "host_primitive",
    "mH",
    "mT",
    "norm_input",
    "real_dtype",
    "row_major",
]

_SMALL = (dtypes.float16, dtypes.bfloat16)
_LAPACK = (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128)


def host_primitive(schema: str, shape_rule: Any) -> Operator:
    """An operator that devices may leave to ``cpu``: a factorisation, mostly.

    Its callers check shapes and dtypes before.
    """
    op = primitive(schema, lift=Plain(), tags="fallback no_out", variants="private")
    op.shape_rule = shape_rule
    return op


def mT(t: Any) -> Any:
    """The transpose of matrices."""
    return t.transpose(-2, -1)


def mH(t: Any) -> Any:
    """The conjugate transpose of matrices."""
    return conj(t.transpose(-2, -1))


def check_square(t: Any, name: str, label: str = "A") -> None:
    """RuntimeError unless a tensor is a batch of square matrices."""
    shape = t._shape
    if len(shape) < 2:
        raise RuntimeError(
            f"{name}: The input tensor {label} must have at least 2 dimensions."
        )
    if shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: {label} must be batches of square matrices, but they are "
            f"{shape[-2]} by {shape[-1]} matrices"
        )


def check_floating(t: Any, name: str, *, low_precision: bool = True) -> None:
    """RuntimeError for integers, and for half types unless these are let through."""
    dtype = t.dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{scalar_type_name(dtype)}"
        )
    if not low_precision and dtype not in _LAPACK:
        raise RuntimeError(
            f"{name}: Low precision dtypes not supported. Got {scalar_type_name(dtype)}"
        )


def check_kernel_dtype(t: Any, kernel: str) -> None:
    """NotImplementedError for what LAPACK has no routines for."""
    if t.dtype not in _LAPACK:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_type_name(t.dtype)}'"
        )


def element(info: Any) -> tuple[str, int] | None:
    """What to say of the first failure that LAPACK reports, and its code."""
    if not info.numel() or info.is_meta:
        return None
    if info.ndim == 0:
        code = int(info.item())
        return ("", code) if code else None
    codes = info.reshape(-1).tolist()
    first = next((i for i, code in enumerate(codes) if code), None)
    return None if first is None else (f"(Batch element {first}): ", codes[first])


def check_info(info: Any, name: str, words: str, kind: type = LinAlgError) -> None:
    """Raises with ``words`` (a format of ``{code}``) if LAPACK reports a failure."""
    found = element(info)
    if found is not None:
        where, code = found
        raise kind(f"{name}: {where}{words.format(code=code)}")


def broadcast_batch(a: Any, b: Any) -> tuple[Any, Any]:
    """Two batches of matrices expanded to their common batch dims."""
    x, y = a._shape, b._shape
    if x[:-2] == y[:-2]:
        return a, b
    batch = broadcast_shapes([x[:-2], y[:-2]])
    return a.expand((*batch, *x[-2:])), b.expand((*batch, *y[-2:]))


def column_major(t: Any) -> Any:
    """A tensor of its own with the columns of its matrices together in memory."""
    shape = t._shape
    *batch, m, n = shape
    steps, step = [1, max(m, 1)], max(m, 1) * max(n, 1)
    for size in reversed(batch):
        steps.insert(0, step)
        step *= max(size, 1)
    made = torch.empty_strided(shape, steps, dtype=t.dtype, device=t.device)
    return made.copy_(t)


def row_major(t: Any) -> Any:
    """A tensor of its own with the rows of its matrices together in memory."""
    return torch.empty(t._shape, dtype=t.dtype, device=t.device).copy_(t)


def eye_like(t: Any, n: int, m: int | None = None) -> Any:
    """An identity matrix of a tensor's dtype and device."""
    return torch.eye(n, n if m is None else m, dtype=t.dtype, device=t.device)


def real_dtype(dtype: Any) -> Any:
    """The dtype of singular values and norms."""
    return dtype.to_real() if dtype.is_complex else dtype


def check_matrix(t: Any, name: str) -> None:
    """RuntimeError for tensors with less than two dims."""
    if t.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor A must have at least 2 dimensions."
        )


_told: set[str] = set()


def deprecated(text: str) -> None:
    """Warns once, as PyTorch does from its C++ side."""
    if text not in _told:
        _told.add(text)
        warnings.warn(text, UserWarning, stacklevel=4)


def norm_input(t: Any, dtype: Any, name: str) -> Any:
    """The input of a norm in the dtype asked for: a wider one of its kind."""
    if dtype is None:
        return t
    kind = scalar_type_name(dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(
            f"{name}: dtype should be floating point or complex, but got {kind}"
        )
    if dtype.is_complex != t.is_complex():
        word = "complex" if t.is_complex() else "real"
        raise RuntimeError(
            f"{name}: dtype should be {word} for {word} inputs, but got {kind}"
        )
    if dtypes.promote_types(t.dtype, dtype) is not dtype:
        raise RuntimeError(
            f"{name}: the dtype of the input ({scalar_type_name(t.dtype)}) should be "
            f"convertible without narrowing to the specified dtype ({kind})"
        )
    return t.to(dtype)
