# ruff: noqa: F401, F403, N803, ARG001
from types import SimpleNamespace

from cupy_standin import (
    CNumpyArray,
    Device,
    Event,
    Graph,
    MemoryPointer,
    MemoryPool,
    PinnedMemoryPointer,
    Runtime,
    Stream,
    UnownedMemory,
    alloc,
    alloc_pinned_memory,
    get_current_stream,
    get_elapsed_time,
    set_allocator,
)

from . import memory

runtime = Runtime()
device = SimpleNamespace(get_cublas_handle=lambda: 1, get_device_id=runtime.getDevice)
function = SimpleNamespace(CNumpyArray=CNumpyArray)


def is_available() -> bool:
    return runtime.count > 0
