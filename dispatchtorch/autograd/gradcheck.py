"""Compare derivatives with finite differences: ``gradcheck`` and ``gradgradcheck``.

Slow and fast mode are one procedure. Inputs are moved along *directions*, outputs are
weighted by *weights*; with all unit vectors for both, the numbers compared are the
Jacobian (slow), with one random vector for each they are one number (fast).

A complex output is checked twice, by its imaginary and by its real part. For a complex
input the derivative of a real quantity is ``d/d(real) + 1j * d/d(imag)``, which is
PyTorch's convention for gradients.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import dispatchtorch as torch

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative isn't what it should be."""


# The parts of a complex output, and what a gradient of that part starts from.
_PARTS: dict[str, tuple[Callable[[Any], Any], complex]] = {
    "imaginary": (lambda t: t.imag, 1j),
    "real": (lambda t: t.real, 1.0),
}

_UNDEFINED = (
    "A backward function gets None for an output whose gradient is undefined, unless "
    "it materializes gradients; `check_undefined_grad=False` skips this check."
)


class _Check:
    """What all steps of one check share: the function, its arguments, the settings."""

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: tuple[Any, ...],
        *,
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        check_grad_dtypes: bool,
        fast: bool,
    ) -> None:
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.nondet_tol = nondet_tol
        self.check_grad_dtypes = check_grad_dtypes
        self.fast = fast

    def outputs(self) -> tuple[Any, ...]:
        return _as_tuple(self.func(*self.inputs))

    def slowly(self) -> _Check:
        """The same check in slow mode."""
        slow = object.__new__(_Check)
        slow.__dict__.update(self.__dict__, fast=False)
        return slow


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _needs_grad(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and bool(value.requires_grad)


def _flat(t: Any) -> Any:
    """The values as a vector that doesn't change with ``t``."""
    vector = t.detach().clone().reshape(-1)
    return vector.to(torch.float64) if t.dtype == torch.bool else vector


# --- directions and weights ------------------------------------------------


def _random_unit(like: Any, seed: int) -> Any:
    """A random vector of length one, in the real dtype of ``like``.

    Doesn't touch the default generator.
    """
    import random

    rng = random.Random(seed)
    values = [rng.random() for _ in range(like.numel())]
    norm = sum(v * v for v in values) ** 0.5
    real = _real_dtype(like)
    return torch.tensor(
        [v / norm for v in values], dtype=real, device=like.device
    ).reshape(like.shape)


def _real_dtype(t: Any) -> Any:
    if t.is_complex():
        return t.real.dtype
    return t.dtype if t.is_floating_point() else torch.float64


def _vectors(t: Any, fast: bool, seed: int) -> list[Any]:
    """The vectors in the space of ``t`` along which it is probed."""
    if fast:
        return [_random_unit(t, seed)] if t.numel() else []
    eye = torch.eye(t.numel(), dtype=_real_dtype(t), device=t.device)
    return [row.reshape(t.shape) for row in eye]


def _weights(output: Any, fast: bool) -> list[Any]:
    return _vectors(output, fast, seed=3)


def _directions(x: Any, fast: bool) -> list[tuple[Any, Any]]:
    """Pairs: where to move the real part, and the imaginary part if there is one."""
    real = _vectors(x, fast, seed=1)
    imag = _vectors(x, fast, seed=2) if x.is_complex() else real
    return list(zip(real, imag, strict=True))


# --- derivatives -----------------------------------------------------------


def _difference(check: _Check, x: Any, step: Any) -> list[Any]:
    """Central differences of all outputs when ``x`` moves along ``step``.

    ``x`` is changed in place, so that functions that hold it themselves see it too.
    """
    before = x.detach().clone()
    results = []
    try:
        for eps in (-check.eps, check.eps):
            x.data.copy_(before + step * eps)
            with torch.no_grad():
                results.append([_flat(o) for o in check.outputs()])
    finally:
        x.data.copy_(before)
    return [
        (above - below) / (2 * check.eps) for below, above in zip(*results, strict=True)
    ]


class _Numerical:
    """Finite differences of all outputs by one input."""

    def __init__(self, check: _Check, x: Any) -> None:
        self.is_complex = x.is_complex()
        self.rows: list[tuple[list[Any], list[Any]]] = []
        for real, imag in _directions(x, check.fast):
            by_real = by_imag = _difference(check, x, real)
            if self.is_complex:
                by_imag = _difference(check, x, imag * 1j)
            self.rows.append((by_real, by_imag))

    def of(self, k: int, part: str | None, weight: Any = None) -> Any:
        """Derivatives of output ``k`` by direction (rows): of every element, or of
        the elements' weighted sum."""
        take = _PARTS[part][0] if part else lambda t: t
        rows = []
        for pair in self.rows:
            real, imag = (take(differences[k]) for differences in pair)
            rows.append(torch.complex(real, imag) if self.is_complex else real)
        matrix = torch.stack(rows)
        if weight is None:
            return matrix
        return (matrix * weight.reshape(-1).to(matrix.dtype)).sum(1, keepdim=True)

    def is_zero(self) -> bool:
        return not any(
            bool((t != 0).any()) for pair in self.rows for side in pair for t in side
        )


def _analytical(
    check: _Check, output: Any, variables: Sequence[Any], part: str | None
) -> list[Any]:
    """For each input, derivatives by direction (rows) and weight (columns)."""
    factor = _PARTS[part][1] if part else 1.0
    columns: list[list[Any]] = [[] for _ in variables]
    for weight in _weights(output, check.fast):
        grads = torch.autograd.grad(
            output,
            variables,
            (weight * factor).to(output.dtype),
            retain_graph=True,
            allow_unused=True,
        )
        for column, x, grad in zip(columns, variables, grads, strict=True):
            if grad is None:
                grad = torch.zeros_like(x)
            elif check.check_grad_dtypes and grad.dtype != x.dtype:
                raise GradcheckError(
                    f"Gradient has dtype {grad.dtype}, its input {x.dtype}."
                )
            column.append(_along(grad.detach(), x, check.fast))
    return [torch.stack(column, 1) for column in columns]


def _along(grad: Any, x: Any, fast: bool) -> Any:
    """The components of a gradient along the directions of ``x``, as a vector."""
    if not fast:
        return grad.clone().reshape(-1)
    [(real, imag)] = _directions(x, fast)
    if not grad.is_complex():
        return (grad * real).sum().reshape(1)
    parts = (grad.real * real).sum(), (grad.imag * imag).sum()
    return torch.complex(*parts).reshape(1)


# --- the comparison --------------------------------------------------------


def _allclose(a: Any, b: Any, rtol: float, atol: float) -> bool:
    dtype = torch.promote_types(a.dtype, b.dtype)
    return bool(torch.allclose(a.to(dtype), b.to(dtype), rtol, atol))


def _passes(outputs: Sequence[Any]) -> Iterator[tuple[int, str | None]]:
    """The (output, part) pairs to check; the imaginary parts go first."""
    connected = [(k, o) for k, o in enumerate(outputs) if o.requires_grad and o.numel()]
    yield from ((k, "imaginary") for k, o in connected if o.is_complex())
    yield from ((k, "real" if o.is_complex() else None) for k, o in connected)


def _compare(check: _Check, outputs: Sequence[Any], variables: Sequence[Any]) -> None:
    """Compare every output's derivative by every input, both ways."""
    # numbered as in PyTorch, by what can be differentiated
    places = [o.requires_grad for o in outputs]
    movable = [(i, x) for i, x in enumerate(variables) if x.numel()]
    numerical = [_Numerical(check, x) for _, x in movable]
    for k, part in _passes(outputs):
        if not movable:
            return
        output, moved = outputs[k], [x for _, x in movable]
        first = _analytical(check, output, moved, part)
        again = _analytical(check, output, moved, part)
        for (i, x), differences, analytical in zip(
            movable, numerical, first, strict=True
        ):
            atol, weight = check.atol, None
            if check.fast:
                [weight] = _weights(output, fast=True)
                atol *= _spread(x, weight)
            expected = differences.of(k, part, weight)
            if not _allclose(analytical, expected, check.rtol, atol):
                numbers = expected, analytical
                if check.fast:
                    numbers = expected.item(), analytical.item()
                text = _mismatch(sum(places[:k]), i, part, *numbers)
                if check.fast:
                    text += _in_full(check.slowly(), k, output, x, part)
                raise GradcheckError(text)
        for one, other in zip(first, again, strict=True):
            # written so that NaN doesn't count as reproducible
            if not bool((one - other).abs().max() <= check.nondet_tol):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same "
                    "input and grad_output multiple times gives different values, "
                    "although analytical gradient matches numerical gradient."
                    f"The tolerance for nondeterminism was {check.nondet_tol}.\n\n"
                    "Operations that are not deterministic need a larger `nondet_tol`."
                )


