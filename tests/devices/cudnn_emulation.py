"""The part of cuDNN's C interface that convolutions use, over addresses, by NumPy."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["EmulatedCudnn"]

_TYPES = {0: "f4", 1: "f8", 2: "f2", 9: ml_dtypes.bfloat16}


class EmulatedCudnn:
    """Functions of the library's names; descriptors are numbers behind the pointers."""

    def __init__(self) -> None:
        self.described: dict[int, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.refused: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("cudnnCreate"):
            return self._create
        if name.endswith("Algorithm_v7"):
            return self._heuristics
        if name.endswith("WorkspaceSize"):
            return self._workspace
        raise AttributeError(name)

    def _create(self, pointer: Any) -> int:
        made = len(self.described) + 1
        self.described[made] = {}
        pointer._obj.value = made
        return 0

    def _of(self, descriptor: Any) -> dict[str, Any]:
        return self.described[descriptor.value]

    def cudnnSetStream(self, handle: Any, stream: Any) -> int:
        return 0

    def cudnnSetTensorNdDescriptor(
        self, made: Any, kind: int, dims: int, sizes: Any, steps: Any
    ) -> int:
        assert 4 <= dims == len(sizes) == len(steps)
        self._of(made).update(kind=kind, shape=list(sizes), steps=list(steps))
        return 0

    def cudnnSetFilterNdDescriptor(
        self, made: Any, kind: int, layout: int, dims: int, sizes: Any
    ) -> int:
        assert layout == 0 and 4 <= dims == len(sizes)
        self._of(made).update(kind=kind, shape=list(sizes))
        return 0

    def cudnnSetConvolutionNdDescriptor(
        self, made: Any, dims: int, padding: Any, stride: Any, dilation: Any,
        mode: int, kind: int,
    ) -> int:  # fmt: skip
        assert mode == 1 and dims == len(padding) == len(stride) == len(dilation)
        self._of(made).update(
            padding=list(padding), stride=list(stride), dilation=list(dilation),
            compute=kind,
        )  # fmt: skip
        return 0

    def cudnnSetConvolutionGroupCount(self, made: Any, groups: int) -> int:
        self._of(made)["groups"] = groups
        return 0

    def cudnnSetConvolutionMathType(self, made: Any, math: int) -> int:
        self._of(made)["math"] = math
        return 0

    def _heuristics(self, *args: Any) -> int:
        convolution, count, found = args[3], args[6], args[7]
        found[0].status = 9  # an algorithm that isn't supported
        found[1].algorithm = 1
        found[1].math = self._of(convolution)["math"]
        found[1].determinism = 1
        count._obj.value = 2
        return 0

    def _workspace(self, *args: Any) -> int:
        assert args[5] == 1
        args[6]._obj.value = 64
        return 0

    def _array(self, descriptor: Any, address: Any) -> Any:
        of = self._of(descriptor)
        host = np.dtype(_TYPES[of["kind"]])
        count = int(np.prod(of["shape"]))
        memory = (ctypes.c_char * (count * host.itemsize)).from_address(address.value)
        return np.ndarray(of["shape"], host, np.frombuffer(memory, "uint8").data)

    def _parts(self, name: str, args: Any) -> Any:
        """x, w, y, what is written, and each element of windows with its place."""
        self.calls.append(name)
        kind = ctypes.c_double if args[1]._obj.__class__ is ctypes.c_double else None
        assert args[1]._obj.value == 1 and args[10]._obj.value == 0
        arrays = [self._array(args[i], args[j]) for i, j in ((2, 3), (4, 5), (11, 12))]
        of = self._of(args[6])
        assert args[7] == 1 and args[9].value == 64 and args[8].value
        assert (kind is not None) == (arrays[0].dtype == np.float64)
        assert of["compute"] == int(arrays[0].dtype == np.float64)
        return arrays, of

    @staticmethod
    def _windows(x: Any, w: Any, y: Any, of: Any) -> Any:
        """(place in the kernel, the elements of padded x that meet it)."""
        padded = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in of["padding"]]])
        for place in itertools.product(*[range(k) for k in w.shape[2:]]):
            at = tuple(
                slice(i * d, i * d + (m - 1) * s + 1, s)
                for i, d, m, s in zip(
                    place, of["dilation"], y.shape[2:], of["stride"], strict=True
                )
            )
            yield place, padded, (slice(None), slice(None), *at)

    def _grouped(self, x: Any, w: Any, y: Any, of: Any) -> Any:
        """The three, by groups, with their slices of channels."""
        groups = of["groups"]
        c, o = x.shape[1] // groups, y.shape[1] // groups
        assert w.shape[:2] == (o * groups, c)
        for g in range(groups):
            yield slice(g * c, g * c + c), slice(g * o, g * o + o)

    def cudnnConvolutionForward(self, *args: Any) -> int:
        if "forward" in self.refused:
            return 3000
        (x, w, y), of = self._parts("forward", args)
        wide = np.zeros(y.shape, "f8")
        for cs, os in self._grouped(x, w, y, of):
            part, kernel = x[:, cs].astype("f8"), w[os].astype("f8")
            for place, padded, at in self._windows(part, w, y, of):
                wide[:, os] += np.einsum(
                    "nc...,oc->no...", padded[at], kernel[(..., *place)]
                )
        y[...] = wide.astype(y.dtype)
        return 0

    def cudnnConvolutionBackwardFilter(self, *args: Any) -> int:
        (x, y, w), of = self._parts("weight", args)
        wide = np.zeros(w.shape, "f8")
        for cs, os in self._grouped(x, w, y, of):
            part, grad = x[:, cs].astype("f8"), y[:, os].astype("f8")
            for place, padded, at in self._windows(part, w, y, of):
                rows = (*grad.shape[:2], -1)
                window = padded[at].reshape(len(x), -1, np.prod(y.shape[2:]))
                wide[(os, slice(None), *place)] += np.einsum(
                    "ncp,nop->oc", window, grad.reshape(rows)
                )
        w[...] = wide.astype(w.dtype)
        return 0

    def cudnnConvolutionBackwardData(self, *args: Any) -> int:
        (w, y, x), of = self._parts("input", args)
        inside = tuple(
            slice(p, p + n) for p, n in zip(of["padding"], x.shape[2:], strict=True)
        )
        for cs, os in self._grouped(x, w, y, of):
            grad, kernel = y[:, os].astype("f8"), w[os].astype("f8")
            total: Any = None
            for place, padded, at in self._windows(np.zeros(x[:, cs].shape), w, y, of):
                total = padded if total is None else total
                total[at] += np.einsum("no...,oc->nc...", grad, kernel[(..., *place)])
            x[:, cs] = total[(slice(None), slice(None), *inside)].astype(x.dtype)
        return 0
