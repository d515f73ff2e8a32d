"""The version of the distribution, and of PyTorch whose semantics it follows."""

from __future__ import annotations

__all__ = [
    "__version__",
    "cuda",
    "debug",
    "git_version",
    "hip",
    "pytorch",
    "rocm",
    "xpu",
]

__version__ = "0.1.0"
pytorch = "2.13.0"
cuda = hip = rocm = xpu = None
debug = False
git_version = "unknown"
