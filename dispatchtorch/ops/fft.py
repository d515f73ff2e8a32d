"""Discrete Fourier transforms, and the order of their frequencies.

One transform carries them all: ``_fft_c2c``, of complex numbers along given dims. Those of
real signals follow from it by symmetry; a device may supply them by themselves.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import (
    as_ints,
    conj,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops.creation import _OPTIONS, as_dtype, check_size, finish
from dispatchtorch.tensor import Tensor

_PLAIN = Plain()
# What a transform of n points is divided by: nothing, the root of n, n.
_NONE, _ROOT, _N = range(3)

# The transforms that devices supply. Dims are wrapped and have one or more points.

_fft_c2c = primitive(
    "_fft_c2c(Tensor self, int[] dim, int normalization, bool forward) -> Tensor",
    lift=_PLAIN,
    tags="fallback no_out",
    variants="function",
)
derive(
    _fft_c2c,
    name_="FftC2CBackward0",
    self=lambda grad, dim, normalization, forward: torch._fft_c2c(
        grad, dim, normalization, not forward
    ),
)


@_fft_c2c.preparation
def _(self, dim, normalization, forward):
    return self, as_ints(dim), normalization, forward


@_fft_c2c.shape
def _(x, dim, normalization, forward):
    return x.shape, x.dtype


@operator(
    "_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor",
    lift=_PLAIN,
    tags="no_out",
    variants="function",
)
def _fft_r2c(self, dim, normalization, onesided):
    """The forward transform of real numbers: half of it tells all (``onesided``)."""
    made = torch._fft_c2c(
        self.to(self.dtype.to_complex()), dim, normalization, forward=True
    )
    if not onesided:
        return made
    last = dim[-1]
    return made.narrow(last, 0, made._shape[last] // 2 + 1).contiguous()


_fft_r2c.prepare = lambda self, dim, normalization, onesided: (
    self,
    as_ints(dim),
    normalization,
    onesided,
)


def _r2c_backward(
    grad: Any, self_sizes: Any, dim: Any, normalization: int, onesided: bool
) -> Any:
    if onesided:
        grad = resized(grad, dim[-1:], (self_sizes[dim[-1]],))
    return torch.real(torch._fft_c2c(grad, dim, normalization, forward=False))


derive(_fft_r2c, name_="FftR2CBackward0", self=_r2c_backward)


@operator(
    "_fft_c2r(Tensor self, int[] dim, int normalization, int last_dim_size) -> Tensor",
    lift=_PLAIN,
    tags="no_out",
    variants="function",
)
def _fft_c2r(self, dim, normalization, last_dim_size):
    """The inverse of the onesided ``_fft_r2c``: real numbers of half a spectrum."""
    last = dim[-1]
    if len(dim) > 1:
        self = torch._fft_c2c(self, dim[:-1], normalization, forward=False)
    mirrored = last_dim_size - last_dim_size // 2 - 1
    if mirrored:
        tail = conj(self.narrow(last, 1, mirrored).flip(last))
        self = torch.cat([self.narrow(last, 0, last_dim_size // 2 + 1), tail], last)
    made = torch._fft_c2c(self, (last,), normalization, forward=False)
    return torch.real(made).contiguous()


_fft_c2r.prepare = lambda self, dim, normalization, last_dim_size: (
    self,
    as_ints(dim),
    normalization,
    last_dim_size,
)


def _c2r_backward(grad: Any, dim: Any, normalization: int) -> Any:
    last = dim[-1]
    made = torch._fft_r2c(grad, dim, normalization, onesided=True)
    twice = grad._shape[last] - made._shape[last]
    if twice <= 0:
        return made
    # What stands for its mirror image too counts twice.
    made.narrow(last, 1, twice).mul_(2)
    return made


derive(_fft_c2r, name_="FftC2RBackward0", self=_c2r_backward)

# What the public functions share.


def as_signal(self: Tensor, complex_: bool = False) -> Tensor:
    """A tensor in a dtype that transforms take: floating, or complex where asked for."""
    found = self.dtype
    if found.category < dtypes.FLOAT:
        found = dtypes.get_default_dtype()
    if found.to_real() not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"Unsupported dtype {scalar_type_name(found)}")
    return self.to(found.to_complex() if complex_ else found)


def resized(self: Tensor, dims: Any, sizes: Any) -> Tensor:
    """A tensor cut, or filled up with zeros, to ``sizes`` along ``dims``."""
    pad = [0] * (2 * self.ndim)
    for d, size in zip(dims, sizes, strict=True):
        own = self._shape[d]
        if size < own:
            self = self.narrow(d, 0, size)
        elif size > own:
            pad[2 * (self.ndim - 1 - d) + 1] = size - own
    return torch.constant_pad_nd(self, pad, 0) if any(pad) else self


def _normalization(norm: str | None, forward: bool) -> int:
    if norm == "ortho":
        return _ROOT
    if norm not in (None, "backward", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return _N if (norm == "forward") == forward else _NONE


def _check_points(n: int) -> int:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _check_real(self: Tensor, name: str) -> None:
    if self.is_complex():
        raise RuntimeError(
            f"{name} expects a real input tensor, but got {scalar_type_name(self.dtype)}"
        )


def _axes(self: Tensor, s: Any, dim: Any) -> tuple[tuple[int, ...], list[int]]:
    """The dims to transform and the sizes they are to have, of ``s`` and ``dim``."""
    ndim = self.ndim
    if dim is not None:
        dims = tuple([wrap_dim(d, ndim, wrap_scalar=False) for d in as_ints(dim)])
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    if s is None:
        if dim is None:
            dims = tuple(range(ndim))
        sizes = [self._shape[d] for d in dims]
    else:
        sizes = list(as_ints(s))
        if dim is None:
            if len(sizes) > ndim:
                raise RuntimeError(
                    f"Got shape with {len(sizes)} values but input tensor only has "
                    f"{ndim} dimensions."
                )
            dims = tuple(range(ndim - len(sizes), ndim))
        elif len(dims) != len(sizes):
            raise RuntimeError(
                "When given, dim and shape arguments must have the same length"
            )
        sizes = [self._shape[d] if n == -1 else n for n, d in zip(sizes, dims)]
    for n in sizes:
        _check_points(n)
    return dims, sizes


def _half_axes(
    self: Tensor, s: Any, dim: Any, name: str
) -> tuple[tuple[int, ...], list[int], int]:
    """As :func:`_axes` for half a spectrum; and how many points the last dim gets."""
    dims, sizes = _axes(self, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    given = -1 if s is None else as_ints(s)[-1]
    last = 2 * (self._shape[dims[-1]] - 1) if given == -1 else given
    sizes[-1] = _check_points(last) // 2 + 1
    return dims, sizes, last


# Along one dim.

_ONE = "(Tensor self, int? n=None, int dim=-1, str? norm=None) -> Tensor"
_MANY = "(Tensor self, int[1]? s=None, int[1]? dim=None, str? norm=None) -> Tensor"
_TWO = "(Tensor self, int[1]? s=None, int[1] dim=[-2, -1], str? norm=None) -> Tensor"


def _one_axis(name: str, body: Any, doc: str) -> None:
    """Declares ``fft_<name>`` along one dim."""

    def transform(self, n=None, dim=-1, norm=None):  # type: ignore[no-untyped-def]
        return body(self, n, wrap_dim(dim, self.ndim, wrap_scalar=False), norm)

    transform.__doc__ = doc
    operator(f"fft_{name}{_ONE}", tags="out", variants="private")(transform)


def _complex_one(forward: bool) -> Any:
    def body(self: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
        self = as_signal(self)
        n = _check_points(self._shape[dim] if n is None else n)
        self = resized(self, (dim,), (n,))
        mode = _normalization(norm, forward)
        if self.is_complex():
            return torch._fft_c2c(self, (dim,), mode, forward)  # type: ignore[no-any-return]
        made = torch._fft_r2c(self, (dim,), mode, onesided=False)
        return made if forward else torch.conj(made)  # type: ignore[no-any-return]

    return body


def _real_one(name: str, forward: bool) -> Any:
    def body(self: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
        _check_real(self, name)
        self = as_signal(self)
        n = _check_points(self._shape[dim] if n is None else n)
        mode = _normalization(norm, forward)
        made = torch._fft_r2c(resized(self, (dim,), (n,)), (dim,), mode, onesided=True)
        return made if forward else torch.conj(made)  # type: ignore[no-any-return]

    return body


def _half_one(forward: bool) -> Any:
    def body(self: Tensor, n: int | None, dim: int, norm: str | None) -> Tensor:
        self = as_signal(self, complex_=True)
        n = _check_points(2 * (self._shape[dim] - 1) if n is None else n)
        self = resized(self, (dim,), (n // 2 + 1,))
        if forward:
            self = torch.conj(self)
        return torch._fft_c2r(self, (dim,), _normalization(norm, forward), n)  # type: ignore[no-any-return]

    return body


_one_axis("fft", _complex_one(True), "The discrete Fourier transform along a dim.")
_one_axis("ifft", _complex_one(False), "The inverse of :func:`fft`.")
_one_axis(
    "rfft", _real_one("rfft", True), "The transform of a real signal, half of it."
)
_one_axis("irfft", _half_one(False), "The inverse of :func:`rfft`.")
_one_axis("hfft", _half_one(True), "The transform of half a Hermitian signal: real.")
_one_axis("ihfft", _real_one("ihfft", False), "The inverse of :func:`hfft`.")

# Along several dims.


def _several_axes(name: str, body: Any, doc: str) -> None:
    """Declares ``fft_<name>n`` along dims, and ``fft_<name>2`` along the last two."""

    def transform(self, s=None, dim=None, norm=None):  # type: ignore[no-untyped-def]
        return body(self, s, dim, norm)

    transform.__doc__ = f"{doc} along several dims."
    operator(f"fft_{name}n{_MANY}", tags="out", variants="private")(transform)

    def transform2(self, s=None, dim=(-2, -1), norm=None):  # type: ignore[no-untyped-def]
        return body(self, s, dim, norm)

    transform2.__doc__ = f"{doc} along two dims."
    operator(f"fft_{name}2{_TWO}", tags="out", variants="private")(transform2)


def _complex_several(forward: bool) -> Any:
    def body(self: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
        dims, sizes = _axes(self, s, dim)
        self = resized(as_signal(self, complex_=True), dims, sizes)
        mode = _normalization(norm, forward)
        if not dims:
            return self.clone()
        return torch._fft_c2c(self, dims, mode, forward)  # type: ignore[no-any-return]

    return body


def _rfftn(self: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    if self.is_complex():
        raise RuntimeError(
            "rfftn expects a real-valued input tensor, but got "
            f"{scalar_type_name(self.dtype)}"
        )
    self = as_signal(self)
    dims, sizes = _axes(self, s, dim)
    if not dims:
        raise RuntimeError("rfftn must transform at least one axis")
    self = resized(self, dims, sizes)
    return torch._fft_r2c(self, dims, _normalization(norm, True), onesided=True)  # type: ignore[no-any-return]


def _ihfftn(self: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    if self.is_complex():
        raise RuntimeError(
            "Only supports floating-point dtypes, but found: "
            f"{scalar_type_name(self.dtype)}"
        )
    self = as_signal(self)
    dims, sizes = _axes(self, s, dim)
    if not dims:
        raise RuntimeError("ihfftn must transform at least one axis")
    mode = _normalization(norm, False)
    self = resized(self, dims, sizes)
    made = torch.conj(torch._fft_r2c(self, dims[-1:], mode, onesided=True))
    if len(dims) == 1:
        return made  # type: ignore[no-any-return]
    return torch._fft_c2c(made, dims[:-1], mode, forward=False)  # type: ignore[no-any-return]


def _irfftn(self: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    dims, sizes, last = _half_axes(self, s, dim, "irfftn")
    self = resized(as_signal(self, complex_=True), dims, sizes)
    return torch._fft_c2r(self, dims, _normalization(norm, False), last)  # type: ignore[no-any-return]


def _hfftn(self: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    dims, sizes, last = _half_axes(self, s, dim, "hfftn")
    self = resized(as_signal(self, complex_=True), dims, sizes)
    mode = _normalization(norm, True)
    if len(dims) > 1:
        self = torch._fft_c2c(self, dims[:-1], mode, forward=True)
    return torch._fft_c2r(torch.conj(self), dims[-1:], mode, last)  # type: ignore[no-any-return]


_several_axes("fft", _complex_several(True), "The discrete Fourier transform")
_several_axes("ifft", _complex_several(False), "The inverse Fourier transform")
_several_axes("rfft", _rfftn, "The transform of a real signal, half of it,")
_several_axes("irfft", _irfftn, "The inverse of the transform of a real signal")
_several_axes("hfft", _hfftn, "The transform of half a Hermitian signal")
_several_axes("ihfft", _ihfftn, "The inverse of the transform to a real signal")

# Frequencies.

_SHIFT = "(Tensor self, int[1]? dim=None) -> Tensor"


def _frequencies(name: str, indices: Any, doc: str) -> None:
    """Declares ``fft_<name>``: ``indices(n, …)`` over the length of ``n`` samples."""

    def body(n, d=1.0, *, dtype, layout, device, pin_memory, requires_grad):  # type: ignore[no-untyped-def]
        found = as_dtype(dtype)
        if found.category < dtypes.FLOAT:
            raise RuntimeError(f"{name} requires a floating point or complex dtype")
        check_size((n,))
        made = indices(n, dtype=found, layout=layout, device=device)
        length = n * d
        step = 1.0 / length if length else math.copysign(math.inf, length)
        return finish(made.mul_(step), requires_grad)

    body.__doc__ = doc
    schema = f"fft_{name}(int n, float d=1.0, {_OPTIONS}) -> Tensor"
    nondifferentiable(operator(schema, tags="factory out", variants="private")(body))


def _two_sided(n: int, **options: Any) -> Tensor:
    made = torch.arange(n, **options)
    middle = (n + 1) // 2
    made[middle:] = torch.arange(-(n // 2), 0, **options)
    return made  # type: ignore[no-any-return]


_frequencies(
    "fftfreq",
    _two_sided,
    "The frequencies of :func:`fft`'s results, negative ones last.",
)
_frequencies(
    "rfftfreq",
    lambda n, **options: torch.arange(int(n / 2) + 1, **options),
    "The frequencies of :func:`rfft`'s results.",
)


def _shift(name: str, by: Any, doc: str) -> None:
    def body(self, dim=None):  # type: ignore[no-untyped-def]
        dims = list(range(self.ndim))
        if dim is not None:
            dims = [wrap_dim(d, self.ndim, wrap_scalar=False) for d in as_ints(dim)]
        return self.roll([by(self._shape[d]) for d in dims], tuple(dims))

    body.__doc__ = doc
    operator(f"fft_{name}{_SHIFT}", variants="private")(body)


_shift("fftshift", lambda n: n // 2, "Moves the frequency 0 to the middle.")
_shift("ifftshift", lambda n: (n + 1) // 2, "The inverse of :func:`fftshift`.")
