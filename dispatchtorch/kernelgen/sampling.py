"""Random numbers on a device: what its generators have in common.

A device brings the kernels (``_draw``) and its counters; parameters are checked, and what
has no kernel is drawn, by the ``cpu`` device's generator.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any, Self

import numpy as np

__all__ = ["DeviceSampler"]


class DeviceSampler:
    """Samplers that take a shape and a NumPy dtype, as those of the ``cpu`` generator do,
    and return native arrays."""

    _backend: Any
    _index: int
    _lock: threading.RLock
    _seed: int
    _offset: int
    _checks: Any = None

    def manual_seed(self, seed: int) -> Self:
        with self._lock:
            self._seed = seed % 2**64
            self._offset = 0
        return self

    def seed(self) -> int:
        value = int.from_bytes(os.urandom(8), "little") >> 1
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        return self._seed

    def get_offset(self) -> int:
        return self._offset

    def _draw(
        self,
        name: str,
        shape: Any,
        host: Any,
        a: float = 0.0,
        b: float = 1.0,
        count: int = 0,
        low: int = 0,
    ) -> Any:
        """An array of numbers of distribution ``name``, drawn on the device."""
        raise NotImplementedError

    def _salt(self, name: str) -> int:
        """What tells the next draw on the host from the ones before."""
        raise NotImplementedError

    def _checked(self, method: str, host: Any, *args: Any) -> None:
        """Parameters and dtypes are refused as on ``cpu``."""
        if self._checks is None:
            self._checks = self._host_engine(0)
        getattr(self._checks, method)((0,), host, *args)

    def _host_engine(self, salt: int) -> Any:
        from dispatchtorch.backend import get_backend

        kind = type(get_backend("cpu").generator(0))
        return kind((self._seed ^ (salt * 0x9E3779B97F4A7C15)) % 2**64)

    def _on_host(self, name: str, *args: Any, **options: Any) -> Any:
        engine = self._host_engine(1 + self._salt(name))
        made = getattr(engine, name)(*args, **options)
        return self._backend.from_host(np.asarray(made), self._index)

    def _complex(self, name: str, shape: Any, dtype: Any, a: Any, b: Any) -> Any:
        """Complex numbers; on the host, unless a device views pairs as such."""
        return self._on_host(name, shape, dtype, a, b)

    def uniform(
        self, shape: Any, dtype: Any, low: float = 0.0, high: float = 1.0
    ) -> Any:
        self._checked("uniform", dtype, low, high)
        if np.dtype(dtype).kind == "c":
            return self._complex("uniform", shape, dtype, low, high)
        return self._draw("uniform", shape, dtype, low, high)

    def normal(
        self,
        shape: Any,
        dtype: Any,
        mean: float = 0.0,
        std: float = 1.0,
        contiguous: bool = True,
    ) -> Any:
        self._checked("normal", dtype, mean, std)
        if np.dtype(dtype).kind == "c":
            return self._complex("normal", shape, dtype, mean, std)
        return self._draw("normal", shape, dtype, mean, std)

    def log_normal(
        self, shape: Any, dtype: Any, mean: float = 1.0, std: float = 2.0
    ) -> Any:
        self._checked("log_normal", dtype, mean, std)
        return self._draw("log_normal", shape, dtype, mean, std)

    def cauchy(
        self, shape: Any, dtype: Any, median: float = 0.0, sigma: float = 1.0
    ) -> Any:
        self._checked("cauchy", dtype, median, sigma)
        return self._draw("cauchy", shape, dtype, median, sigma)

    def exponential(self, shape: Any, dtype: Any, lambd: float = 1.0) -> Any:
        self._checked("exponential", dtype, lambd)
        return self._draw("exponential", shape, dtype, lambd)

    def geometric(self, shape: Any, dtype: Any, p: float) -> Any:
        self._checked("geometric", dtype, p)
        if not 0 < p < 1 or not math.isfinite(p):
            return self._on_host("geometric", shape, dtype, p)
        return self._draw("geometric", shape, dtype, p)

    def bernoulli_scalar(self, shape: Any, dtype: Any, p: float) -> Any:
        self._checked("bernoulli_scalar", dtype, p)
        return self._draw("bernoulli", shape, dtype, p)

    def __getattr__(self, name: str) -> Any:
        """The samplers that draw on the host."""
        if name.startswith("_"):
            raise AttributeError(name)
        if not hasattr(self._host_engine(0), name):
            raise AttributeError(f"{type(self).__name__} has no sampler {name!r}")
        return lambda *args, **options: self._on_host(name, *args, **options)
