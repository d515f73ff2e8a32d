"""What kernels are launched with: compiled functions, memory, and arguments by value.

A kernel is a function of a CUDA source with some names defined (types, sizes). It takes
arrays, then one struct by value (:func:`arguments`), which a plan keeps ready: a launch
converts nothing but the arrays.
"""

from __future__ import annotations

import operator
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dispatchtorch.kernelgen.geometry import magic

__all__ = [
    "CupyRuntime",
    "Runtime",
    "Steps",
    "arguments",
    "kernel_alone",
    "packed",
    "source_of",
]

Launch = Callable[..., None]
Failure = Callable[[int], Exception]


@cache
def source_of(name: str) -> str:
    """The text of a CUDA source of this package."""
    return (Path(__file__).parent / "cuda" / name).read_text(encoding="utf-8")


_KERNEL = re.compile(r"^KERNEL (\w+)\(.*?^\}\n", re.MULTILINE | re.DOTALL)


def kernel_alone(source: str, name: str) -> str:
    """A source without its kernels but one, which is compiled in a part of the time."""
    return _KERNEL.sub(lambda found: found[0] if found[1] == name else "", source)


def packed(layout: str, *values: Any) -> bytes:
    """The bytes of a C struct (``layout`` as in module struct, aligned as C does)."""
    made = struct.pack("@" + layout, *values)
    return made + bytes(-len(made) % 16)


def arguments(layout: str, *values: Any) -> np.ndarray[Any, Any]:
    """A C struct as a kernel's argument by value."""
    data = packed(layout, *values)
    return np.frombuffer(data, np.dtype((np.void, len(data))))


class Steps:
    """Dims as ``Steps32`` or ``Steps64`` of the prelude, sizes outermost first."""

    __slots__ = ("layout", "type", "values")

    def __init__(
        self, sizes: Sequence[int], strides: Sequence[int], narrow: bool
    ) -> None:
        count = len(sizes)
        values: list[int] = []
        for n in reversed(sizes):
            values += magic(max(n, 1)) if narrow else (n,)
        self.values = [*values, *reversed(strides)]
        self.layout = f"{3 * count}I{count}i" if narrow else f"0q{2 * count}q"
        self.type = f"Steps{32 if narrow else 64}<{count}>"


