"""Special functions: cupyx's where it has them, SciPy's on the host for the rest."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from dispatchtorch_numpy import special as generic

from dispatchtorch_cupy.arrays import ordered_like

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# Functions of `_special` -> their names in cupyx.scipy.special.
_DEVICE = dict(
    each.split(":")
    for each in """
    erfc:erfc erfcx:erfcx erfinv:erfinv ndtri:ndtri log_ndtr:log_ndtr lgamma:gammaln
    i0:i0 i0e:i0e i1:i1 i1e:i1e bessel_j0:j0 bessel_j1:j1 bessel_y0:y0 bessel_y1:y1
    modified_bessel_i0:i0 modified_bessel_i1:i1 modified_bessel_k0:k0
    modified_bessel_k1:k1 scaled_modified_bessel_k0:k0e scaled_modified_bessel_k1:k1e
    gammainc:gammainc gammaincc:gammaincc zeta:zeta
    """.split()
)
# These compute in double precision, whatever the operand.
_WIDE = ("erfinv", "lgamma", "ndtri", "log_ndtr", "zeta", "gammainc", "gammaincc")


@functools.cache
def _on_host() -> Callable[..., Any]:
    return generic.kernels_for(np)["_special"][0]


@functools.cache
def _device(name: str) -> Any:
    """cupyx's function, or None."""
    word = _DEVICE.get(name)
    if word is None:
        return None
    from cupyx.scipy import special

    return getattr(special, word, None)


def _special(operands: list[Any], function: str) -> Any:
    found = _device(function)
    shape = np.broadcast_shapes(*[x.shape for x in operands])
    dtype = operands[0].dtype
    made = ordered_like(dtype, shape, *operands)
    if found is None:
        with np.errstate(all="ignore"):
            host = _on_host()([x.get() for x in operands], function)
        values = cupy.ndarray(shape, dtype)
        if values.size:
            values.set(np.ascontiguousarray(host).reshape(shape))
        made[...] = values
        return made
    wide = np.dtype(
        "float64" if function in _WIDE or dtype.itemsize == 8 else "float32"
    )
    operands = [x.astype(wide, copy=False) for x in operands]
    if function == "lgamma":  # infinite at both ends
        operands = [cupy.where(cupy.isinf(x), cupy.abs(x), x) for x in operands]
    made[...] = found(*operands)
    return made


def _erf(x: Any) -> Any:
    from cupyx.scipy import special

    if x.dtype.itemsize == 2:
        return special.erf(x.astype(np.float32)).astype(x.dtype)
    made = ordered_like(x.dtype, x.shape, x)
    return special.erf(x, out=made)


def _clamp(x: Any, low: Any, high: Any) -> Any:
    host = x.dtype
    made = ordered_like(host, x.shape, x)
    given = x
    for value, function in ((low, cupy.maximum), (high, cupy.minimum)):
        if value is not None:
            given = function(given, _bound(value, host), out=made)
    return NotImplemented if given is x else made


def _bound(value: Any, host: Any) -> Any:
    """A number as a 0-d array, wrapped around as a C++ cast does."""
    from dispatchtorch import dtypes
    from dispatchtorch.backend import get_backend

    backend = get_backend("cuda")
    return backend.scalar(value, dtypes.from_host_dtype(host), backend.current_device())


def _frexp(x: Any) -> Any:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    mantissa, exponent = cupy.frexp(wide)
    return mantissa.astype(x.dtype, copy=False), exponent


def kernels_for(backend: Any) -> Kernels:
    """The special functions."""
    return {
        "_special": (_special, False),
        "erf": (_erf, False),
        "clamp": (_clamp, False),
        "frexp.Tensor": (_frexp, False),
    }
