"""Running one function on PyTorch and on dispatchtorch, and comparing all there is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import dispatchtorch as dt

__all__ = ["Spec", "compare", "spec"]


class Spec:
    """A tensor argument: values, dtype name, and whether it requires grad."""

    def __init__(
        self,
        values: Any,
        dtype: str | None = None,
        grad: bool = False,
        layout: Callable[[Any], Any] | None = None,
    ) -> None:
        self.values = values
        self.dtype = dtype
        self.grad = grad
        self.layout = layout

    def make(self, module: Any, device: str) -> Any:
        values = self.values
        if isinstance(values, np.ndarray):
            t = module.tensor(values.tolist(), dtype=_dtype(module, self.dtype, values))
            t = t.reshape(values.shape)
        else:
            dtype = None if self.dtype is None else getattr(module, self.dtype)
            t = module.tensor(values, dtype=dtype)
        if device != "cpu":
            t = t.to(device)
        if self.layout is not None:
            t = self.layout(t)
        return t.detach().requires_grad_() if self.grad else t


def _dtype(module: Any, name: str | None, values: np.ndarray) -> Any:
    return getattr(module, name if name is not None else values.dtype.name)


def spec(
    values: Any, dtype: str | None = None, grad: bool = False, layout: Any = None
) -> Spec:
    return Spec(values, dtype, grad, layout)


def compare(
    fn: Callable[..., Any],
    *arguments: Any,
    device: str = "cpu",
    rtol: float | None = None,
    atol: float | None = None,
    grad: bool = True,
    gradgrad: bool = False,
    strides: bool = True,
    grad_fn: bool = False,
    message: bool = True,
) -> None:
    """Asserts that ``fn(module, *tensors)`` does the same under both.

    Values, dtypes, shapes, strides, gradients (and second ones), or else the class and
    message of the exception.
    """
    import torch

    wanted = _outcome(fn, torch, arguments, "cpu", grad, gradgrad)
    found = _outcome(fn, dt, arguments, device, grad, gradgrad)
    if isinstance(wanted, Exception) or isinstance(found, Exception):
        if not isinstance(wanted, Exception):
            raise AssertionError(
                f"PyTorch raises nothing, we raise {found!r}"
            ) from found
        assert isinstance(found, Exception), f"we raise nothing, PyTorch {wanted!r}"
        same = isinstance(found, type(wanted)) or isinstance(wanted, type(found))
        assert same, f"{found!r}, PyTorch raises {wanted!r}"
        if message:
            ours, theirs = _first_line(found), _first_line(wanted)
            assert ours == theirs, f"\nours:    {ours}\nPyTorch: {theirs}"
        return
    _same(found[0], wanted[0], rtol, atol, strides, grad_fn, "result")
    for i, (a, b) in enumerate(zip(found[1], wanted[1], strict=True)):
        _same(a, b, rtol, atol, False, False, f"gradient {i}")
    for i, (a, b) in enumerate(zip(found[2], wanted[2], strict=True)):
        _same(a, b, rtol, atol, False, False, f"second gradient {i}")


def _first_line(error: Exception) -> str:
    text = str(error)
    cut = text.find("\nException raised from")
    return (text if cut < 0 else text[:cut]).strip()


def _outcome(
    fn: Callable[..., Any],
    module: Any,
    arguments: Any,
    device: str,
    grad: bool,
    gradgrad: bool,
) -> Any:
    made = [a.make(module, device) if isinstance(a, Spec) else a for a in arguments]
    leaves = [
        t
        for a, t in zip(arguments, made, strict=True)
        if isinstance(a, Spec) and a.grad
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fn(module, *made)
            first: list[Any] = []
            second: list[Any] = []
            if grad and leaves:
                outputs = [r for r in _flat(result) if _differentiable(r)]
                if outputs:
                    total = sum(_scalar(o) for o in outputs)
                    first = list(
                        module.autograd.grad(
                            total, leaves, create_graph=gradgrad, allow_unused=True
                        )
                    )
                    live = [g for g in first if g is not None and g.requires_grad]
                    if gradgrad and live:
                        again = sum(_scalar(g) for g in live)
                        second = list(
                            module.autograd.grad(again, leaves, allow_unused=True)
                        )
            return result, first, second
    except Exception as error:
        return error


def _differentiable(value: Any) -> bool:
    return hasattr(value, "requires_grad") and value.requires_grad


def _scalar(t: Any) -> Any:
    """A sum with uneven weights, so that permuted gradients don't go unseen."""
    module = dt if isinstance(t, dt.Tensor) else __import__("torch")
    count = max(t.numel(), 1)
    weights = module.arange(1, count + 1, dtype=module.float64).to(t.device)
    weights = (weights / count)[: t.numel()].reshape(t.shape)
    real = t.real if t.is_complex() else t
    total = (real.double() * weights).sum()
    if t.is_complex():
        total = total + (t.imag.double() * weights).sum() * 0.5
    return total


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for each in value for leaf in _flat(each)]
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _flat(each)]
    return [value]