def _spread(x: Any, weight: Any) -> float:
    """What errors of one in all entries of the Jacobian add up to in fast mode."""
    [(real, imag)] = _directions(x, fast=True)
    along = (real.abs().sum() + imag.abs().sum()) / 2
    return float(along) * float(weight.abs().sum())


def _mismatch(k: int, i: int, part: str | None, numerical: Any, analytical: Any) -> str:
    head = (
        f"While considering the {part} part of complex outputs only, " if part else ""
    )
    return (
        f"{head}Jacobian mismatch for output {k} with respect to input {i},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _in_full(check: _Check, k: int, output: Any, x: Any, part: str | None) -> str:
    numerical = _Numerical(check, x).of(k, part)
    [analytical] = _analytical(check, output, [x], part)
    return (
        "\nThese are the numbers that fast mode compares. The Jacobians themselves, "
        f"computed in slow mode, are\n\nNumerical:\n{numerical}\n"
        f"Analytical:\n{analytical}\n\n"
        "The max per-element difference (slow mode) is: "
        f"{(numerical - analytical).abs().max().item()}.\n"
    )


# --- what else must hold ---------------------------------------------------


def _check_independent(check: _Check, variables: Sequence[Any]) -> None:
    """Where no output has a graph, no output may change with an input."""
    for x in variables:
        if not _Numerical(check, x).is_zero():
            raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_zero(
    outputs: Sequence[Any], variables: Sequence[Any], error: str, because: str = ""
) -> None:
    """A zero or undefined gradient of the outputs must give zero or none."""
    zeros = [torch.zeros_like(o) for o in outputs]
    grads = torch.autograd.grad(
        outputs, variables, zeros, retain_graph=True, allow_unused=True
    )
    for grad, x in zip(grads, variables, strict=True):
        if grad is None:
            continue
        if grad.shape != x.shape or grad.device != x.device:
            raise GradcheckError("grad is incorrect size or on another device")
        if bool(torch.any(grad != 0)):
            raise GradcheckError(f"{error} {because}".strip())


def _check_undefined(outputs: Sequence[Any], variables: Sequence[Any]) -> None:
    """Backward must cope with undefined gradients: of all outputs, and of each."""

    class Undefine(torch.autograd.Function):
        """Passes a value on and no gradient back."""

        @staticmethod
        def forward(ctx: Any, t: Any) -> Any:
            return t.view_as(t)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> None:
            return None

    cases = [[Undefine.apply(o) for o in outputs]]
    if len(outputs) > 1:
        for k in range(len(outputs)):
            some = list(outputs)
            some[k] = Undefine.apply(outputs[k])
            cases.append(some)
    for case in cases:
        try:
            _check_zero(
                case,
                variables,
                "Expected all input grads to be undefined or zero when all output "
                "grads are undefined or zero.",
                _UNDEFINED,
            )
        except GradcheckError:
            raise
        except RuntimeError as error:
            raise GradcheckError(
                f"Expected backward function to handle undefined output grads. "
                f"{_UNDEFINED}"
            ) from error


# --- the interface ---------------------------------------------------------


def _check_inputs(inputs: Sequence[Any]) -> list[Any]:
    """The inputs to differentiate by."""
    variables: list[Any] = []
    for i, x in enumerate(inputs):
        if not _needs_grad(x):
            continue
        if x.layout != torch.strided:
            raise NotImplementedError(
                f"gradcheck of sparse inputs is not supported, but input {i} has "
                f"layout {x.layout}"
            )
        if x.dtype not in (torch.float64, torch.complex128):
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating "
                "point or complex. This check will likely fail if all the inputs are "
                "not of double precision floating point or complex. ",
                stacklevel=3,
            )
        strides = zip(x.stride(), x.shape, strict=True)
        if x.numel() and any(stride == 0 and size > 1 for stride, size in strides):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only "
                "supports inputs that are non-overlapping to be able to compute the "
                "numerical gradients correctly. You should call .contiguous on the "
                "input before passing it to gradcheck."
            )
        variables.append(x)
    if not variables:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but "
            "none of them have requires_grad=True."
        )
    return variables


