# ruff: noqa: F401, F403, N803, ARG001
from cupy_standin import (
    BaseMemory,
    MemoryPointer,
    MemoryPool,
    OutOfMemoryError,
    UnownedMemory,
)
