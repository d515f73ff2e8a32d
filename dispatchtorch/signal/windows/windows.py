"""Windows as functions of evenly spaced points; each takes ``M`` points."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor

__all__: list[str] = []


def _points(
    name: str,
    M: Any,
    options: dict[str, Any],
    place: Callable[[], tuple[float, float]],
    of_one: bool = True,
) -> tuple[Tensor, bool]:
    """``M`` points from ``first`` on by ``step``, as ``place()`` gives these two.

    Also whether a window is still to be made of them: of no points it is done, and of
    one too, unless ``of_one`` says that its place matters.
    Raises ValueError for a bad ``M``, dtype or layout.
    """
    if options["dtype"] is None:
        options["dtype"] = torch.get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if options["layout"] is not torch.strided:
        raise ValueError(
            f"{name} is implemented for strided tensors only, got: {options['layout']}"
        )
    if options["dtype"] not in (torch.float32, torch.float64):
        raise ValueError(
            f"{name} expects float32 or float64 dtypes, got: {options['dtype']}"
        )
    first, step = place()
    if M == 0:
        return torch.empty((0,), **options), False
    if M == 1 and of_one:
        return torch.ones((1,), **options), False
    return torch.linspace(first, first + (M - 1) * step, M, **options), True


def _window(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The public function of ``make(M, options, *, …)``: with the options of tensors."""
    signature = inspect.signature(make)

    @wraps(make)
    def window(
        M: int,
        *,
        dtype: Any = None,
        layout: Any = torch.strided,
        device: Any = None,
        requires_grad: bool = False,
        **own: Any,
    ) -> Tensor:
        options = {
            "dtype": dtype,
            "layout": layout,
            "device": device,
            "requires_grad": requires_grad,
        }
        return make(M, options, **own)

    shared = inspect.signature(window, follow_wrapped=False).parameters
    listed = [p for name, p in signature.parameters.items() if name != "options"]
    listed += [p for name, p in shared.items() if name not in ("M", "own")]
    window.__signature__ = signature.replace(parameters=listed)  # type: ignore[attr-defined]
    return window


def _intervals(M: Any, sym: bool) -> Any:
    """How many steps a window spans: a periodic one ends a step before its next."""
    return (M - 1 if sym else M) or 1


def _centred(M: Any, sym: bool, width: float) -> tuple[float, float]:
    """First place and step of a window's points about 0, in units of ``width``."""
    center = (M if not sym and M > 1 else M - 1) / 2
    return -center / width, 1 / width


@_window
def exponential(
    M: int,
    options: dict[str, Any],
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
) -> Tensor:
    """exp(-|n - center| / tau); ``center`` only where ``sym`` is False."""

    def place() -> tuple[float, float]:
        if tau <= 0:
            raise ValueError(f"Tau must be positive, got: {tau} instead.")
        if sym and center is not None:
            raise ValueError("Center must be None for symmetric windows")
        if center is not None:
            return -center / tau, 1 / tau
        return _centred(M, sym, tau)

    k, unfinished = _points("exponential", M, options, place, of_one=False)
    return torch.exp(-torch.abs(k)) if unfinished else k


@_window
def cosine(
    M: int,
    options: dict[str, Any],
    *,
    sym: bool = True,
) -> Tensor:
    """Half a wave of a sine, sampled between its zeros."""
    step = math.pi / (M if sym or M <= 1 else M + 1) if M > 0 else 0.0
    k, unfinished = _points(
        "cosine", M, options, lambda: (step / 2, step), of_one=False
    )
    return torch.sin(k) if unfinished else k


@_window
def gaussian(
    M: int,
    options: dict[str, Any],
    *,
    std: float = 1.0,
    sym: bool = True,
) -> Tensor:
    """exp(-(n / std)² / 2) about the middle."""

    def place() -> tuple[float, float]:
        if std <= 0:
            raise ValueError(
                f"Standard deviation must be positive, got: {std} instead."
            )
        return _centred(M, sym, std * math.sqrt(2))

    k, unfinished = _points("gaussian", M, options, place, of_one=False)
    return torch.exp(-(k**2)) if unfinished else k


@_window
def kaiser(
    M: int,
    options: dict[str, Any],
    *,
    beta: float = 12.0,
    sym: bool = True,
) -> Tensor:
    """I0(beta √(1 - x²)) / I0(beta), for x from -1 to 1."""

    def place() -> tuple[float, float]:
        if beta < 0:
            raise ValueError(f"beta must be non-negative, got: {beta} instead.")
        return -beta, 2.0 * beta / _intervals(M, sym)

    k, unfinished = _points("kaiser", M, options, place)
    if not unfinished:
        return k
    # In the window's dtype, so that the difference below never gets negative.
    bound = torch.tensor(beta, dtype=k.dtype, device=options["device"])
    return torch.i0(torch.sqrt(bound * bound - torch.pow(k, 2))) / torch.i0(bound)


@_window
def general_cosine(
    M: int,
    options: dict[str, Any],
    *,
    a: Iterable[float],
    sym: bool = True,
) -> Tensor:
    """Σ (-1)ⁱ aᵢ cos(2πi n / M), of coefficients ``a``."""
    return _cosines("general_cosine", M, options, a, sym)


def _cosines(name: str, M: Any, options: Any, a: Any, sym: bool) -> Tensor:
    step = 2 * math.pi / _intervals(M, sym)
    k, unfinished = _points(name, M, options, lambda: (0.0, step))
    if not unfinished:
        return k
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    listed: list[Any] = list(a)
    if not listed:
        raise ValueError("Coefficients cannot be empty")
    signed = torch.tensor(
        [(-1) ** i * weight for i, weight in enumerate(listed)],
        device=options["device"],
        dtype=k.dtype,
        requires_grad=options["requires_grad"],
    )
    i = torch.arange(len(listed), dtype=k.dtype, device=options["device"])
    return (signed.unsqueeze(-1) * torch.cos(i.unsqueeze(-1) * k)).sum(0)


@_window
def general_hamming(
    M: int,
    options: dict[str, Any],
    *,
    alpha: float = 0.54,
    sym: bool = True,
) -> Tensor:
    """alpha - (1 - alpha) cos(2π n / M)."""
    a = [alpha, 1.0 - alpha]
    return _cosines("general_cosine", M, options, a, sym)


@_window
def bartlett(
    M: int,
    options: dict[str, Any],
    *,
    sym: bool = True,
) -> Tensor:
    """A triangle from 0 to 1 and back."""
    step = 2 / _intervals(M, sym)
    k, unfinished = _points("bartlett", M, options, lambda: (-1.0, step))
    return 1 - torch.abs(k) if unfinished else k


def _of_cosines(name: str, a: tuple[float, ...], checked_as: str, doc: str) -> Any:
    """A window with fixed coefficients of :func:`general_cosine`."""

    def window(M: int, options: dict[str, Any], *, sym: bool = True) -> Tensor:
        return _cosines(checked_as, M, options, a, sym)

    window.__name__ = window.__qualname__ = name
    window.__doc__ = doc
    return _window(window)


_GENERAL = "general_cosine"
hamming = _of_cosines(
    "hamming", (0.54, 1.0 - 0.54), _GENERAL, "0.54 - 0.46 cos(2π n / M)."
)
hann = _of_cosines("hann", (0.5, 0.5), _GENERAL, "(1 - cos(2π n / M)) / 2.")
blackman = _of_cosines(
    "blackman", (0.42, 0.5, 0.08), "blackman", "Blackman's three cosines."
)
nuttall = _of_cosines(
    "nuttall",
    (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    _GENERAL,
    "Nuttall's four cosines, with low side lobes.",
)
