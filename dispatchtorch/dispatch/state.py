"""Thread-local state of dispatch: which layers are masked out or switched on.

Generated entry functions run with this module as their globals. ``ACTIVE`` holds an item
for each thread whose state isn't the default; while it is empty, a call doesn't look at
thread-local storage at all. It is a list since its append and pop are atomic.
"""

from __future__ import annotations

import threading
from typing import Any

from dispatchtorch.dispatch.keys import AUTOGRAD, INFERENCE_MODE, VIEW

__all__ = ["ACTIVE", "exclude", "restore", "switch", "tls", "update"]


class _ThreadState(threading.local):
    mask = -1
    include = 0
    devices: tuple[Any, ...] = ()  # `with torch.device(...)` blocks
    function_modes: tuple[Any, ...] = ()
    functions_disabled = False  # neither modes nor operands are asked
    dispatch_modes: tuple[Any, ...] = ()
    partial_backward = False  # inside a backward pass to chosen inputs
    saved_tensor_hooks: tuple[Any, ...] = ()
    after_backward: tuple[Any, ...] = ()  # what to call when this backward pass ends


tls = _ThreadState()
ACTIVE: list[None] = []


def update(mask: int, include: int) -> tuple[int, int]:
    """Sets this thread's masks; returns the ones before, for ``restore``."""
    before = tls.mask, tls.include
    switch(before[0], before[1], mask, include)
    return before


def switch(old_mask: int, old_include: int, mask: int, include: int) -> None:
    """As ``update``, where the caller knows what is set."""
    if mask != old_mask:
        tls.mask = mask
    if include != old_include:
        tls.include = include
    if mask != -1 or include:
        if old_mask == -1 and not old_include:
            ACTIVE.append(None)
    elif old_mask != -1 or old_include:
        ACTIVE.pop()


def restore(before: tuple[int, int]) -> None:
    update(before[0], before[1])


class exclude:
    """A block in which the layers of ``keys`` are masked out for this thread."""

    __slots__ = ("before", "keys")

    def __init__(self, keys: int) -> None:
        self.keys = keys

    def __enter__(self) -> None:
        self.before = update(tls.mask & ~self.keys, tls.include & ~self.keys)

    def __exit__(self, *exc_info: object) -> None:
        update(*self.before)


def grad_enabled() -> bool:
    return bool(tls.mask & AUTOGRAD)


def set_grad_enabled(enabled: bool) -> bool:
    """Masks autograd in or out for this thread; returns what was set before."""
    before = bool(tls.mask & AUTOGRAD)
    if before is not enabled:
        # A view's history matters only where history is recorded.
        update(tls.mask ^ (AUTOGRAD | VIEW), tls.include)
    return before


def inference_enabled() -> bool:
    return bool(tls.include & INFERENCE_MODE)
