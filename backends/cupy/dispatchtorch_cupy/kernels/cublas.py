"""Products of matrices by cuBLAS: any strides it can take, batches, half types that add
up in float32, TensorFloat-32 by PyTorch's flags.

cuBLAS counts columns first: a row-major product is asked for as its transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.kernelgen.geometry import size_of
from dispatchtorch_cupy.kernels.copying import Copies
from dispatchtorch_cupy.kernels.runtime import Runtime

__all__ = ["CublasEngine", "Products"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# Values of cudaDataType, and of cublasComputeType, which cuBLAS's documentation lists.
_TYPES = {
    dtypes.float32.host: 0,
    dtypes.float64.host: 1,
    dtypes.float16.host: 2,
    dtypes.complex64.host: 4,
    dtypes.complex128.host: 5,
    dtypes.bfloat16.host: 14,
}
_COMPUTE_32F, _COMPUTE_32F_FAST_TF32, _COMPUTE_64F = 68, 77, 70
_DEFAULT_ALGORITHM = -1
_WIDE = (dtypes.float64.host, dtypes.complex128.host)
_SINGLE = np.dtype("float32")
#: What scalars are passed as.
_SCALARS = {
    dtypes.float64.host: np.float64,
    dtypes.complex64.host: np.complex64,
    dtypes.complex128.host: np.complex128,
}
_MOST = 2**31 - 1


class CublasEngine:
    """``cublasGemmStridedBatchedEx`` of CuPy's handle; arguments are cuBLAS's own."""

    def __init__(self, xp: Any) -> None:
        self._handle = xp.cuda.device.get_cublas_handle
        self._cublas: Any = None

    def gemm(self, *args: Any) -> None:
        """transa, transb, m, n, k, alpha, (a, type, ld, stride), the same of b, beta,
        the same of c, batches, compute type."""
        if self._cublas is None:
            from cupy_backends.cuda.libs import cublas

            self._cublas = cublas
        self._cublas.gemmStridedBatchedEx(self._handle(), *args, _DEFAULT_ALGORITHM)


class _Flags:
    """Whether products of float32 may be rounded to TensorFloat-32."""

    def __init__(self) -> None:
        self._switches: Any = None

    def __call__(self) -> bool:
        if self._switches is None:
            import dispatchtorch.backends.cuda
            from dispatchtorch import _runtime

            self._switches = dispatchtorch.backends.cuda.matmul, _runtime
        matmul, runtime = self._switches
        if matmul.allow_tf32:
            return True
        return bool(runtime.get_float32_matmul_precision() != "highest")


_tf32 = _Flags()


class Products:
    """The kernels of products over a runtime and an engine."""

    def __init__(self, runtime: Runtime, copies: Copies, engine: Any) -> None:
        self.runtime = runtime
        self.copies = copies
        self.engine = engine
        self._scalars: dict[Any, tuple[Any, int]] = {}

    def scalar(self, value: Any, host: Any) -> int:
        """The address of a number in the type of the arithmetic."""
        key = (value, host)
        found = self._scalars.get(key)
        if found is None:
            if len(self._scalars) > 1000:
                # Addresses that a call in another thread holds stay valid.
                self._scalars = {}
            kept: Any = np.array([value], _SCALARS.get(host, np.float32))
            found = kept, kept.__array_interface__["data"][0]
            self._scalars[key] = found
        return found[1]

    def _operand(self, x: Any) -> tuple[Any, int, int, int]:
        """(array, whether transposed, leading dim, stride of batches) of (n, r, c)."""
        _, rows, columns = x.shape
        batch, s0, s1 = self.runtime.strides(x)
        if x.shape[0] == 1:
            batch = 0
        if (s1 == 1 or columns == 1) and (s0 >= columns or rows == 1):
            return x, 0, max(s0 if rows > 1 else columns, columns, 1), batch
        if (s0 == 1 or rows == 1) and (s1 >= rows or columns == 1):
            return x, 1, max(s1 if columns > 1 else rows, rows, 1), batch
        x = self.copies.cast(x, x.dtype)
        if not self.runtime.is_dense(x):
            x = self.runtime.contiguous(x)
        return x, 0, max(columns, 1), rows * columns

    def product(
        self,
        out: Any,
        x: Any,
        y: Any,
        alpha: Any = 1.0,
        beta: Any = 0.0,
    ) -> None:
        """``out = alpha * x @ y + beta * out`` of (n, r, c) arrays; ``out`` has rows in
        one piece each, and may be of float32 where ``x`` is of a half type."""
        count, rows, columns = out.shape
        inner = x.shape[2]
        kind, made = x.dtype, out.dtype
        x, turned_x, lead_x, step_x = self._operand(x)
        y, turned_y, lead_y, step_y = self._operand(y)
        step_out, lead_out, _ = self.runtime.strides(out)
        if kind in _WIDE:
            compute = _COMPUTE_64F
        elif kind.itemsize != 2 and _tf32():
            compute = _COMPUTE_32F_FAST_TF32
        else:
            compute = _COMPUTE_32F
        address = self.runtime.address
        self.engine.gemm(
            turned_y, turned_x, columns, rows, inner, self.scalar(alpha, kind),
            address(y), _TYPES[kind], lead_y, step_y,
            address(x), _TYPES[kind], lead_x, step_x,
            self.scalar(beta, kind),
            address(out), _TYPES[made], max(lead_out, columns), step_out,
            count, compute,
        )  # fmt: skip

    def _fits(self, *arrays: Any) -> bool:
        kind = arrays[0].dtype
        return kind in _TYPES and all(
            a.dtype == kind and max(a.shape, default=0) < _MOST for a in arrays
        )

    def bmm(self, x: Any, y: Any) -> Any:
        if not self._fits(x, y):
            return NotImplemented
        shape = (x.shape[0], x.shape[1], y.shape[2])
        if not x.shape[2] or not size_of(shape):
            return self.runtime.zeros(shape, x.dtype)
        made = self.runtime.empty(shape, x.dtype)
        self.product(made, x, y)
        return made

    def mm(self, x: Any, y: Any) -> Any:
        if not self._fits(x, y):
            return NotImplemented
        shape = (x.shape[0], y.shape[1])
        if not x.shape[1] or not size_of(shape):
            return self.runtime.zeros(shape, x.dtype)
        made = self.runtime.empty(shape, x.dtype)
        self.product(made[None], x[None], y[None])
        return made

    def _added(self, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        """``beta * x + alpha * a @ b`` of batches."""
        if not self._fits(x, a, b):
            return NotImplemented
        shape = (a.shape[0], a.shape[1], b.shape[2])
        if not a.shape[2] or not size_of(shape):
            return NotImplemented
        if a.dtype.kind != "c" and (type(alpha) is complex or type(beta) is complex):
            return NotImplemented
        made = self.runtime.empty(shape, a.dtype)
        if beta != 0 and self.copies.copy_(made, x) is NotImplemented:
            return NotImplemented
        self.product(made, a, b, alpha, beta)
        return made

    def addmm(self, x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
        made = self._added(x, a[None], b[None], beta, alpha)
        return made if made is NotImplemented else made[0]

    def kernels(self) -> Kernels:
        """The kernels by operator."""
        return {
            "mm": (self.mm, False),
            "bmm": (self.bmm, False),
            "addmm": (self.addmm, False),
            "baddbmm": (self._added, False),
        }
