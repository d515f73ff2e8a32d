"""Turning a list of samples into one batch, and arrays into tensors.

``default_collate_fn_map`` is the table of what is done with which type; extend it to
teach ``default_collate`` a new one.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import dispatchtorch as torch

__all__ = [
    "collate",
    "collate_float_fn",
    "collate_int_fn",
    "collate_numpy_array_fn",
    "collate_numpy_scalar_fn",
    "collate_str_fn",
    "collate_tensor_fn",
    "default_collate",
    "default_collate_err_msg_format",
    "default_collate_fn_map",
    "default_convert",
    "rebuild",
]

_Table = dict[Any, Callable[..., Any]]

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, "
    "dicts or lists; found {}"
)


def rebuild(template: Any, values: Sequence[Any]) -> Any:
    """A container like ``template`` with ``values`` in it.

    Mappings keep their keys, named tuples their type; plain tuples become lists. A
    mutable container is copied, so that what else it carries survives; where a type
    resists, a dict or a list stands in for it.
    """
    kind: Any = type(template)
    if isinstance(template, Mapping):
        items = dict(zip(template, values, strict=True))
        try:
            if not isinstance(template, MutableMapping):
                return kind(items)
            clone = copy.copy(template)
            clone.update(items)
        except TypeError:
            return items
        return clone
    if isinstance(template, tuple):
        return kind(*values) if hasattr(template, "_fields") else list(values)
    try:
        if not isinstance(template, MutableSequence):
            return kind(list(values))
        copied = copy.copy(template)
        for i, value in enumerate(values):
            copied[i] = value
    except TypeError:
        return list(values)
    return copied


def is_sequence(data: Any) -> bool:
    """Whether ``data`` is a sequence whose elements count, so no string."""
    return isinstance(data, Sequence) and not isinstance(data, (str, bytes))


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers inside ``data`` as tensors, the rest as it is."""
    if isinstance(data, torch.Tensor):
        return data
    if type(data).__module__ == "numpy" and not isinstance(data, (str, bytes)):
        return data if data.dtype.kind in "SUO" else torch.as_tensor(data)
    if isinstance(data, Mapping):
        return rebuild(data, [default_convert(data[key]) for key in data])
    if is_sequence(data):
        return rebuild(data, [default_convert(value) for value in data])
    return data


def collate(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """One batch from a list of samples, by the functions of ``collate_fn_map``.

    A sample's exact type is looked up first, then the first entry that it is an
    instance of; mappings and sequences without an entry are collated element by
    element.
    """
    elem = batch[0]
    if collate_fn_map is not None:
        kind = type(elem)
        handler = collate_fn_map.get(kind) or next(
            (fn for key, fn in collate_fn_map.items() if isinstance(elem, key)), None
        )
        if handler is not None:
            return handler(batch, collate_fn_map=collate_fn_map)

    if isinstance(elem, Mapping):
        columns: Any = ([sample[key] for sample in batch] for key in elem)
    elif is_sequence(elem):
        named = isinstance(elem, tuple) and hasattr(elem, "_fields")
        if not named and any(len(sample) != len(elem) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = zip(*batch, strict=not named)
    else:
        raise TypeError(default_collate_err_msg_format.format(type(elem)))
    values = [collate(column, collate_fn_map=collate_fn_map) for column in columns]
    return rebuild(elem, values)


def collate_tensor_fn(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """Tensors of one shape, stacked."""
    elem = batch[0]
    nested = getattr(elem, "is_nested", False)
    if nested or elem.layout is not torch.strided:
        raise RuntimeError(
            f"Batches of {'nested' if nested else 'sparse'} tensors are not currently "
            "supported by the default collate_fn; please provide a custom collate_fn "
            "to handle them appropriately."
        )
    return torch.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """NumPy arrays of one shape, as tensors and stacked."""
    dtype = batch[0].dtype
    if dtype.kind in "SUO":
        raise TypeError(default_collate_err_msg_format.format(dtype))
    tensors = [torch.as_tensor(array) for array in batch]
    return collate(tensors, collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """NumPy numbers, as one vector of their type."""
    return torch.as_tensor(batch)


def collate_float_fn(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """Floats, as one vector of double precision."""
    return torch.tensor(batch, dtype=torch.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """Integers or booleans, as one vector."""
    return torch.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: _Table | None = None) -> Any:
    """Strings stay as they are."""
    return batch


default_collate_fn_map: _Table = {torch.Tensor: collate_tensor_fn}

# Samples can hold NumPy's types only where something has imported it.
if _numpy := sys.modules.get("numpy"):
    default_collate_fn_map[_numpy.ndarray] = collate_numpy_array_fn
    default_collate_fn_map[_numpy.bool_, _numpy.number, _numpy.object_] = (
        collate_numpy_scalar_fn
    )
default_collate_fn_map |= {
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """One batch from a list of samples.

    Tensors and arrays are stacked, numbers become vectors, strings stay a list, and
    mappings and sequences are collated element by element, keeping their type.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
