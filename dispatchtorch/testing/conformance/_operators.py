"""Every operator on a device against ``cpu``: the calls of the sample database.

For one operator and dtype: values, dtypes, shapes and strides; that results lie on the
device; that operands aren't changed and results don't share memory with them (or do,
exactly where they do on ``cpu``); the form that works in place and the one with ``out=``;
first and second gradients; the calls that have to raise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import dispatchtorch as torch
from dispatchtorch.backend import get_backend
from dispatchtorch.errors import FallbackError, UnsupportedOperator
from dispatchtorch.testing._results import (
    Tolerance,
    difference,
    flat,
    host_values,
)
from dispatchtorch.testing.samples import OperatorSamples, Sample

__all__ = ["Mismatch", "check_operator"]

_REFERENCE = "cpu"


class Mismatch(AssertionError):
    """What differs from ``cpu``, and in which call."""

    def __init__(self, detail: str, sample: object = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.sample = repr(sample) if sample else ""


def check_operator(
    row: OperatorSamples, dtype: str, device: str, tolerances: Tolerance
) -> None:
    """Raises :class:`Mismatch` with the smallest sample that shows a difference.

    UnsupportedOperator and FallbackError pass through.
    """
    samples = sorted(row.samples(dtype), key=Sample.size)
    thorough = _thorough(samples)
    for sample in samples:
        for check in _CHECKS:
            # Checks beyond values are made for a few samples of each operator.
            if check is not _values and sample not in thorough:
                continue
            problem = _attempt(check, row, sample, device, tolerances)
            if problem:
                raise Mismatch(problem, sample)
    for failure in row.failures(dtype):
        problem = _raises(row, failure, device)
        if problem:
            raise Mismatch(problem, failure.sample)


def _thorough(samples: list[Sample]) -> list[Sample]:
    """The smallest sample with elements, and the largest one."""
    full = [s for s in samples if s.size()]
    return [full[0], full[-1]] if len(full) > 1 else full


def _attempt(
    check: Callable[..., str | None], row: OperatorSamples, sample: Sample, *rest: Any
) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check(row, sample, *rest)


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """(result, None), or (None, the error); the device's own refusals pass through."""
    torch.manual_seed(0)
    try:
        return function(*args, **kwargs), None
    except (UnsupportedOperator, FallbackError):
        raise
    except Exception as error:
        return None, error


def _differs(found: BaseException | None, wanted: BaseException | None) -> str | None:
    """How two errors differ; devices are named differently in messages."""
    if found is None and wanted is None:
        return None
    if wanted is None:
        return f"raises {type(found).__name__}: {found}"
    if found is None:
        return f"no error, expected {type(wanted).__name__}: {wanted}"
    if type(found) is not type(wanted):
        return f"raises {_said(found)}, expected {_said(wanted)}"
    return None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _values(
    row: OperatorSamples, sample: Sample, device: str, tolerances: Tolerance
) -> str | None:
    function = row.find(torch)
    args, kwargs = sample.build(torch, device)
    before = [host_values(t) for t in _tensors((args, kwargs))]
    found, our_error = _call(function, *args, **kwargs)
    theirs, their_kwargs = sample.build(torch, _REFERENCE)
    wanted, their_error = _call(function, *theirs, **their_kwargs)
    if our_error is not None or their_error is not None:
        return _differs(our_error, their_error)
    wrong = _misplaced(found, device, args, kwargs)
    if wrong:
        return wrong
    if row.undefined or row.random:
        return difference(found, wanted, tolerances, values=False)
    problem = difference(
        found, wanted, tolerances, views_of=_tensors((theirs, their_kwargs))
    )
    if problem:
        return problem
    written = [host_values(t) for t in _tensors((theirs, their_kwargs))]
    now = [host_values(t) for t in _tensors((args, kwargs))]
    for old, new, expected in zip(before, now, written, strict=True):
        if not np.array_equal(old, new, equal_nan=old.dtype.kind in "fc"):
            if _arrays_differ(new, expected, tolerances):
                return "changes one of its operands"
        elif not np.array_equal(old, expected, equal_nan=old.dtype.kind in "fc"):
            return "doesn't write what it has to"
    return None


