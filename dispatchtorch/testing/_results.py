"""What two results differ in, as a line of text: the comparison under every check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["TOLERANCES", "difference", "flat", "host_values", "is_tensor", "tolerance"]

#: (rtol, atol) by dtype, for one operator on small tensors; exact for the others.
TOLERANCES = {
    "float16": (2e-3, 2e-3),
    "bfloat16": (1.6e-2, 1.6e-2),
    "float32": (2e-5, 1e-5),
    "float64": (1e-9, 1e-10),
    "complex64": (3e-5, 2e-5),
    "complex128": (1e-9, 1e-10),
}

Tolerance = Callable[[str], tuple[float, float]]


def tolerance(loose: float = 1.0) -> Tolerance:
    """Dtype name -> (rtol, atol), the table's times ``loose``."""

    def of(dtype: str) -> tuple[float, float]:
        rtol, atol = TOLERANCES.get(dtype, (0.0, 0.0))
        return rtol * loose, atol * loose

    return of


def is_tensor(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "stride")


def flat(value: Any) -> Iterator[Any]:
    """The leaves of nested results."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from flat(each)
    else:
        yield value


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def host_values(tensor: Any) -> np.ndarray[Any, Any]:
    """A tensor's values as a NumPy array that isn't its memory (bfloat16 as float32)."""
    tensor = tensor.detach()
    if str(tensor.device) != "cpu":
        tensor = tensor.cpu()
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    if _name(tensor.dtype) == "bfloat16":
        tensor = tensor.float()
    return np.array(tensor.numpy())


def difference(
    found: Any,
    wanted: Any,
    tolerances: Tolerance | None = None,
    *,
    values: bool = True,
    views_of: Iterable[Any] = (),
) -> str | None:
    """What differs first between two results, or None.

    Tensors may lie on different devices, and ``wanted`` may be PyTorch's. Without
    ``values`` only shapes and dtypes count. ``views_of`` are the operands whose views have
    to have the same strides (the layout of a new tensor is its device's own affair).
    """
    tolerances = tolerances or tolerance()
    bases = {id(base) for base in views_of}
    ours, theirs = list(flat(found)), list(flat(wanted))
    if len(ours) != len(theirs):
        return f"{len(ours)} results, expected {len(theirs)}"
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        words = _difference(a, b, tolerances, values, bases)
        if words:
            return words if len(ours) == 1 else f"result {i}: {words}"
    return None


def _difference(
    found: Any, wanted: Any, tolerances: Tolerance, values: bool, bases: set[int]
) -> str | None:
    if not is_tensor(wanted) or not is_tensor(found):
        same = found is wanted or str(found) == str(wanted)
        if isinstance(wanted, float) and isinstance(found, (int, float)):
            same = bool(np.isclose(found, wanted, equal_nan=True))
        return None if same or not values else f"{found!r}, expected {wanted!r}"
    dtype = _name(wanted.dtype)
    if _name(found.dtype) != dtype:
        return f"dtype {_name(found.dtype)}, expected {dtype}"
    if tuple(found.shape) != tuple(wanted.shape):
        return f"shape {tuple(found.shape)}, expected {tuple(wanted.shape)}"
    view = wanted.numel() > 1 and id(wanted._base) in bases
    if view and found.stride() != wanted.stride():
        return f"strides {found.stride()}, expected {wanted.stride()}"
    if not values:
        return None
    rtol, atol = tolerances(dtype)
    return array_difference(host_values(found), host_values(wanted), rtol, atol)


def array_difference(
    found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], rtol: float, atol: float
) -> str | None:
    """The first element that differs, and how many do; None where none does.

    ``atol`` is for values of the size of 1, and grows with the largest one.
    """
    if not wanted.size:
        return None
    finite = wanted[np.isfinite(wanted)]
    scale = max(1.0, float(np.max(np.abs(finite), initial=0.0))) if atol else 1.0
    with np.errstate(all="ignore"):
        if rtol or atol:
            close = np.isclose(found, wanted, rtol, atol * scale, equal_nan=True)
        else:
            close = found == wanted
    if close.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~np.asarray(close))[0])
    at = f" at {place}" if place else ""
    return (
        f"{found[place]}, expected {wanted[place]}{at} "
        f"({int((~close).sum())} of {wanted.size} differ)"
    )
