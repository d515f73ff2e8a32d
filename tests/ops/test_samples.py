"""Every operator's samples: against NumPy, SciPy and PyTorch, and their gradients.

Made from ``dispatchtorch.testing.samples``; a new row there is tested here. One test is
one operator on one device with a few dtypes, so that the whole file takes a minute or two.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.testing._results import array_difference, difference, flat, tolerance
from dispatchtorch.testing.samples import OperatorSamples, Sample, database

ROWS = database()
DTYPES = ("float32", "bfloat16", "complex64", "int64", "uint8", "bool")
NO_FINITE_DIFFERENCES = {
    "nn.functional.ctc_loss": "its gradient is that of normalised probabilities",
}
DIFFERENTIABLE = [
    row
    for row in ROWS.values()
    if row.grads
    and not row.random
    and not row.undefined
    and "float64" in row.dtypes
    and row.name not in NO_FINITE_DIFFERENCES
]


def _named(rows: Any) -> Any:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def _dtypes(row: OperatorSamples) -> list[str]:
    found = [d for d in DTYPES if d in row.dtypes]
    return found or list(row.dtypes[:1])


def _quiet(function: Any, *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


@_named([row for row in ROWS.values() if row.reference() is not None])
def test_values_are_those_of_numpy_and_scipy(row: OperatorSamples, device: str) -> None:
    reference = row.reference()
    assert reference is not None
    checked = 0
    for dtype in _dtypes(row):
        for sample in row.samples(dtype):
            made, options = sample.build(torch, device)
            found = list(flat(_quiet(row.find(torch), *made, **options)))
            args, kwargs = _widened(sample.host(), found[0])
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    wanted = reference(*args, **kwargs)
                except (TypeError, ValueError):
                    continue  # NumPy hasn't this form
            if wanted is NotImplemented:
                continue
            wanted = list(flat(wanted)) if len(found) > 1 else [wanted]
            for ours, theirs in zip(found, wanted, strict=True):
                checked += 1
                if not isinstance(ours, torch.Tensor):
                    assert ours == theirs
                    continue
                _agrees(ours, np.asarray(theirs), dtype, row, sample)
    assert checked


def _widened(value: Any, result: Any) -> Any:
    """Operands in double precision, where the result is of a floating dtype.

    Integers are left beside floats: there they are indices.
    """
    dtype = getattr(result, "dtype", None)
    if dtype is None or not (dtype.is_floating_point or dtype.is_complex):
        return value
    arrays = [each for each in flat(value) if isinstance(each, np.ndarray)]
    floats = any(each.dtype.kind in "fc" for each in arrays)
    place = {}
    for each in arrays:
        if each.dtype.kind == "c":
            place[id(each)] = each.astype(np.complex128)
        elif each.dtype.kind == "f" or not floats:
            place[id(each)] = each.astype(np.float64)
    return _put(value, place)


def _agrees(
    found: Any, wanted: Any, dtype: str, row: OperatorSamples, s: Sample
) -> None:
    host = found.resolve_conj().cpu()
    if host.dtype is torch.bfloat16:
        host = host.float()
    values = host.numpy()
    assert values.shape == wanted.shape, s
    rtol, atol = tolerance(row.loose)(dtype)
    with np.errstate(all="ignore"):
        wanted = wanted.astype(values.dtype)
    words = array_difference(values, wanted, max(rtol, 1e-6), max(atol, 1e-6))
    assert not words, f"{s}: {words}"


@pytest.mark.oracle
@_named(ROWS.values())
def test_results_are_pytorchs(row: OperatorSamples, device: str) -> None:
    oracle = pytest.importorskip("torch")
    theirs = row.find(oracle)
    if theirs is None:
        pytest.skip("PyTorch has no function of the name")
    ours = row.find(torch)
    usual = tolerance(row.loose)
    for dtype in _dtypes(row):
        for sample in row.samples(dtype):
            args, kwargs = sample.build(oracle)
            oracle.manual_seed(0)
            wanted = _quiet(theirs, *args, **kwargs)
            args, kwargs = sample.build(torch, device)
            torch.manual_seed(0)
            found = _quiet(ours, *args, **kwargs)
            known = not row.random and not row.undefined
            words = difference(found, wanted, usual, values=known)
            assert not words, f"{dtype} {sample}: {words}"


@pytest.mark.oracle
@_named([row for row in ROWS.values() if row.failures(row.dtypes[0])])
def test_what_must_raise_raises_as_in_pytorch(row: OperatorSamples) -> None:
    oracle = pytest.importorskip("torch")
    for failure in row.failures(row.dtypes[0]):
        for module in (oracle, torch):
            args, kwargs = failure.sample.build(module)
            with pytest.raises(Exception) as caught:  # noqa: PT011
                _quiet(row.find(module), *args, **kwargs)
            assert type(caught.value).__name__ == failure.exception, module.__name__
            assert failure.words in str(caught.value), module.__name__


@pytest.mark.oracle
@_named([row for row in ROWS.values() if row.find_inplace(torch) is not None])
def test_writing_in_place_gives_pytorchs_result(row: OperatorSamples) -> None:
    oracle = pytest.importorskip("torch")
    for dtype in _dtypes(row)[:2]:
        for sample in row.samples(dtype)[:3]:
            outcome = []
            for module in (oracle, torch):
                args, kwargs = sample.build(module)
                if not isinstance(args[0], module.Tensor):
                    break
                target = args[0].clone()
                module.manual_seed(0)
                try:
                    method = row.find_inplace(module)
                    assert _quiet(method, target, *args[1:], **kwargs) is target
                    outcome.append(target)
                except (RuntimeError, TypeError, IndexError, NotImplementedError) as e:
                    outcome.append(type(e).__name__)
            if len(outcome) < 2 or row.random:
                continue
            words = difference(outcome[1], outcome[0], tolerance(row.loose))
            assert not words, f"{dtype} {sample}: {words}"


def _smallest(row: OperatorSamples) -> Sample | None:
    samples = [s for s in row.samples("float64") if any(a.grad for a in s.arrays())]
    full = [
        s
        for s in samples
        if s.size() and all(a.layout != "expanded" for a in s.arrays())
    ]
    return min(full, key=Sample.size, default=None)


@_named(DIFFERENTIABLE)
def test_gradients_are_those_of_finite_differences(row: OperatorSamples) -> None:
    sample = _smallest(row)
    if sample is None:
        pytest.skip("no sample has a tensor to differentiate by")
    args, kwargs = sample.build(torch, grad=True)
    leaves = [t for t in flat((args, kwargs)) if getattr(t, "requires_grad", False)]
    function = row.find(torch)

    def every(*given: Any) -> list[Any]:
        place = {id(old): new for old, new in zip(leaves, given, strict=True)}
        return list(flat(function(*_put(args, place), **_put(kwargs, place))))

    kept = [i for i, t in enumerate(every(*leaves)) if getattr(t, "grad_fn", None)]

    def of(*given: Any) -> Any:
        results = every(*given)
        return tuple(results[i] for i in kept)

    if not kept:
        pytest.skip("no result depends on the operands differentiably")
    torch.autograd.gradcheck(of, leaves, fast_mode=True, atol=1e-4)
    if row.grads > 1:
        torch.autograd.gradgradcheck(of, leaves, fast_mode=True, atol=1e-4)


def _put(value: Any, place: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {name: _put(each, place) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_put(each, place) for each in value)
    return place.get(id(value), value)
