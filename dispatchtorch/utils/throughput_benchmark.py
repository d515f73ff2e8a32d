"""How many calls of a module several threads get through in a second."""

from __future__ import annotations

import threading
import time
from typing import Any

__all__ = ["ExecutionStats", "ThroughputBenchmark", "format_time"]

_UNITS = (("s", 1e6), ("ms", 1e3), ("us", 1.0))


def format_time(
    time_us: float | None = None,
    time_ms: float | None = None,
    time_s: float | None = None,
) -> str:
    """A time, given in one of three units, in the largest that leaves a digit before the
    point. AssertionError unless exactly one is given."""
    given = [(time_us, 1.0), (time_ms, 1e3), (time_s, 1e6)]
    known = [value * factor for value, factor in given if value is not None]
    if len(known) != 1:
        raise AssertionError(
            "format_time takes exactly one of time_us, time_ms, time_s"
        )
    for unit, size in _UNITS:
        if known[0] >= size or unit == "us":
            return f"{known[0] / size:.3f}{unit}"
    raise AssertionError("unreachable")


class ExecutionStats:
    """What a benchmark measured."""

    def __init__(self, latency_ms: float, num_iters: int, total_s: float) -> None:
        self._latency, self._iters, self._total = latency_ms, num_iters, total_s

    @property
    def latency_avg_ms(self) -> float:
        """The mean time of a call."""
        return self._latency

    @property
    def num_iters(self) -> int:
        """The number of calls."""
        return self._iters

    @property
    def iters_per_second(self) -> float:
        """Calls of all threads in a second."""
        return self.num_iters / self.total_time_seconds

    @property
    def total_time_seconds(self) -> float:
        """The time of the whole run."""
        return self._total

    def __str__(self) -> str:
        return "\n".join(
            [
                f"Average latency per example: {format_time(time_ms=self.latency_avg_ms)}",
                f"Total number of iterations: {self.num_iters}",
                f"Total number of iterations per second (across all threads): "
                f"{self.iters_per_second:.2f}",
                f"Total time: {format_time(time_s=self.total_time_seconds)}",
            ]
        )

    __repr__ = __str__


class ThroughputBenchmark:
    """Calls a module from several threads with the inputs that were added, in turn."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._inputs: list[tuple[Any, Any]] = []

    def add_input(self, *args: Any, **kwargs: Any) -> None:
        """Adds the arguments of a call."""
        self._inputs.append((args, kwargs))

    def run_once(self, *args: Any, **kwargs: Any) -> Any:
        """One call, with these arguments."""
        return self._module(*args, **kwargs)

    def benchmark(
        self,
        num_calling_threads: int = 1,
        num_warmup_iters: int = 10,
        num_iters: int = 100,
        profiler_output_path: str = "",
    ) -> ExecutionStats:
        """Runs ``num_iters`` calls in all and measures them."""
        if profiler_output_path:
            raise NotImplementedError("profiler_output_path isn't supported")
        if not self._inputs:
            raise RuntimeError("add_input() has to be called before benchmark()")
        spent = [0.0] * num_calling_threads
        ready = threading.Barrier(num_calling_threads + 1)
        shares = [
            num_iters // num_calling_threads + (n < num_iters % num_calling_threads)
            for n in range(num_calling_threads)
        ]

        def call(n: int) -> None:
            args, kwargs = self._inputs[n % len(self._inputs)]
            self._module(*args, **kwargs)

        def work(thread: int) -> None:
            for n in range(num_warmup_iters):
                call(n)
            ready.wait()
            start = time.perf_counter()
            for n in range(shares[thread]):
                call(n)
            spent[thread] = time.perf_counter() - start

        threads = [
            threading.Thread(target=work, args=(n,)) for n in range(num_calling_threads)
        ]
        for thread in threads:
            thread.start()
        ready.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        total = time.perf_counter() - start
        return ExecutionStats(1e3 * sum(spent) / max(num_iters, 1), num_iters, total)