def _same(
    found: Any,
    wanted: Any,
    rtol: float | None,
    atol: float | None,
    strides: bool,
    grad_fn: bool,
    where: str,
) -> None:
    ours, theirs = _flat(found), _flat(wanted)
    assert len(ours) == len(theirs), (
        f"{where}: {len(ours)} values, PyTorch {len(theirs)}"
    )
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        label = f"{where}[{i}]"
        if not hasattr(b, "dtype") or not hasattr(b, "stride"):
            assert not hasattr(a, "stride"), f"{label}: a tensor, PyTorch gives {b!r}"
            assert str(a) == str(b) or a == b, f"{label}: {a!r}, PyTorch {b!r}"
            continue
        assert hasattr(a, "stride"), f"{label}: {a!r}, PyTorch gives a tensor"
        assert repr(a.dtype) == repr(b.dtype), f"{label}: {a.dtype}, PyTorch {b.dtype}"
        assert tuple(a.shape) == tuple(b.shape), (
            f"{label}: {a.shape}, PyTorch {b.shape}"
        )
        assert a.requires_grad == b.requires_grad, (
            f"{label}: requires_grad {a.requires_grad}"
        )
        if strides and a.numel() and a._is_view() == b._is_view():
            mine = _effective(a)
            assert mine == _effective(b), (
                f"{label}: strides {a.stride()}, PyTorch {b.stride()}"
            )
        if grad_fn:
            names = [type(x.grad_fn).__name__ for x in (a, b)]
            assert names[0] == names[1], f"{label}: {names[0]}, PyTorch {names[1]}"
        _close(a, b, rtol, atol, label)


def _effective(t: Any) -> list[tuple[int, int]]:
    return [(n, s) for n, s in zip(t.shape, t.stride(), strict=True) if n > 1]


_TOLERANCES = {
    "float64": (1e-7, 1e-9), "float32": (2e-5, 1e-6), "float16": (4e-3, 1e-3),
    "bfloat16": (3e-2, 1e-2), "complex64": (2e-5, 1e-6), "complex128": (1e-7, 1e-9),
}  # fmt: skip


def _close(a: Any, b: Any, rtol: float | None, atol: float | None, label: str) -> None:
    x, y = _array(a), _array(b)
    name = repr(b.dtype).removeprefix("torch.")
    if name not in _TOLERANCES:
        assert np.array_equal(x, y), f"{label}:\n{x}\nPyTorch:\n{y}"
        return
    default = _TOLERANCES[name]
    np.testing.assert_allclose(
        x,
        y,
        rtol=default[0] if rtol is None else rtol,
        atol=default[1] if atol is None else atol,
        equal_nan=True,
        err_msg=label,
    )


def _array(t: Any) -> np.ndarray:
    t = t.detach().cpu().resolve_conj().resolve_neg()
    name = repr(t.dtype)
    if name in ("torch.bfloat16", "torch.float16"):
        t = t.float()
    return t.numpy()
