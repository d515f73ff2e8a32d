"""CUDA C++ kernels on the CPU: compiled by the host's C++ compiler over an emulator.

``EmulatedRuntime`` stands where the CuPy runtime stands on a GPU: the launch code is the
same, arrays are NumPy's. Memory of results has guards around it that every launch checks.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from dispatchtorch_cupy.kernels.runtime import Runtime

__all__ = ["COMPILER", "EmulatedRuntime"]

COMPILER = shutil.which("g++") or shutil.which("clang++")
_HEADER = Path(__file__).with_name("cuda_emulator.h")
_GUARD = 64
_MARK = "// END OF PRELUDE"


class Constant:
    """A struct passed by value."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array


class EmulatedRuntime(Runtime):
    """NumPy arrays, and kernels run by the emulator."""

    units = 3  # few, so that small tests divide work too

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.xp = np
        name = f"dispatchtorch-emulated-{os.getuid()}"
        self.folder = folder or Path(tempfile.gettempdir()) / name
        self.folder.mkdir(exist_ok=True)
        self.launches = 0
        #: Every source that was compiled, by its hash.
        self.sources: dict[str, str] = {}
        self.words = np.zeros(2, "int64")
        self._guarded: list[Any] = []

    def compile(self, code: str, name: str) -> Any:
        prelude, mark, own = code.partition(_MARK)
        fibers = any(word in own for word in ("__sync", "_reduce", "__shfl"))
        header = self._header(prelude + mark)
        source = (
            f'#include "{header.name}"\n{own}\nEMULATED_ENTRY({name}, {int(fibers)})\n'
        )
        key = hashlib.sha256((header.name + source).encode()).hexdigest()[:24]
        self.sources[key] = code
        library = self.folder / f"{key}.so"
        if not library.exists():
            text = self.folder / f"{key}.{os.getpid()}.cpp"
            text.write_text(source)
            self._compiler(library, "-shared", str(text))
            text.unlink()
        entry = ctypes.CDLL(str(library)).entry
        entry.restype = ctypes.c_char_p

        def launch(grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
            self.run(entry, name, grid, block, args, shared_mem)

        return launch

    def _header(self, prelude: str) -> Path:
        """Emulator and prelude as a header that was compiled beforehand."""
        text = _HEADER.read_text() + prelude
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        header = self.folder / f"emulator-{key}.h"
        made = self.folder / f"{header.name}.gch"
        if not made.exists():
            header.write_text(text)
            self._compiler(made, "-x", "c++-header", str(header))
        return header

    def _compiler(self, result: Path, *args: str) -> None:
        made = result.with_suffix(f".{os.getpid()}")
        # fmt: off
        done = subprocess.run(
            [str(COMPILER), "-std=c++17", "-O1", "-fPIC", "-w", "-fno-strict-aliasing",
             "-ffp-contract=off", f"-I{self.folder}", *args, "-o", str(made)],
            capture_output=True, text=True, check=False,
        )
        # fmt: on
        if done.returncode:
            raise RuntimeError(f"{result.name}: {done.stderr[:4000]}")
        made.replace(result)

    def run(
        self, entry: Any, name: str, grid: Any, block: Any, args: Any, shared: int
    ) -> None:
        assert shared <= 1 << 18
        self.launches += 1
        count = len(args)
        pointers = (ctypes.c_void_p * count)()
        sizes = (ctypes.c_long * count)()
        kept: list[Any] = []
        for i, each in enumerate(args):
            if each is None:
                value: Any = np.zeros(1, "uint64")
            elif isinstance(each, Constant):
                value = each.array
            elif isinstance(each, np.generic):
                value = np.asarray(each).reshape(1)
            elif (
                isinstance(each, np.ndarray)
                and each.dtype.kind == "V"
                and (each.dtype.itemsize > 15)
            ):
                value = each  # a struct of this one launch
            elif isinstance(each, np.ndarray):
                value = np.array([each.__array_interface__["data"][0]], "uint64")
            else:
                raise TypeError(f"{name} was given {each!r} as argument {i}")
            kept.append(value)
            pointers[i] = value.__array_interface__["data"][0]
            sizes[i] = value.nbytes
        wide = [(ctypes.c_uint * 3)(*(*each, 1, 1)[:3]) for each in (grid, block)]
        assert min(*grid, *block) > 0, (name, grid, block)
        failed = entry(*wide, pointers, sizes, count)
        if failed:
            raise RuntimeError(
                f"{name} with grid {grid}, block {block}: {failed.decode()}"
            )
        self._check_guards(name)

    def constant(self, layout: str, *values: Any) -> Any:
        return Constant(super().constant(layout, *values))

    def empty(self, shape: tuple[int, ...], host: Any) -> Any:
        size = int(np.prod(shape)) * np.dtype(host).itemsize
        memory = np.full(size + 2 * _GUARD, 0xA5, "uint8")
        start = -memory.__array_interface__["data"][0] % 16
        first = _GUARD - 16 + start
        made = np.ndarray(shape, host, memory.data, first)
        self._guarded.append((weakref.ref(made), weakref.ref(memory), first, size))
        return made

    def zeros(self, shape: tuple[int, ...], host: Any) -> Any:
        made = self.empty(shape, host)
        made.view("uint8" if made.ndim else made.dtype)[...] = 0
        return made

    def _check_guards(self, name: str) -> None:
        alive = []
        for each in self._guarded:
            memory = each[1]()
            if memory is None:
                continue
            alive.append(each)
            first, size = each[2:]
            if (memory[:first] != 0xA5).any() or (memory[first + size :] != 0xA5).any():
                raise RuntimeError(f"{name} wrote outside of an array")
        self._guarded = alive[-64:]

    def flag(self) -> Any:
        return np.uint64(self.words.__array_interface__["data"][0])

    def reported(self) -> tuple[int, int] | None:
        if not self.words[0]:
            return None
        found = int(self.words[0]), int(self.words[1])
        self.words[:] = 0
        return found
