"""NVRTC by its C interface: compiles CUDA C++ where there is no GPU."""

from __future__ import annotations

import ctypes
import glob
import site
import sys
from ctypes.util import find_library
from functools import cache
from pathlib import Path

__all__ = ["compile_cuda", "missing"]


def _folders() -> list[str]:
    made = [*site.getsitepackages(), *sys.path]
    return [f for f in dict.fromkeys(made) if f and Path(f).is_dir()]


@cache
def _library() -> ctypes.CDLL | None:
    names = []
    for folder in _folders():
        names += glob.glob(f"{folder}/nvidia/*/lib/libnvrtc.so.1*")
    names += glob.glob("/usr/local/cuda*/lib64/libnvrtc.so.1*")
    found = find_library("nvrtc")
    names += [found] if found else []
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def missing() -> str:
    """Why NVRTC can't be used; empty where it can."""
    return "" if _library() else "libnvrtc isn't installed (nvidia-cuda-nvrtc-cu12)"


def compile_cuda(code: str, arch: str) -> str:
    """Compiles a source for an architecture ("sm_90"); gives the log of a failure."""
    library = _library()
    assert library is not None
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(
        ctypes.byref(program), code.encode(), b"kernels.cu", 0, None, None
    )
    options = [f"--gpu-architecture={arch}".encode(), b"-std=c++17", b"--fmad=true"]
    given = (ctypes.c_char_p * len(options))(*options)
    failed = library.nvrtcCompileProgram(program, len(options), given)
    log = ""
    if failed:
        size = ctypes.c_size_t()
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, buffer)
        log = buffer.value.decode() or f"NVRTC error {failed}"
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return log