def _check_implied(name: str, value: bool, needed: str, given: bool) -> None:
    if value and not given:
        raise AssertionError(f"Setting {name}=True requires {needed} to be True")


def _check_any(**modes: bool) -> None:
    if not any(modes.values()):
        names = " or ".join(modes)
        raise AssertionError(f"Expected at least one of {names} to be True")


def _refuse(**requested: bool) -> None:
    for name, on in requested.items():
        if on:
            needs = "vmap" if "batched" in name else "forward mode differentiation"
            raise NotImplementedError(
                f"{name}=True needs {needs}, which gradcheck does not use yet"
            )


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Check the gradients of a function against finite differences.

    Args:
        func: takes tensors (and anything else), returns a tensor or several.
        inputs: a tensor or a sequence of arguments. Those that require grad should be
            of double precision and must not overlap themselves.
        eps: how far the inputs are moved.
        atol, rtol: tolerances between numerical and analytical derivatives.
        raise_exception: raise :class:`GradcheckError` instead of returning False.
        nondet_tol: how much two backward passes may differ.
        check_undefined_grad: also check that undefined and zero gradients of the
            outputs are handled.
        check_grad_dtypes: also check that gradients have the dtype of their inputs.
        check_batched_grad, check_batched_forward_grad, check_forward_ad: not supported.
        check_backward_ad: check reverse mode, which is all there is.
        fast_mode: compare random projections of the Jacobian and not all of it.
        masked: only matters to sparse inputs, which are not supported.

    Returns:
        True where all derivatives agree.

    See https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
    """
    _check_any(check_forward_ad=check_forward_ad, check_backward_ad=check_backward_ad)
    _check_implied(
        "check_batched_grad",
        check_batched_grad,
        "check_backward_ad",
        check_backward_ad,
    )
    _check_implied(
        "check_batched_forward_grad",
        check_batched_forward_grad,
        "check_forward_ad",
        check_forward_ad,
    )
    _refuse(
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
    )
    check = _Check(
        func,
        _as_tuple(inputs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
        fast=fast_mode,
    )
    try:
        _run(check, check_undefined_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _run(check: _Check, check_undefined_grad: bool) -> None:
    variables = _check_inputs(check.inputs)
    outputs = check.outputs()
    connected = [o for o in outputs if o.requires_grad]
    for output in connected:
        if output.layout != torch.strided:
            raise NotImplementedError(
                f"gradcheck of sparse outputs is not supported: got {output.layout}"
            )
    if not connected:
        _check_independent(check, variables)
        return
    _compare(check, outputs, variables)
    _check_zero(connected, variables, "backward not multiplied by grad_output")
    if check_undefined_grad:
        _check_undefined(connected, variables)


def _random_grads(outputs: Sequence[Any], noncontiguous: bool) -> tuple[Any, ...]:
    """Random gradients for the outputs, themselves to be differentiated by."""
    from dispatchtorch.testing import make_tensor

    return tuple(
        make_tensor(
            o.shape,
            dtype=o.dtype if o.is_floating_point() or o.is_complex() else torch.float64,
            device=o.device,
            low=-1,
            high=1,
            requires_grad=True,
            noncontiguous=noncontiguous,
        )
        for o in outputs
    )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Check the second derivatives of a function: gradcheck of its gradient.

    Args:
        grad_outputs: what the gradient is computed from; by default random, drawn
            from the default generator.
        gen_non_contig_grad_outputs: let the random ones be non-contiguous.
        check_fwd_over_rev: not supported.
        check_rev_over_rev: check reverse mode over reverse mode, which is all there is.

    The other arguments and the result are those of :func:`gradcheck`.

    See https://pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradgradcheck.html
    """
    _check_any(
        check_fwd_over_rev=check_fwd_over_rev, check_rev_over_rev=check_rev_over_rev
    )
    for name, value in (
        ("check_undefined_grad", check_undefined_grad),
        ("check_batched_grad", check_batched_grad),
    ):
        _check_implied(name, value, "check_rev_over_rev", check_rev_over_rev)
    _refuse(check_fwd_over_rev=check_fwd_over_rev)
    inputs = _as_tuple(inputs)
    if grad_outputs is None:
        connected = [o for o in _as_tuple(func(*inputs)) if _needs_grad(o)]
        grad_outputs = _random_grads(connected, gen_non_contig_grad_outputs)
    weights = _as_tuple(grad_outputs)

    def gradient(*args: Any) -> tuple[Any, ...]:
        split = len(args) - len(weights)
        arguments, grads = args[:split], args[split:]
        # finite differences are taken without recording, but this needs a graph
        with torch.enable_grad():
            outputs = [o for o in _as_tuple(func(*arguments)) if _needs_grad(o)]
            variables = [a for a in arguments if _needs_grad(a)]
            found = torch.autograd.grad(
                outputs, variables, grads, create_graph=True, allow_unused=True
            )
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient,
        inputs + weights,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        masked=masked,
    )


class _CallableModule(ModuleType):
    """``torch.autograd.gradcheck`` names this module and the function alike."""

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return gradcheck(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
