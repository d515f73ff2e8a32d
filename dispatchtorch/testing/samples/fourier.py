"""Samples of ``torch.fft``, of the windows and of short-time transforms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._generators import cases, dim_failure
from ._model import DEVICE, Draw, DType, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample


def _one(g: Draw) -> Iterator[Any]:
    yield S(g(6))
    yield S(g(2, 5), 4)
    yield S(g(4, 3, layout="transposed"), 6, 0)
    for norm in ("ortho", "forward", "backward"):
        yield S(g(2, 4), norm=norm)
    yield dim_failure(g(2, 3), None, 5)


def _several(g: Draw) -> Iterator[Any]:
    yield S(g(3, 4))
    yield S(g(2, 3, 4), (2, 5))
    yield S(g(2, 3, 4), dim=(0, 2), norm="ortho")


def _shift(g: Draw) -> Iterator[Any]:
    yield S(g(5))
    yield S(g(4, 3))
    yield S(g(4, 3), 0)
    yield S(g(2, 4, 3), (0, 2))


def _made(*calls: tuple[Any, ...]) -> Any:
    def generate(g: Draw) -> Iterator[Any]:
        for args in calls:
            yield S(*args, dtype=DType(g.dtype), device=DEVICE)
        yield S(*calls[0], device=DEVICE)

    return generate


def _stft(g: Draw) -> Iterator[Any]:
    yield S(g(20), 8, return_complex=True)
    yield S(g(2, 20), 8, 3, window=g(8, low=0.2, high=1), return_complex=True)
    yield S(g(20), 8, center=False, normalized=True, return_complex=True)


def _istft(g: Draw) -> Iterator[Any]:
    window = g.of([0.5, 1, 1, 0.5], "float64" if g.dtype == "complex128" else "float32")
    yield S(g(3, 5), 4, 2, window=window)
    yield S(g(2, 3, 5), 4, 1, window=window, normalized=True)


def _transform(name: str, generate: Any, dtypes: str) -> Any:
    return cases(f"fft.{name}", generate, dtypes, f"np.fft.{name}", loose=10)


_FROM_REAL = ("rfft", "ihfft")

ROWS: list[OperatorSamples] = [
    *[_transform(name, _one, "fci") for name in ("fft", "ifft", "irfft", "hfft")],
    *[_transform(name, _one, "fi") for name in _FROM_REAL],
    *[
        cases(f"fft.{name}{form}", _several, "fc", loose=10)
        for name in ("fft", "ifft", "irfft", "hfft")
        for form in ("2", "n")
    ],
    *[
        cases(f"fft.{name}{form}", _several, "f", loose=10)
        for name in _FROM_REAL
        for form in ("2", "n")
    ],
    cases("fft.fftshift", _shift, "fhcib", "np.fft.fftshift"),
    cases("fft.ifftshift", _shift, "fhcib", "np.fft.ifftshift"),
    cases("fft.fftfreq", _made((5,), (4, 0.5)), "f", grads=0),
    cases("fft.rfftfreq", _made((5,), (4, 0.5)), "f", grads=0),
    *[
        cases(f"{name}_window", _made((6,), (5, False), (1,), (0,)), "f", grads=0)
        for name in ("bartlett", "blackman", "hann")
    ],
    cases(
        "hamming_window",
        _made((6,), (5, False), (5, True, 0.5), (4, True, 0.5, 0.4)),
        "f",
        grads=0,
    ),
    cases("kaiser_window", _made((6,), (5, False), (5, True, 8.0), (1,)), "f", grads=0),
    cases("stft", _stft, "f", loose=10),
    cases("istft", _istft, "c", loose=10),
]