def _arrays_differ(found: Any, wanted: Any, tolerances: Tolerance) -> bool:
    rtol, atol = tolerances(str(wanted.dtype))
    return not np.allclose(found, wanted, rtol or 0, atol or 0, equal_nan=True)


def _tensors(value: Any) -> list[Any]:
    return [t for t in flat(value) if isinstance(t, torch.Tensor)]


def _misplaced(found: Any, device: str, args: Any, kwargs: Any) -> str | None:
    """A result that isn't on the device, or whose array has another dtype."""
    expected = torch.device(device).type
    here = _tensors((args, kwargs)) or "device" in kwargs
    for t in _tensors(found):
        if here and t.device.type != expected:
            return f"the result is on {t.device}, expected {expected}"
        native = t._backend.dtype(t._data)
        if native is not t.dtype:
            return f"dtype {native.name}, expected {t.dtype.name}"
    return None


def _aliasing(
    row: OperatorSamples, sample: Sample, device: str, tolerances: Tolerance
) -> str | None:
    """Whether writing to the operands shows in the results, here and on ``cpu``."""
    if row.random or row.undefined or row.name.endswith("_"):
        return None
    shared = []
    for where in (device, _REFERENCE):
        args, kwargs = sample.build(torch, where)
        result, error = _call(row.find(torch), *args, **kwargs)
        if error is not None:
            return None
        outputs = [t for t in _tensors(result) if t.numel()]
        before = [host_values(t) for t in outputs]
        for operand in _tensors((args, kwargs)):
            if operand.numel() and not _overlaps(operand):
                operand.copy_(torch.logical_not(operand).to(operand.dtype))
        shared.append(
            [
                not np.array_equal(host_values(t), b, equal_nan=b.dtype.kind in "fc")
                for t, b in zip(outputs, before, strict=True)
            ]
        )
    if shared[0] == shared[1]:
        return None
    if any(a and not b for a, b in zip(*shared, strict=True)):
        return "the result shares memory with an operand, and doesn't on cpu"
    return "the result is a copy, and a view of the operand on cpu"


def _overlaps(t: Any) -> bool:
    return any(
        step == 0 and size > 1 for size, step in zip(t.shape, t.stride(), strict=True)
    )


def _inplace(
    row: OperatorSamples, sample: Sample, device: str, tolerances: Tolerance
) -> str | None:
    method = row.find_inplace(torch)
    if method is None or row.random:
        return None
    results = []
    for where in (device, _REFERENCE):
        args, kwargs = sample.build(torch, where)
        if not args or not isinstance(args[0], torch.Tensor):
            return None
        target = args[0].clone()
        found, error = _call(method, target, *args[1:], **kwargs)
        if error is None and found is not target:
            return f"in place: returns another object on {where}"
        results.append((target if error is None else None, error))
    (ours, our_error), (theirs, their_error) = results
    words = _differs(our_error, their_error)
    if words is None and our_error is None:
        words = difference(ours, theirs, tolerances)
    return f"in place: {words}" if words else None


def _out(
    row: OperatorSamples, sample: Sample, device: str, tolerances: Tolerance
) -> str | None:
    """The form with ``out=``, where the operator has one."""
    if row.random or row.undefined or not row.out or not _takes_out(row):
        return None
    results = []
    for where in (_REFERENCE, device):
        args, kwargs = sample.build(torch, where)
        function = row.find(torch)
        if where == _REFERENCE:
            plain, error = _call(function, *args, **kwargs)
            tensors = _tensors(plain)
            if error is not None or not tensors or len(tensors) > 1:
                return None
            shape, dtype = tensors[0].shape, tensors[0].dtype
        target = torch.empty(shape, dtype=dtype, device=where)
        found, error = _call(function, *args, **{**kwargs, "out": target})
        if where == _REFERENCE and isinstance(error, TypeError):
            return None  # no such form of this overload
        if error is None and found is not target:
            return f"out=: returns another object on {where}"
        results.append((target, error))
    (theirs, their_error), (ours, our_error) = results
    words = _differs(our_error, their_error)
    if words is None and our_error is None:
        words = difference(ours, theirs, tolerances)
    return f"out=: {words}" if words else None


