"""The version of the distribution, and of PyTorch whose semantics it follows."""

from __future__ import annotations

__all__ = ["__version__", "cuda", "git_version", "pytorch"]

__version__ = "0.1.0"
pytorch = "2.13.0"
cuda = None
git_version = "unknown"