class Runtime:
    """What the kernels ask of an array library; subclasses launch.

    Functions that were compiled are kept by (source, function, definitions).
    """

    xp: Any
    #: Whether an array is row-major.
    is_dense: Callable[[Any], bool] = staticmethod(lambda x: x.flags.c_contiguous)
    #: Multiprocessors, by which work is divided.
    units = 132

    def __init__(self) -> None:
        self._functions: dict[Any, Launch] = {}
        self._failures: dict[int, Failure] = {}

    # Programs.

    def function(self, source: str, name: str, **defined: Any) -> Launch:
        """``launch(grid, block, args)`` of kernel ``name`` in a source of the package."""
        key = (source, name, *defined.items())
        found = self._functions.get(key)
        if found is None:
            code = self.program(defined, kernel_alone(source_of(source), name))
            found = self._functions[key] = self.compile(code, name)
        return found

    def generated(self, code: str, name: str) -> Launch:
        """As :meth:`function`, of a source that was generated."""
        return self.compile(self.program({}, code), name)

    @staticmethod
    def program(defined: Mapping[str, Any], code: str) -> str:
        """A whole source: definitions, the prelude, the code."""
        lines = [f"#define {name} {value}" for name, value in defined.items()]
        return "\n".join([source_of("prelude.cuh"), *lines, code])

    def compile(self, code: str, name: str) -> Launch:
        raise NotImplementedError

    # Arguments.

    def constant(self, layout: str, *values: Any) -> Any:
        """A struct by value that is kept and passed many times."""
        return arguments(layout, *values)

    # Memory.

    def empty(self, shape: tuple[int, ...], host: Any) -> Any:
        return self.xp.empty(shape, host)

    def zeros(self, shape: tuple[int, ...], host: Any) -> Any:
        return self.xp.zeros(shape, host)

    def upload(self, values: np.ndarray[Any, Any]) -> Any:
        """A copy of a vector on the device, and what must live as long as it is read."""
        return self.xp.asarray(values), None

    def empty_strided(
        self, shape: tuple[int, ...], strides: tuple[int, ...], host: Any
    ) -> Any:
        """A new array whose strides (in elements) fill their memory without gaps."""
        order = sorted(range(len(shape)), key=lambda d: (-strides[d], -shape[d]))
        made = self.empty(tuple([shape[d] for d in order]), host)
        return made.transpose(sorted(range(len(shape)), key=order.__getitem__))

    def contiguous(self, x: Any) -> Any:
        """The array, or a row-major copy of it."""
        return self.xp.ascontiguousarray(x)

    def index(self, x: Any) -> int:
        """The device that an array lies on."""
        return 0

    def current_device(self) -> int:
        return 0

    def current_stream(self) -> int:
        """The address of the stream that work is put into."""
        return 0

    def address(self, x: Any) -> int:
        """Where the first element lies."""
        return int(x.__array_interface__["data"][0])

    def aligned(self, x: Any) -> Any:
        """As :meth:`contiguous`, at an address that 16 divides."""
        dense = self.contiguous(x)
        return dense if self.address(dense) % 16 == 0 else dense.copy()

    def strides(self, x: Any) -> tuple[int, ...]:
        """Strides in elements."""
        size = x.dtype.itemsize
        return tuple([s // size for s in x.strides])

    # Indices out of range, found by kernels.

    def flag(self) -> Any:
        """The argument (two int64) that kernels report a wrong index to."""
        raise NotImplementedError

    def expect(self, failure: Failure) -> int:
        """The code under which a kernel reports indices that ``failure`` tells of."""
        code = len(self._failures) % 65536 + 1
        self._failures[code] = failure
        return code

    def check(self) -> None:
        """Raises what a kernel reported. Only reads host memory; wait for it before."""
        found = self.reported()
        if found is not None:
            code, index = found
            failure = self._failures.get(code)
            if failure is None:
                raise IndexError(f"index {index} is out of range")
            raise failure(index)

    def reported(self) -> tuple[int, int] | None:
        """The (code, index) that a kernel reported since the last call."""
        raise NotImplementedError


class CupyRuntime(Runtime):
    """CuPy: NVRTC compiles, and keeps what it compiled on disk."""

    is_dense = operator.attrgetter("_c_contiguous")

    def __init__(self, xp: Any) -> None:
        super().__init__()
        self.xp = xp
        self._flag: Any = None
        self._single: bool | None = None

    @property
    def units(self) -> int:  # type: ignore[override]
        found = self.__dict__.get("_units")
        if found is None:
            device = self.xp.cuda.Device()
            found = device.attributes["MultiProcessorCount"]
            self.__dict__["_units"] = found
        return int(found)

    def compile(self, code: str, name: str) -> Launch:
        raw = self.xp.RawKernel(code, name, options=("-std=c++17",))
        if self._single is None:
            self._single = self.xp.cuda.runtime.getDeviceCount() == 1
        # Of several devices, each has a function of its own, which RawKernel looks up.
        return raw.kernel if self._single else raw  # type: ignore[no-any-return]

    def constant(self, layout: str, *values: Any) -> Any:
        made = arguments(layout, *values)
        module = getattr(self.xp.cuda, "function", None)
        by_value = getattr(module, "CNumpyArray", None)
        return made if by_value is None else by_value(made)

    def empty_strided(
        self, shape: tuple[int, ...], strides: tuple[int, ...], host: Any
    ) -> Any:
        memory = self.xp.empty(shape, host)
        size = memory.dtype.itemsize
        steps = tuple([s * size for s in strides])
        return self.xp.ndarray(shape, host, memory.data, steps)

    def empty(self, shape: tuple[int, ...], host: Any) -> Any:
        return self.xp.ndarray(shape, host)

    def contiguous(self, x: Any) -> Any:
        return x if x._c_contiguous else self.xp.ascontiguousarray(x)

    def index(self, x: Any) -> int:
        return x.data.device_id  # type: ignore[no-any-return]

    def upload(self, values: np.ndarray[Any, Any]) -> Any:
        # From pinned memory: a graph that is captured reads it again.
        made = self.xp.ndarray(values.shape, values.dtype)
        memory = self.xp.cuda.alloc_pinned_memory(max(values.nbytes, 1))
        np.frombuffer(memory, values.dtype, values.size)[:] = values
        made.data.copy_from_host_async(memory.ptr, values.nbytes)
        return made, memory

    def current_device(self) -> int:
        if self._single:
            return 0
        return int(self.xp.cuda.runtime.getDevice())

    def current_stream(self) -> int:
        return int(self.xp.cuda.get_current_stream().ptr)

    def address(self, x: Any) -> int:
        return x.data.ptr  # type: ignore[no-any-return]

    def flag(self) -> Any:
        if self._flag is None:
            # Pinned memory, which kernels write and the host reads without waiting.
            self._memory = self.xp.cuda.alloc_pinned_memory(16)
            self._words = np.frombuffer(self._memory, np.int64, 2)
            self._words[:] = 0
            self._flag = self.constant("Q", self._memory.ptr)
        return self._flag

    def reported(self) -> tuple[int, int] | None:
        if self._flag is None or not self._words[0]:
            return None
        found = int(self._words[0]), int(self._words[1])
        self._words[:] = 0
        return found
