"""Streams and events: a command queue with the memory it frees, and markers in it.

Memory belongs to the queue that it was allocated for, and goes back to that queue's pool:
the queue is in order, so that whoever takes it next comes after the last kernel that used
it. Work of other queues has to be told of (``Runtime.used_by``).
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pyopencl as cl
from pyopencl.tools import ImmediateAllocator, MemoryPool

__all__ = ["CurrentQueue", "Marker", "Queue", "is_complete"]

_numbers = itertools.count(1)


class Queue:
    """A stream of a device: its command queue, pool, and flag for wrong indices."""

    def __init__(
        self, runtime: Any, number: int | None = None, queue: Any = None
    ) -> None:
        self.runtime = runtime
        self.index = runtime.index
        self.id = next(_numbers) if number is None else number
        timing = cl.command_queue_properties.PROFILING_ENABLE
        if queue is None:
            queue = cl.CommandQueue(runtime.context, properties=timing)
        self.queue = queue
        self.pool = MemoryPool(ImmediateAllocator(queue))
        self.flag: Any = None
        self.pending: list[Any] = []
        self.last: Any = None  # the event of the last command

    def marker(self) -> Any:
        """An event at the end of the work so far; the work is on its way."""
        event = self.last = cl.enqueue_marker(self.queue)
        self.queue.flush()
        return event

    def wait(self, event: Any) -> None:
        """Later work starts when ``event`` of the same device is complete."""
        self.last = cl.enqueue_barrier(self.queue, wait_for=[event])

    def is_done(self) -> bool:
        self.queue.flush()
        return self.last is None or is_complete(self.last)


def is_complete(event: Any) -> bool:
    """Whether the commands up to an event are done."""
    status: int = event.command_execution_status
    return status <= cl.command_execution_status.COMPLETE  # less than it: failed


class Marker:
    """An event that can be recorded again and again."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.event: Any = None

    def record(self, queue: Queue) -> None:
        self.event = queue.marker()

    def is_complete(self) -> bool:
        return self.event is None or is_complete(self.event)

    def synchronize(self) -> None:
        if self.event is not None:
            self.event.wait()

    def milliseconds_to(self, end: Marker) -> float:
        """The time between two markers that are complete, by the device's clock."""
        return (end.event.profile.end - self.event.profile.end) / 1e6  # type: ignore[no-any-return]


class CurrentQueue(threading.local):
    """The queue that each thread's work goes to."""

    def __init__(self, default: Queue) -> None:
        self.stream = default