def _takes_out(row: OperatorSamples) -> bool:
    from dispatchtorch.dispatch.codegen import has_out
    from dispatchtorch.dispatch.operator import packets

    packet = packets.get(row.operator)
    if packet is None or (
        "." in row.name and not row.name.startswith(("special", "lin"))
    ):
        return False
    return any(has_out(op, "function") for op in packet.overloads)


def _gradients(
    row: OperatorSamples, sample: Sample, device: str, tolerances: Tolerance
) -> str | None:
    """First and second gradients, for weights that are the same on both devices."""
    if not row.grads or row.random or row.undefined:
        return None
    if not any(a.grad for a in sample.arrays()):
        return None
    sides = [_derived(row, sample, where) for where in (device, _REFERENCE)]
    (ours, our_error), (theirs, their_error) = sides
    if our_error is not None or their_error is not None:
        words = _differs(our_error, their_error)
        return f"gradient: {words}" if words else None

    def looser(dtype: str) -> tuple[float, float]:
        rtol, atol = tolerances(dtype)
        return rtol * 10, atol * 10

    for name, a, b in zip(_ORDERS, ours, theirs, strict=False):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if (x is None) != (y is None):
                missing = "none" if x is None else "there is one"
                return f"{name} {i}: {missing}, unlike on cpu"
            words = None if x is None else difference(x, y, looser)
            if words:
                return f"{name} {i}: {words}"
    if len(ours) != len(theirs):
        return "gradients can be differentiated again on one device only"
    return None


#: What is compared: backward alone may take other kernels than with create_graph.
_ORDERS = ("gradient", "gradient with create_graph", "second gradient")


def _derived(row: OperatorSamples, sample: Sample, where: str) -> Any:
    """(gradients in the order of ``_ORDERS``, None) or (None, the error)."""
    args, kwargs = sample.build(torch, where, grad=True)
    leaves = [t for t in _tensors((args, kwargs)) if t.requires_grad]

    def grads(outputs: list[Any], order: int, graph: bool) -> list[Any]:
        weights = [_weight(t, order) for t in outputs]
        return list(
            torch.autograd.grad(
                outputs,
                leaves,
                weights,
                retain_graph=True,
                create_graph=graph,
                allow_unused=True,
            )
        )

    def run() -> list[list[Any]]:
        results = _tensors(row.find(torch)(*args, **kwargs))
        outputs = [t for t in results if t.requires_grad]
        if not outputs:
            return []
        found = [grads(outputs, 0, False)]
        if row.grads > 1:
            found.append(grads(outputs, 0, True))
            again = [t for t in found[-1] if t is not None and t.requires_grad]
            if again:
                found.append(grads(again, 1, False))
        return found

    return _call(run)


def _weight(t: Any, order: int) -> Any:
    """A fixed, uneven cotangent."""
    values = np.cos(np.arange(t.numel()) * 1.7 + order).reshape(tuple(t.shape))
    return torch.from_numpy(values).to(t.dtype).to(t.device)


def _random_state(
    row: OperatorSamples, sample: Sample, device: str, tolerances: Tolerance
) -> str | None:
    """A random operator gives the same values for the same seed."""
    if not row.random:
        return None
    results = []
    for _ in range(2):
        args, kwargs = sample.build(torch, device)
        found, error = _call(row.find(torch), *args, **kwargs)
        if error is not None:
            return None
        results.append([host_values(t) for t in _tensors(found)])
    for a, b in zip(*results, strict=True):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"):
            return "the same seed gives other values"
    return None


def _raises(row: OperatorSamples, failure: Any, device: str) -> str | None:
    args, kwargs = failure.sample.build(torch, device)
    _, error = _call(row.find(torch), *args, **kwargs)
    if error is None:  # asynchronous devices raise once they are waited for
        backend = get_backend(torch.device(device).type)
        _, error = _call(backend.synchronize, backend.current_device())
    if error is None:
        return f"no error, expected {failure.exception}: {failure.words}"
    if type(error).__name__ != failure.exception or failure.words not in str(error):
        return f"raises {_said(error)}, expected {failure.exception}: {failure.words}"
    return None


_CHECKS = (_values, _random_state, _aliasing, _inplace, _out, _gradients)
