"""Keysets: Python ints used as bit sets, one bit for each device type and each layer.

The lowest bits belong to dtypes and Python scalars (``dispatchtorch.dtypes``); this
module hands out all the others. Ints don't run out of bits, so neither do devices.
"""

from __future__ import annotations

import threading

from dispatchtorch import dtypes

__all__ = [
    "AUTOGRAD",
    "CONJ",
    "FUNCTION",
    "INFERENCE",
    "INFERENCE_MODE",
    "LAZY",
    "NEG",
    "PYTHON",
    "SPARSE",
    "VIEW",
    "allocate",
    "mask_of",
    "names",
]

_lock = threading.Lock()
_next = dtypes.FIRST_FREE_BIT
_bits: dict[tuple[str, str], int] = {}
_masks: dict[str, int] = {"device": 0, "layer": 0, "mark": 0}


def allocate(kind: str, name: str) -> int:
    """The bit of ``name`` among the ``kind`` ("device", "layer" or "mark"), made once."""
    global _next
    with _lock:
        bit = _bits.get((kind, name))
        if bit is None:
            bit = _bits[kind, name] = 1 << _next
            _next += 1
            _masks[kind] |= bit
        return bit


def mask_of(kind: str) -> int:
    """The union of all bits of one kind."""
    return _masks[kind]


def names(keys: int, kind: str | None = None) -> list[str]:
    """The names of the bits in ``keys``, dtypes included; for messages and ``explain``."""
    found = [] if kind else [d.name for d in dtypes.dtypes_in(keys)]
    if not kind:
        found += [t.__name__ for t, b in dtypes.PYTHON_SCALARS.items() if keys & b]
    for (of, name), bit in list(_bits.items()):
        if keys & bit and kind in (None, of):
            found.append(name)
    return found


# Allocated first, so that the common keysets fit one 30-bit digit of a Python int.
AUTOGRAD = allocate("layer", "autograd")
VIEW = allocate("mark", "view")  # a differentiable view: its history may need renewal
FUNCTION = allocate("layer", "function")  # a subclass with __torch_function__
INFERENCE = allocate("mark", "inference tensor")
allocate("device", "cpu")
INFERENCE_MODE = allocate("layer", "inference mode")
PYTHON = allocate("layer", "python")  # a subclass or a mode with __torch_dispatch__
SPARSE = allocate("layer", "sparse")  # indices and values in place of an array
CONJ = allocate("mark", "conjugate")  # the values are the conjugates of the memory's
NEG = allocate("mark", "negative")  # the values are the negatives of the memory's
LAZY = CONJ | NEG
