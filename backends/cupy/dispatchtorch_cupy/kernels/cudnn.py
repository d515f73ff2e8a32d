"""Convolutions by cuDNN, over the C interface of its shared library.

The library comes with ``nvidia-cudnn-cu12`` or ``-cu13``, or lies where the loader finds
it. A convolution that it declines, and all where there is no library, are left to the
decomposition. TensorFloat-32, determinism and whether cuDNN is used at all follow
``torch.backends.cudnn``.
"""

from __future__ import annotations

import ctypes
import glob
import site
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.kernelgen.geometry import row_major, size_of
from dispatchtorch_cupy.kernels.runtime import Runtime

__all__ = ["Convolutions", "find_library"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# Values of cudnnDataType_t, of cudnnMathType_t and so on, from cuDNN's documentation.
_TYPES = {
    dtypes.float32.host: 0,
    dtypes.float64.host: 1,
    dtypes.float16.host: 2,
    dtypes.bfloat16.host: 9,
}
_FLOAT, _DOUBLE = 0, 1
_DEFAULT_MATH, _TENSOR_OP_MATH, _FMA_MATH = 0, 1, 3
_CROSS_CORRELATION = 1
_NCHW = 0
#: Bytes of workspace that an algorithm may ask for.
_WORKSPACE = 1 << 30
_BYTE = np.dtype("uint8")


class _Performance(ctypes.Structure):
    """What the heuristics say of one algorithm."""

    _fields_ = (
        ("algorithm", ctypes.c_int),
        ("status", ctypes.c_int),
        ("time", ctypes.c_float),
        ("memory", ctypes.c_size_t),
        ("determinism", ctypes.c_int),
        ("math", ctypes.c_int),
        ("reserved", ctypes.c_int * 3),
    )


def find_library() -> Any:
    """cuDNN's library, or None."""
    names = ["libcudnn.so.9"]
    for folder in dict.fromkeys([*site.getsitepackages(), *sys.path]):
        names += glob.glob(f"{folder}/nvidia/cudnn/lib/libcudnn.so.9")
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


class _Refused(Exception):
    """A call of the library failed."""


class _Plan:
    """Descriptors of a convolution, and its algorithm."""

    def __init__(self, algorithm: int, workspace: int, *descriptors: Any) -> None:
        self.algorithm = algorithm
        self.workspace = workspace
        self.x, self.w, self.y, self.convolution = descriptors


# Kind: the function, its heuristics, its workspace's, and the descriptors in the order
# that these and the function take them; the last one is of the result.
_KINDS = {
    "forward": (
        "cudnnConvolutionForward",
        "cudnnGetConvolutionForwardAlgorithm_v7",
        "cudnnGetConvolutionForwardWorkspaceSize",
        ("x", "w", "y"),
    ),
    "input": (
        "cudnnConvolutionBackwardData",
        "cudnnGetConvolutionBackwardDataAlgorithm_v7",
        "cudnnGetConvolutionBackwardDataWorkspaceSize",
        ("w", "y", "x"),
    ),
    "weight": (
        "cudnnConvolutionBackwardFilter",
        "cudnnGetConvolutionBackwardFilterAlgorithm_v7",
        "cudnnGetConvolutionBackwardFilterWorkspaceSize",
        ("x", "y", "w"),
    ),
}


class Convolutions:
    """The kernels of convolution over a runtime and the library."""

    def __init__(
        self, runtime: Runtime, find: Callable[[], Any] = find_library
    ) -> None:
        self.runtime = runtime
        self._find = find
        self._library: Any = None
        self._searched = False
        self._local = threading.local()
        self._plans: dict[Any, _Plan | None] = {}

    # The library.

    def library(self) -> Any:
        """The library, or None; looked for at the first convolution."""
        if not self._searched:
            self._searched = True
            self._library = self._find()
        return self._library

    def _call(self, name: str, *args: Any) -> None:
        status = getattr(self._library, name)(*args)
        if status:
            raise _Refused(f"{name}: status {status}")

    def _handle(self) -> Any:
        """This thread's handle for the current device, on the current stream."""
        device = self.runtime.current_device()
        handles = self._local.__dict__.setdefault("handles", {})
        handle = handles.get(device)
        if handle is None:
            handle = ctypes.c_void_p()
            self._call("cudnnCreate", ctypes.byref(handle))
            handles[device] = handle
        stream = ctypes.c_void_p(self.runtime.current_stream())
        self._call("cudnnSetStream", handle, stream)
        return handle

    def _descriptor(self, kind: str) -> Any:
        made = ctypes.c_void_p()
        self._call(f"cudnnCreate{kind}Descriptor", ctypes.byref(made))
        return made

    @staticmethod
    def _ints(values: Sequence[int]) -> Any:
        return (ctypes.c_int * len(values))(*values)

    def _tensor(self, shape: Sequence[int], host: Any) -> Any:
        made = self._descriptor("Tensor")
        sizes, steps = self._ints(shape), self._ints(row_major(shape))
        self._call(
            "cudnnSetTensorNdDescriptor", made, _TYPES[host], len(shape), sizes, steps
        )
        return made

    def _filter(self, shape: Sequence[int], host: Any) -> Any:
        made = self._descriptor("Filter")
        sizes = self._ints(shape)
        self._call(
            "cudnnSetFilterNdDescriptor", made, _TYPES[host], _NCHW, len(shape), sizes
        )
        return made

    # Plans.

    def _plan(
        self, kind: str, host: Any, shapes: dict[str, list[int]],
        stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
        groups: int, tf32: bool, deterministic: bool,
    ) -> _Plan:  # fmt: skip
        handle = self._handle()
        convolution = self._descriptor("Convolution")
        compute = _DOUBLE if host.itemsize == 8 else _FLOAT
        self._call(
            "cudnnSetConvolutionNdDescriptor", convolution, len(stride),
            self._ints(padding), self._ints(stride), self._ints(dilation),
            _CROSS_CORRELATION, compute,
        )  # fmt: skip
        self._call("cudnnSetConvolutionGroupCount", convolution, groups)
        math = _TENSOR_OP_MATH if host.itemsize == 2 else _FMA_MATH
        math = _DEFAULT_MATH if host.itemsize == 4 and tf32 else math
        self._call("cudnnSetConvolutionMathType", convolution, math)
        described = {
            "x": self._tensor(shapes["x"], host),
            "w": self._filter(shapes["w"], host),
            "y": self._tensor(shapes["y"], host),
        }
        _, heuristics, sizing, order = _KINDS[kind]
        first, second, last = (described[name] for name in order)
        found = (_Performance * 10)()
        count = ctypes.c_int()
        self._call(
            heuristics, handle, first, second, convolution, last, 10,
            ctypes.byref(count), found,
        )  # fmt: skip
        for each in found[: count.value]:
            if each.status or (deterministic and not each.determinism):
                continue
            if math == _FMA_MATH and each.math != _FMA_MATH and host.itemsize == 4:
                continue
            size = ctypes.c_size_t()
            try:
                self._call("cudnnSetConvolutionMathType", convolution, each.math)
                self._call(
                    sizing, handle, first, second, convolution, last, each.algorithm,
                    ctypes.byref(size),
                )  # fmt: skip
            except _Refused:
                continue
            if size.value <= _WORKSPACE:
                return _Plan(
                    each.algorithm, size.value, *described.values(), convolution
                )
        raise _Refused("no algorithm")

    def _run(
        self, kind: str, host: Any, shapes: dict[str, Any], arrays: dict[str, Any],
        stride: Any, padding: Any, dilation: Any, groups: int,
    ) -> Any:  # fmt: skip
        """The result's array; NotImplemented where cuDNN declines."""
        from dispatchtorch.backends import cudnn as flags

        if not flags.enabled or self.library() is None:
            return NotImplemented
        key = (
            kind, host, *shapes.values(), tuple(stride), tuple(padding),
            tuple(dilation), groups, bool(flags.allow_tf32), bool(flags.deterministic),
            self.runtime.current_device(),
        )  # fmt: skip
        if key in self._plans:
            plan = self._plans[key]
        else:
            sizes = {name: _planar(shape) for name, shape in shapes.items()}
            extra = 4 - len(shapes["x"])
            try:
                plan = self._plan(
                    kind, host, sizes, [1] * extra + list(stride),
                    [0] * extra + list(padding), [1] * extra + list(dilation),
                    groups, bool(flags.allow_tf32), bool(flags.deterministic),
                )  # fmt: skip
            except _Refused:
                plan = None
            self._plans[key] = plan
        if plan is None:
            return NotImplemented
        function, _, _, order = _KINDS[kind]
        made = self.runtime.empty(shapes[order[2]], host)
        space = self.runtime.empty((max(plan.workspace, 1),), _BYTE)
        real = ctypes.c_double if host.itemsize == 8 else ctypes.c_float
        address = self.runtime.address
        args: list[Any] = [self._handle(), ctypes.byref(real(1))]
        for name in order[:2]:
            array = self.runtime.aligned(arrays[name])
            args += [getattr(plan, name), ctypes.c_void_p(address(array))]
            arrays[name] = array  # alive until the call
        args += [
            plan.convolution, plan.algorithm, ctypes.c_void_p(address(space)),
            ctypes.c_size_t(plan.workspace), ctypes.byref(real(0)),
            getattr(plan, order[2]), ctypes.c_void_p(address(made)),
        ]  # fmt: skip
        try:
            self._call(function, *args)
        except _Refused:
            self._plans[key] = None
            return NotImplemented
        return made

    # The kernels.

    @staticmethod
    def _fits(*arrays: Any) -> bool:
        host = arrays[0].dtype
        return host in _TYPES and all(
            a.dtype == host and 3 <= a.ndim <= 5 and 0 < a.size < 2**31 for a in arrays
        )

    def conv(
        self, x: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int
    ) -> Any:
        if not self._fits(x, weight):
            return NotImplemented
        out = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True
            )
        ]
        shape = (x.shape[0], weight.shape[0], *out)
        if not size_of(shape):
            return NotImplemented
        shapes = {"x": x.shape, "w": weight.shape, "y": shape}
        arrays = {"x": x, "w": weight}
        return self._run(
            "forward", x.dtype, shapes, arrays, stride, padding, dilation, groups
        )

    def conv_weight(
        self, grad: Any, x: Any, size: Any, stride: Any, padding: Any, dilation: Any,
        groups: int,
    ) -> Any:  # fmt: skip
        if not self._fits(grad, x):
            return NotImplemented
        shape = (grad.shape[1], x.shape[1] // groups, *size)
        shapes = {"x": x.shape, "w": shape, "y": grad.shape}
        arrays = {"x": x, "y": grad}
        return self._run(
            "weight", x.dtype, shapes, arrays, stride, padding, dilation, groups
        )

    def conv_input(
        self, grad: Any, weight: Any, sizes: Any, stride: Any, padding: Any,
        dilation: Any, groups: int,
    ) -> Any:  # fmt: skip
        if not self._fits(grad, weight):
            return NotImplemented
        shape = (grad.shape[0], weight.shape[1] * groups, *sizes)
        shapes = {"x": shape, "w": weight.shape, "y": grad.shape}
        arrays = {"w": weight, "y": grad}
        return self._run(
            "input", grad.dtype, shapes, arrays, stride, padding, dilation, groups
        )

    def kernels(self) -> Kernels:
        """The kernels by operator."""
        return {
            "_conv": (self.conv, False),
            "_conv_weight": (self.conv_weight, False),
            "_conv_input": (self.conv_input, False),
        }


def _planar(shape: Sequence[int]) -> list[int]:
    """A shape with two dims of places at least."""
    return [*shape[:2], *[1] * (4 - len(shape)), *shape[2:]]
