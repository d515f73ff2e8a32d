"""Why there is no CUDA device here, if there is none: each cause with what helps.

Imports CuPy only inside functions, and nothing of the rest of the package.
"""

from __future__ import annotations

from typing import Any

__all__ = ["LEAST_CUPY", "find"]

LEAST_CUPY = 13

_PACKAGES = "pip install cupy-cuda12x (or cupy-cuda13x for a driver of CUDA 13)"


def find() -> tuple[Any, int, str]:
    """(the module cupy, the number of devices, why there is none or "")."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "cupy":
            return None, 0, f"CuPy isn't installed: {_PACKAGES}"
        return None, 0, f"CuPy can't be imported ({error}): {_PACKAGES}"
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        words = f"{type(error).__name__}: {' '.join(first)}"
        return None, 0, f"CuPy can't be imported ({words}): reinstall it, {_PACKAGES}"
    version = getattr(cupy, "__version__", "0")
    if int(version.partition(".")[0]) < LEAST_CUPY:
        return (
            None,
            0,
            f"CuPy {version} is too old, {LEAST_CUPY} is needed: {_PACKAGES}",
        )
    return _with_driver(cupy)


def _with_driver(cupy: Any) -> tuple[Any, int, str]:
    runtime = cupy.cuda.runtime
    try:
        driver = int(runtime.driverGetVersion())
    except Exception:
        driver = 0
    if not driver:
        return (
            cupy,
            0,
            "no NVIDIA driver (libcuda.so.1) on this machine: install the driver of a "
            "GPU that is there (https://www.nvidia.com/drivers), or use 'cpu'",
        )
    try:
        count = int(runtime.getDeviceCount())
    except Exception as error:
        if "InsufficientDriver" in str(error):
            ours = int(runtime.runtimeGetVersion())
            return (
                cupy,
                0,
                f"the NVIDIA driver is for CUDA {_words(driver)}, CuPy needs "
                f"{_words(ours)}: update the driver, or install the CuPy of its version",
            )
        if "NoDevice" not in str(error):
            return cupy, 0, f"CUDA doesn't start: {error}"
        count = 0
    if not count:
        return (
            cupy,
            0,
            f"an NVIDIA driver (CUDA {_words(driver)}) but no device: check nvidia-smi "
            "and CUDA_VISIBLE_DEVICES",
        )
    return cupy, count, ""


def _words(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
