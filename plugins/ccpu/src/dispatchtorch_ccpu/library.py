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

__all__ = ["compiler", "library"]

SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = ("-O2", "-ftree-vectorize", "-march=native", "-shared", "-fPIC")
POINTWISE = (
    "add sub mul div floor_divide remainder maximum minimum eq lt le bitwise_or "
    "bitwise_not neg exp log sqrt erf to0 to1 to2 to3 to4 to5 where"
).split()
LOOP = "int, int, const int64_t *, char **, const int64_t *"


def compiler() -> str | None:
    """The C compiler: ``CC`` or ``cc``."""
    return shutil.which(os.environ.get("CC", "cc"))


@cache
def library() -> Any:
    """(ffi, the opened library)."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef("void *malloc(size_t); void free(void *);")
    ffi.cdef("".join(f"int k_{name}({LOOP});" for name in POINTWISE))
    ffi.cdef(
        f"int k_argmax({LOOP}, int64_t, int64_t);"
        f"int k_indexed({LOOP}, int, int64_t *, const int64_t *, int);"
        "int k_bmm(int, char **, int64_t, int64_t, int64_t, int64_t);"
    )
    return ffi, ffi.dlopen(str(_compiled()))


def _compiled() -> Path:
    mark = hashlib.sha256(SOURCE.read_bytes() + repr((compiler(), FLAGS)).encode())
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    path = folder / "dispatchtorch-ccpu" / f"kernels-{mark.hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / "kernels.so"
            command = [str(compiler()), *FLAGS, "-o", str(made), str(SOURCE), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True)
            made.replace(path)  # at once, so that no other process sees half of it
    return path
