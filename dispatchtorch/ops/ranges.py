"""Ranges: numbers at even steps, from a start to an end."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.dtypes import c_type
from dispatchtorch.ops._common import check_number, scalar_type_name, torch
from dispatchtorch.ops.creation import (
    _OPTIONS,
    as_dtype,
    check_layout,
    check_pinned,
    from_host,
    full_dtype,
)

__all__: list[str] = []


def _range_dtype(values: tuple[Any, ...], dtype: Any) -> dtypes.dtype:
    if dtype is not None:
        return as_dtype(dtype)
    if any(
        isinstance(v, float) or (hasattr(v, "_keys") and v.is_floating_point())
        for v in values
    ):
        return dtypes.get_default_dtype()
    return dtypes.int64


def _check_steps(
    name: str, found: dtypes.dtype, start: Any, end: Any, step: Any
) -> None:
    """Raises where no steps lead from the start to the end."""
    if found.category in (dtypes.BOOL, dtypes.COMPLEX):
        raise NotImplementedError(
            f"\"{name}_cpu\" not implemented for '{scalar_type_name(found)}'"
        )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(map(math.isfinite, (start, end))):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if end != start and (end > start) != (step > 0):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")


def _arange(start, end, step, dtype, layout, device, pin_memory, requires_grad):
    import numpy as np

    found = _range_dtype((start, end, step), dtype)
    start, end, step = (_number(v) for v in (start, end, step))
    for value in (start, end, step):
        check_number(value, dtypes.float64)
    _check_steps("arange", found, start, end, step)
    if found.is_floating_point:
        size = math.ceil((end - start) / step)
        wide = np.arange(size, dtype=np.float64) * step + start
    else:
        size = math.ceil((end - start) / step) if found is not dtypes.int64 else None
        start, step = int(start), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
        if size is None:
            size = -(-(int(end) - start) // step)
        if size >= 2**63:
            raise OverflowError("int too big to convert")
        wide = np.arange(size, dtype=np.int64) * step + start
    return from_host(wide, found, device, requires_grad)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


@operator(
    f"arange(Scalar end, {_OPTIONS}) -> Tensor",
    tags="factory out nondifferentiable",
    variants="function",
)
def arange(end, *, dtype, layout, device, pin_memory, requires_grad):
    """The numbers 0, 1, … below ``end``."""
    return _arange(0, end, 1, dtype, layout, device, pin_memory, requires_grad)


@operator(
    f"arange.start(Scalar start, Scalar end, Scalar step=1, {_OPTIONS}) -> Tensor",
    tags="factory out nondifferentiable",
    variants="function",
)
def arange_start(start, end, step, *, dtype, layout, device, pin_memory, requires_grad):
    """The numbers start, start + step, … before ``end``."""
    return _arange(start, end, step, dtype, layout, device, pin_memory, requires_grad)


@operator(
    f"range.step(Scalar start, Scalar end, Scalar step=1, {_OPTIONS}) -> Tensor",
    tags="factory out nondifferentiable",
    variants="function",
)
def range_(start, end, step, *, dtype, layout, device, pin_memory, requires_grad):
    """As ``arange``, the end included (deprecated)."""
    import warnings

    from dispatchtorch.errors import user_level

    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its "
        "behavior is inconsistent with Python's range builtin. Instead, use torch.arange, "
        "which produces values in [start, end).",
        UserWarning,
        stacklevel=user_level(),
    )
    import numpy as np

    check_layout(layout)
    check_pinned(pin_memory)
    start, end, step = (_number(v) for v in (start, end, step))
    found = as_dtype(dtype)
    _check_steps("range", found, start, end, step)
    if found.category <= dtypes.INT:
        start, end, step = int(start), int(end), int(step)
    values = start + step * np.arange(int((end - start) / step + 1))
    return from_host(np.asarray(values), found, device, requires_grad)


def _ends(name: str, start: Any, end: Any, dtype: Any) -> tuple[Any, Any, dtypes.dtype]:
    """Start and end as numbers, and the dtype of a range between them."""
    dims = [
        f"{label} with {each.ndim} dimension(s)"
        for label, each in (("start", start), ("end", end))
        if hasattr(each, "_keys")
    ]
    if any(getattr(each, "ndim", 0) for each in (start, end)):
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got "
            f"{' and '.join(dims)}."
        )
    start, end = _number(start), _number(end)
    complex_ends = complex in (type(start), type(end))
    found = full_dtype(0j if complex_ends else 0.0, dtype)
    if complex_ends and not found.is_complex:
        raise RuntimeError(
            f"torch.{name}(): inferred dtype "
            f"{c_type(dtypes.get_default_dtype().to_complex())} can't be safely cast to "
            f"passed dtype {scalar_type_name(found)}"
        )
    if found is dtypes.bool:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for 'Bool'")
    return start, end, found


def _even(start: Any, end: Any, steps: int, found: dtypes.dtype) -> Any:
    """Evenly spaced numbers, in a dtype wide enough to cast them to ``found``."""
    import numpy as np

    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if found.category == dtypes.INT:  # both ends are integers before the steps are
        ends = [torch.full((), v, dtype=found).item() for v in (start, end)]
        start, end = ends
    work = found.host if found.category > 1 and found.itemsize > 2 else np.float64
    kind = np.dtype(work).type
    first, last = kind(start), kind(end)
    if steps <= 1:
        return np.full(steps, first)
    step = kind((end - start) / (steps - 1))
    index = np.arange(steps)
    # From both ends, so that the last value is exact.
    return np.where(
        index < steps // 2, first + step * index, last - step * (steps - 1 - index)
    ).astype(work)


def _linspace(
    start: Any,
    end: Any,
    steps: Any,
    *,
    dtype: Any,
    layout: Any,
    device: Any,
    pin_memory: Any,
    requires_grad: bool,
) -> Any:
    """``steps`` numbers evenly spaced from ``start`` to ``end``, both included."""
    check_layout(layout)
    check_pinned(pin_memory)
    start, end, found = _ends("linspace", start, end, dtype)
    values = _even(start, end, int(steps), found)
    if found.category == dtypes.INT:
        values = values.astype("int64")
    return from_host(values, found, device, requires_grad)


def _logspace(
    start: Any,
    end: Any,
    steps: Any,
    base: float,
    *,
    dtype: Any,
    layout: Any,
    device: Any,
    pin_memory: Any,
    requires_grad: bool,
) -> Any:
    """Powers of ``base`` whose exponents are evenly spaced."""
    import numpy as np

    check_layout(layout)
    check_pinned(pin_memory)
    start, end, found = _ends("logspace", start, end, dtype)
    if found.category == dtypes.INT:
        exponents = _even(start, end, int(steps), found)
    else:
        wide = dtypes.complex128 if found.is_complex else dtypes.float64
        exponents = _even(start, end, int(steps), wide)
    with np.errstate(all="ignore"):
        values = np.power(np.asarray(float(base)), exponents)
        if found.category == dtypes.INT:
            values = values.astype("int64")
    return from_host(values, found, device, requires_grad)


# Tensors first, so that 0-d tensors aren't taken for numbers.
_ENDS = {
    "Tensor_Tensor": "Tensor start, Tensor end",
    "Scalar_Tensor": "Scalar start, Tensor end",
    "Tensor_Scalar": "Tensor start, Scalar end",
    "": "Scalar start, Scalar end",
}
for _overload, _arguments in _ENDS.items():
    for _name, _body, _more in (
        ("linspace", _linspace, "int steps"),
        ("logspace", _logspace, "int steps, float base=10.0"),
    ):
        operator(
            f"{_name}{'.' * bool(_overload)}{_overload}({_arguments}, {_more}, "
            f"{_OPTIONS}) -> Tensor",
            tags="factory out nondifferentiable",
            variants="function",
        )(_body)
