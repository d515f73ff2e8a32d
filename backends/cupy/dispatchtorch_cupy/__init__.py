"""The ``cuda`` device: NVIDIA GPUs, on CuPy.

Importable where there is neither CuPy nor a GPU; the device is unavailable then and says
why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["plugin"]


class _Plugin:
    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {
            "device": "cuda",
            "api": (1, 1),
            "dtypes": (
                "bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32",
                "uint64", "float16", "bfloat16", "float32", "float64", "complex64",
                "complex128",
            ),
            "install": "pip install 'dispatchtorch-cupy[cuda12]' (or [cuda13])",
            "summary": "NVIDIA GPUs, on CuPy",
        }  # fmt: skip

    def dispatchtorch_register_device(self, register: Callable[[Any], None]) -> None:
        from dispatchtorch_cupy.device import CudaBackend

        register(CudaBackend())

    def dispatchtorch_device_report(self, device: str) -> dict[str, object] | None:
        if device != "cuda":
            return None
        from dispatchtorch.backend import get_backend

        backend: Any = get_backend("cuda")
        return backend.report()  # type: ignore[no-any-return]


plugin = _Plugin()
