"""The switches of saving and loading that PyTorch has: byte order, mmap, checksums."""

from __future__ import annotations

import threading
from enum import Enum

__all__ = [
    "LoadEndianness",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]

MAP_SHARED, MAP_PRIVATE = 1, 2  # as in mmap, which is not imported for two numbers


class LoadEndianness(Enum):
    """The byte order to assume of a checkpoint that doesn't say its own."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


_load_endianness: LoadEndianness | None = None
_mmap_flags = MAP_PRIVATE
_compute_crc32 = True
_thread = threading.local()


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order assumed where a checkpoint doesn't say; None is this machine's."""
    return _load_endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Sets what ``get_default_load_endianness`` gives. TypeError for other types."""
    global _load_endianness
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _load_endianness = endianness


def get_default_mmap_options() -> int:
    """The flags with which ``load(mmap=True)`` maps a file."""
    return _mmap_flags


class set_default_mmap_options:
    """Sets the flags of ``load(mmap=True)``; as a context manager, for a block.

    Args:
        flags: ``mmap.MAP_PRIVATE`` (writes stay in the process) or ``mmap.MAP_SHARED``
            (writes go to the file).
    """

    def __init__(self, flags: int) -> None:
        global _mmap_flags
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected "
                f"mmap.MAP_PRIVATE or mmap.MAP_SHARED, but got {flags}"
            )
        self._before = _mmap_flags
        _mmap_flags = flags

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        global _mmap_flags
        _mmap_flags = self._before


def get_crc32_options() -> bool:
    """Whether ``save`` computes the checksum of each record."""
    return _compute_crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Whether ``save`` computes the checksum of each record.

    Without them saving is faster, other zip tools complain about the file, and damage
    goes unnoticed when it is loaded.
    """
    global _compute_crc32
    _compute_crc32 = compute_crc32


class skip_data:
    """In this context ``save`` leaves the space of the storages' data unwritten, and
    ``load`` gives storages of undefined contents. Everything else stays the same.

    Args:
        materialize_fake_tensors: not supported, as there are no fake tensors.
    """

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        if materialize_fake_tensors:
            raise NotImplementedError("skip_data: fake tensors are not supported")
        self.materialize_fake_tensors = False

    def __enter__(self) -> None:
        self._before = skipping_data()
        _thread.skip = True

    def __exit__(self, *exc_info: object) -> None:
        _thread.skip = self._before


def skipping_data() -> bool:
    return getattr(_thread, "skip", False)
