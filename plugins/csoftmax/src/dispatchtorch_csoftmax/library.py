"""Compiles ``kernels.c`` on first use, and opens the library with cffi."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "library"]

NAMES = ("softmax", "log_softmax", "silu")
SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = (
    *("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"),
    *("-shared", "-fPIC"),
)


@cache
def library() -> Any:
    """(ffi, the opened library). Raises RuntimeError where it can't be compiled."""
    from cffi import FFI

    ffi = FFI()
    for name in NAMES:
        ffi.cdef(f"void {name}(const float *, float *, int64_t, int64_t);")
    return ffi, ffi.dlopen(str(_compiled()))


def _compiled() -> Path:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise RuntimeError("there is no C compiler; install one, or name it in CC")
    mark = hashlib.sha256(SOURCE.read_bytes() + repr((compiler, FLAGS)).encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    path = folder / "dispatchtorch-csoftmax" / f"kernels-{mark.hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / "kernels.so"
            command = [compiler, *FLAGS, "-o", str(made), str(SOURCE), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{compiler} failed: {done.stderr}")
            made.replace(path)  # at once, so that no other process sees half of it
    return path
