"""Work on large arrays shared between threads, for code that leaves the GIL alone.

NumPy's functions let go of it while they compute, so that a few threads of Python keep
as many cores busy. ``torch.set_num_threads`` says how many.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from dispatchtorch import _settings

__all__ = ["in_shares"]

_pools: dict[int, Any] = {}
_lock = threading.Lock()


class _Here(threading.local):
    working = False


_here = _Here()


def in_shares(part: Callable[[int, int], None], size: int, step: int) -> None:
    """``part(start, stop)`` of about equal shares of ``range(size)``, one a thread.

    Shares begin at multiples of ``step``, the least that is worth a thread. Inside of a
    share, calls of this function don't split further.
    """
    steps = -(-size // step)
    count = min(_settings.get_num_threads(), steps)
    if count < 2 or _here.working:
        part(0, size)
        return
    share = -(-steps // count) * step
    starts = range(share, size, share)
    pool = _pool(count - 1)
    # Threads have NumPy's error settings, and what else is in a context, from the caller.
    waiting = [
        pool.submit(copy_context().run, _work, part, i, min(i + share, size))
        for i in starts
    ]
    try:
        _work(part, 0, min(share, size))
    finally:
        for each in waiting:
            each.exception()
    for each in waiting:
        each.result()


def _work(part: Callable[[int, int], None], start: int, stop: int) -> None:
    before, _here.working = _here.working, True
    try:
        part(start, stop)
    finally:
        _here.working = before


def _pool(count: int) -> Any:
    with _lock:
        found = _pools.get(count)
        if found is None:
            from concurrent.futures import ThreadPoolExecutor

            if not _pools:  # a process that is forked has none of the threads
                os.register_at_fork(after_in_child=_pools.clear)
            found = _pools[count] = ThreadPoolExecutor(count, "dispatchtorch")
    return found
