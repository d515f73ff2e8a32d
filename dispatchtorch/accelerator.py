"""``torch.accelerator``: the device beside ``cpu``, whichever plugin provides it.

What needs a device raises RuntimeError where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from dispatchtorch import backend as _backend
from dispatchtorch.device import device as Device

__all__ = [
    "Graph",
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "empty_host_cache",
    "get_device_capability",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def _current() -> _backend.Backend | None:
    try:
        return _backend.get_backend(_backend.current_accelerator())
    except RuntimeError:
        return None


def _required() -> _backend.Backend:
    found = _current()
    return _none() if found is None else found


def _none() -> NoReturn:
    raise RuntimeError("Cannot access accelerator device when none is available.")


def _at(device: Any) -> tuple[_backend.Backend, int]:
    """The accelerator and the index that an argument means (None: the current one)."""
    from dispatchtorch.streams import device_index

    found = _required()
    if isinstance(device, (str, Device)):
        device = Device(device)
        if device.type != found.device_type:
            raise ValueError(
                f"{device.type} doesn't match the current accelerator "
                f"{found.device_type}."
            )
    return found, device_index(found, device)


def is_available() -> bool:
    """Whether a device beside ``cpu`` is installed and usable."""
    return _current() is not None


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator's device without an index; None where there is none."""
    found = _current()
    return None if found is None else Device(found.device_type)


def device_count() -> int:
    """The number of accelerators; 0 where there is none."""
    found = _current()
    return 0 if found is None else found.device_count()


def current_device_index() -> int:
    """The index of the accelerator in use by this thread."""
    return _required().current_device()


def set_device_index(device: Any, /) -> None:
    """Makes a device (index, name or device) this thread's current accelerator."""
    found, index = _at(device)
    found.set_device(index)


current_device_idx = current_device_index
set_device_idx = set_device_index


class device_index:
    """A block in which an index is the current accelerator's; None changes nothing."""

    def __init__(self, device: int | None, /) -> None:
        self.idx = device
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx is not None:
            found, index = _at(self.idx)
            self.prev_idx = found.current_device()
            found.set_device(index)

    def __exit__(self, *exc_info: object) -> None:
        if self.idx is not None:
            _required().set_device(self.prev_idx)


def current_stream(device: Any = None, /) -> Any:
    """This thread's stream of an accelerator."""
    from dispatchtorch import streams

    return streams.current_stream(*_at(device))


def set_stream(stream: Any) -> None:
    """Makes a stream and its device this thread's current ones."""
    from dispatchtorch import streams

    if not isinstance(stream, streams.Stream):
        raise TypeError(
            f"set_stream(): expected torch.Stream, not {type(stream).__name__}"
        )
    if stream._backend is not _required():
        raise RuntimeError(
            f"stream's device type {stream._backend.device_type} doesn't match the "
            f"current accelerator {_required().device_type}."
        )
    streams.set_stream(stream)


def synchronize(device: Any = None, /) -> None:
    """Waits until an accelerator's queued work is done."""
    found, index = _at(device)
    found.synchronize(index)


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """``{"supported_dtypes": …}``: the dtypes that an accelerator has."""
    from dispatchtorch.dtypes import DTYPES

    found, _ = _at(device)
    return {"supported_dtypes": set(DTYPES if found.dtypes is None else found.dtypes)}


# Memory.


def empty_cache() -> None:
    """Gives unused memory back, where the backend holds any."""
    _required().empty_cache()


def empty_host_cache() -> None:
    """Gives unused page-locked host memory back, where the backend holds any."""
    _required().empty_host_cache()


def memory_stats(device_index: Any = None, /) -> dict[str, Any]:
    """The memory's figures, by PyTorch's names (``allocated_bytes.all.current``, …)."""
    from dispatchtorch._device_functions import torch_memory_stats

    return torch_memory_stats(*_at(device_index))


def _figure(name: str, doc: str) -> Callable[..., int]:
    def figure(device_index: Any = None, /) -> int:
        return memory_stats(device_index).get(name, 0)  # type: ignore[no-any-return]

    figure.__doc__ = doc
    return figure


memory_allocated = _figure("allocated_bytes.all.current", "Bytes in use by tensors.")
max_memory_allocated = _figure("allocated_bytes.all.peak", "The most that were in use.")
memory_reserved = _figure(
    "reserved_bytes.all.current", "Bytes that the allocator holds."
)
max_memory_reserved = _figure("reserved_bytes.all.peak", "The most that it held.")
for _name in (
    "memory_allocated",
    "max_memory_allocated",
    "memory_reserved",
    "max_memory_reserved",
):
    globals()[_name].__name__ = globals()[_name].__qualname__ = _name


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Sets the largest figures to the present ones."""
    found, index = _at(device_index)
    found.reset_peak_memory_stats(index)


def reset_accumulated_memory_stats(device_index: Any = None, /) -> None:
    """Sets counts of allocations to 0."""
    found, index = _at(device_index)
    found.reset_accumulated_memory_stats(index)


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """(free, total) bytes of an accelerator's memory."""
    found, index = _at(device_index)
    return found.mem_get_info(index)


class Graph:
    """A recording of an accelerator's work that can be run again.

    ``Graph(keep_graph=False, *, pool=None, capture_error_mode="default")`` gives the
    graph of the accelerator's plugin; NotImplementedError where it has none.
    """

    def __new__(cls, *args: Any, **options: Any) -> Any:
        found = _required()
        own = found.namespace().get("Graph")
        if own is None:
            raise NotImplementedError(
                f"device '{found.device_type}' has no graphs to record"
            )
        return own(*args, **options)
