"""Methods of Tensor that aren't operators: importing this package adds them.

``queries``     shape, layout, place and kind
``values``      for Python and NumPy: numbers, lists, arrays, DLPack, printing
``conversion``  dtypes, devices, shared memory
``memory``      storages, resizing, elementwise Python functions
``transposed``  T, mT, H, mH
``sparse``      what sparse tensors say of themselves
``history``     autograd: detaching, data, grad, backward, hooks
``subclasses``  subclasses and constructors
``uncommon``    for tools, and kept for older programs
``views_in_place``  transpose_, squeeze_ and their kin
"""

from __future__ import annotations

from dispatchtorch._tensor_methods import (
    conversion,
    history,
    memory,
    queries,
    sparse,
    subclasses,
    transposed,
    uncommon,
    values,
    views_in_place,
)
from dispatchtorch._tensor_methods.conversion import TYPE_NAMES, to_device_method
from dispatchtorch._tensor_methods.subclasses import (
    disabled,
    make_subclass,
    overrides_functions,
)

__all__ = [
    "TYPE_NAMES",
    "conversion",
    "disabled",
    "history",
    "make_subclass",
    "memory",
    "overrides_functions",
    "queries",
    "sparse",
    "subclasses",
    "to_device_method",
    "transposed",
    "uncommon",
    "values",
    "views_in_place",
]
