from cupy_standin import BaseMemory, MemoryPointer, MemoryPool, OutOfMemoryError, UnownedMemory
