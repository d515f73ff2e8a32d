"""Writes down what CuPy has: names, loops of ufuncs, and parameters (``cupy_api.json``).

    python tests/devices/cuda/record_cupy.py        where CuPy is installed; no GPU needed

The stand-in has nothing that isn't in the record, and refuses dtypes that CuPy has no
loop for.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

MODULES = (
    "cupy", "cupy.cuda", "cupy.cuda.memory", "cupy.cuda.runtime", "cupy.cuda.device",
    "cupy.fft", "cupy.linalg", "cupyx", "cupyx.scipy.special", "cupyx.scipy.linalg",
    "cupy_backends.cuda.libs.cublas",
)  # fmt: skip
CLASSES = {
    "cupy.ndarray": "cupy", "cupy.cuda.MemoryPointer": "cupy.cuda",
    "cupy.cuda.Stream": "cupy.cuda", "cupy.cuda.Event": "cupy.cuda",
    "cupy.cuda.Device": "cupy.cuda", "cupy.cuda.MemoryPool": "cupy.cuda",
    "cupy.cuda.PinnedMemoryPointer": "cupy.cuda", "cupy.RawKernel": "cupy",
}  # fmt: skip
TARGET = Path(__file__).with_name("cupy_api.json")


def parameters(value: Any) -> list[str] | None:
    """Names of a callable's parameters; None where nobody tells."""
    try:
        return [
            str(p).partition(":")[0].partition("=")[0].strip()
            for p in inspect.signature(value).parameters.values()
        ]
    except (TypeError, ValueError):
        return None


def record() -> dict[str, Any]:
    import cupy

    modules: dict[str, Any] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        modules[name] = {
            each: parameters(getattr(module, each))
            for each in sorted(dir(module))
            if not each.startswith("_")
        }
    classes = {}
    for name in CLASSES:
        found: Any = cupy
        for part in name.split(".")[1:]:
            found = getattr(found, part)
        classes[name] = sorted(
            n for n in dir(found) if not n.startswith("__") or n == "__init__"
        )
    ufuncs = {}
    for module_name in ("cupy", "cupyx.scipy.special"):
        module = importlib.import_module(module_name)
        for each in sorted(dir(module)):
            found = getattr(module, each)
            if type(found) is cupy.ufunc:
                ufuncs[f"{module_name}.{each}"] = sorted(found.types)
    return {
        "version": cupy.__version__,
        "modules": modules,
        "classes": classes,
        "ufuncs": ufuncs,
    }


if __name__ == "__main__":
    text = json.dumps(record(), indent=0, sort_keys=True)
    TARGET.write_text(text + "\n", encoding="utf-8")
    print(f"{TARGET}: {len(text)} bytes")
