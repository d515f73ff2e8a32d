# ruff: noqa: F401, F403, N803, ARG001
"""The stand-in as ``cupy``; see ``cupy_standin``."""

import cupy_standin as _standin
from cupy_standin import *  # noqa: F403
from cupy_standin import UFUNCS, RawKernel, ndarray, ufunc

from . import cuda, fft, linalg

__version__ = "14.2.0"
globals().update(UFUNCS)
