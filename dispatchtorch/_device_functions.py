"""What ``torch.<device type>`` can do for any device: functions of a backend's contract.

Each method of ``_Functions`` (and of its bases, by subject) is a function of the
namespace. Without the device they answer as a PyTorch that was built without it: counts
and figures are 0, seeds are taken silently, the rest raises ``MissingDeviceError``.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from dispatchtorch import _device_classes as classes
from dispatchtorch import streams
from dispatchtorch.backend import Backend, get_backend
from dispatchtorch.device_namespace import available, required

__all__ = ["function", "names", "torch_memory_stats"]


class _Named:
    """The device type, and its backend once it is needed."""

    def __init__(self, device_type: str) -> None:
        self._type = device_type

    def _required(self) -> Backend:
        return required(self._type)

    def _usable(self) -> Backend | None:
        return get_backend(self._type) if available(self._type) else None

    def _at(self, device: Any = None) -> tuple[Backend, int]:
        """The backend, and the index that a ``device`` argument means."""
        backend = self._required()
        return backend, streams.device_index(backend, device)


class _Devices(_Named):
    def is_available(self) -> bool:
        """Whether the plugin is installed and the device usable."""
        return available(self._type)

    def is_initialized(self) -> bool:
        """Whether the device can be used already: the same as ``is_available``."""
        return available(self._type)

    def init(self) -> None:
        """Makes sure that the device can be used; there is nothing else to start."""
        self._required()

    def device_count(self) -> int:
        """The number of devices; 0 where there is none."""
        found = self._usable()
        return 0 if found is None else found.device_count()

    def current_device(self) -> int:
        """The index that a device without one means in this thread."""
        return self._required().current_device()

    def set_device(self, device: Any) -> None:
        """Makes a device this thread's current one; nothing for a negative index."""
        index = classes.device_context(self._type, "device")(device).idx
        if index != -1:
            backend, index = self._at(index)
            backend.set_device(index)

    def synchronize(self, device: Any = None) -> None:
        """Waits until the device's queued work is done."""
        backend, index = self._at(device)
        backend.synchronize(index)

    def get_device_name(self, device: Any = None) -> str:
        """The device's name."""
        backend, index = self._at(device)
        return backend.device_name(index)

    def get_device_capability(self, device: Any = None) -> tuple[int, int]:
        """(major, minor) of the hardware's generation."""
        backend, index = self._at(device)
        return backend.capability(index)

    def get_device_properties(self, device: Any = None) -> Any:
        """An object with ``name``, ``total_memory`` and what else the backend says."""
        backend, index = self._at(device)
        found: dict[str, Any] = {"name": backend.device_name(index)}
        with contextlib.suppress(NotImplementedError):
            found["major"], found["minor"] = backend.capability(index)
        total = backend.memory_stats(index).get("total")
        if total is None:
            with contextlib.suppress(NotImplementedError):
                total = backend.mem_get_info(index)[1]
        if total is not None:
            found["total_memory"] = total
        return classes.properties_class(self._type)(
            **found | backend.device_properties(index)
        )

    def can_device_access_peer(self, device: Any, peer_device: Any) -> bool:
        """Whether kernels on one device can read another's memory."""
        backend, index = self._at(device)
        return backend.can_access_peer(
            index, streams.device_index(backend, peer_device)
        )

    def is_bf16_supported(self, including_emulation: bool = True) -> bool:
        """Whether there are bfloat16 tensors on the device."""
        from dispatchtorch.dtypes import bfloat16

        found = self._usable()
        return found is not None and (found.dtypes is None or bfloat16 in found.dtypes)

    def is_tf32_supported(self) -> bool:
        """Whether matrix products may round to 19 bits; a plugin says where they may."""
        return False

    def get_arch_list(self) -> list[str]:
        """The architectures that kernels were compiled for ahead of time: none."""
        return []

    def get_gencode_flags(self) -> str:
        """The compiler flags of ``get_arch_list``."""
        return ""

    def get_sync_debug_mode(self) -> int:
        """0: synchronising operations aren't reported."""
        self._required()
        return 0

    def set_sync_debug_mode(self, debug_mode: int | str) -> None:
        """Only 0, "default": synchronising operations can't be reported."""
        self._required()
        if debug_mode not in (0, "default"):
            raise NotImplementedError(
                f"device '{self._type}' doesn't report operations that synchronise"
            )

    def ipc_collect(self) -> None:
        """Memory isn't shared between processes: there is none to collect."""
        self._required()

    def OutOfMemoryError(self) -> type:
        from dispatchtorch.errors import OutOfMemoryError

        return OutOfMemoryError

    def AcceleratorError(self) -> type:
        from dispatchtorch.errors import AcceleratorError

        return AcceleratorError

    def DeferredCudaCallError(self) -> type:
        return classes.deferred_error(self._type)

    def has_half(self) -> bool:
        return True

    def has_magma(self) -> bool:
        return False

    def device(self) -> type:
        return classes.device_context(self._type, "device")

    def device_of(self) -> type:
        return classes.device_context(self._type, "device_of")


class _Memory(_Named):
    def memory_stats(self, device: Any = None) -> dict[str, Any]:
        """The memory's figures, by PyTorch's names; empty without the device."""
        found = self._usable()
        if found is None:
            return OrderedDict()
        return torch_memory_stats(found, streams.device_index(found, device))

    def memory_stats_as_nested_dict(self, device: Any = None) -> dict[str, Any]:
        """``memory_stats`` with a dict for each part of a name."""
        made: dict[str, Any] = {}
        for name, value in self.memory_stats(device).items():
            *path, last = name.split(".")
            place = made
            for part in path:
                place = place.setdefault(part, {})
            place[last] = value
        return made

    def _figure(self, name: str, device: Any) -> int:
        return self.memory_stats(device).get(name, 0)  # type: ignore[no-any-return]

    def memory_allocated(self, device: Any = None) -> int:
        """Bytes in use by tensors."""
        return self._figure("allocated_bytes.all.current", device)

    def max_memory_allocated(self, device: Any = None) -> int:
        """The most bytes that were in use at once."""
        return self._figure("allocated_bytes.all.peak", device)

    def memory_reserved(self, device: Any = None) -> int:
        """Bytes held by the allocator."""
        return self._figure("reserved_bytes.all.current", device)

    def max_memory_reserved(self, device: Any = None) -> int:
        """The most bytes that the allocator held at once."""
        return self._figure("reserved_bytes.all.peak", device)

    def memory_cached(self, device: Any = None) -> int:
        """The old name of ``memory_reserved``."""
        self._renamed("memory_cached", "memory_reserved")
        return self.memory_reserved(device)

    def max_memory_cached(self, device: Any = None) -> int:
        """The old name of ``max_memory_reserved``."""
        self._renamed("max_memory_cached", "max_memory_reserved")
        return self.max_memory_reserved(device)

    def _renamed(self, old: str, new: str) -> None:
        prefix = f"torch.{self._type}."
        warnings.warn(
            f"`{prefix}{old}` has been renamed to `{prefix}{new}`",
            FutureWarning,
            stacklevel=3,
        )

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        """Sets the largest figures to the present ones."""
        backend, index = self._at(device)
        backend.reset_peak_memory_stats(index)

    def reset_accumulated_memory_stats(self, device: Any = None) -> None:
        """Sets counts of allocations to 0."""
        backend, index = self._at(device)
        backend.reset_accumulated_memory_stats(index)

    def reset_max_memory_allocated(self, device: Any = None) -> None:
        """The same as ``reset_peak_memory_stats``, which it warns of."""
        self._resets_all("reset_max_memory_allocated")
        self.reset_peak_memory_stats(device)

    def reset_max_memory_cached(self, device: Any = None) -> None:
        """The same as ``reset_peak_memory_stats``, which it warns of."""
        self._resets_all("reset_max_memory_cached")
        self.reset_peak_memory_stats(device)

    def _resets_all(self, name: str) -> None:
        prefix = f"torch.{self._type}."
        warnings.warn(
            f"{prefix}{name} now calls {prefix}reset_peak_memory_stats, which resets "
            "/all/ peak memory stats.",
            FutureWarning,
            stacklevel=3,
        )

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """(free, total) memory of the device in bytes."""
        backend, index = self._at(device)
        return backend.mem_get_info(index)

    def empty_cache(self) -> None:
        """Gives unused memory back, where the backend holds any."""
        found = self._usable()
        if found is not None:
            found.empty_cache()

    def set_per_process_memory_fraction(
        self, fraction: float, device: Any = None
    ) -> None:
        """Limits the allocator to a part of a device's memory."""
        backend, index = self._at(device)
        if not isinstance(fraction, float):
            raise TypeError("Invalid type for fraction argument, must be `float`")
        if not 0 <= fraction <= 1:
            raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
        backend.set_memory_fraction(fraction, index)
        _fractions[self._type, index] = fraction

    def get_per_process_memory_fraction(self, device: Any = None) -> float:
        """What ``set_per_process_memory_fraction`` set, else 1."""
        _, index = self._at(device)
        return _fractions.get((self._type, index), 1.0)

    def get_allocator_backend(self) -> str:
        """The allocator in use."""
        self._required()
        return "native"

    def host_memory_stats(self) -> dict[str, Any]:
        """Figures of page-locked host memory, where a plugin keeps any."""
        return OrderedDict()

    def host_memory_stats_as_nested_dict(self) -> dict[str, Any]:
        """``host_memory_stats`` with a dict for each part of a name."""
        return {}

    def reset_peak_host_memory_stats(self) -> None:
        """Nothing to reset: see ``host_memory_stats``."""
        self._required()

    def reset_accumulated_host_memory_stats(self) -> None:
        """Nothing to reset: see ``host_memory_stats``."""
        self._required()

    def memory_summary(self, device: Any = None, abbreviated: bool = False) -> str:
        """A table of the figures for people to read."""
        backend, index = self._at(device)
        figures = self.memory_stats_as_nested_dict(index)
        rows: list[tuple[str, ...]] = [
            ("Metric", "Cur Usage", "Peak Usage", "Tot Alloc", "Tot Freed")
        ]
        columns = ("current", "peak", "allocated", "freed")
        for name, title, is_bytes in _SUMMARY:
            for pool, values in figures.get(name, {}).items():
                if pool == "all" or not abbreviated:
                    cells = [_amount(values.get(c), is_bytes) for c in columns]
                    label = title if pool == "all" else f"  from {pool}"
                    rows.append((label, *cells))
        title = f"{backend.device_type.upper()} memory summary, device ID {index}"
        return _table(title, rows)

    def list_gpu_processes(self, device: Any = None) -> str:
        """The processes that use a device, where a plugin can say."""
        return _TELEMETRY


_fractions: dict[tuple[str, int], float] = {}
_SUMMARY = (
    ("allocated_bytes", "Allocated memory", True),
    ("active_bytes", "Active memory", True),
    ("requested_bytes", "Requested memory", True),
    ("reserved_bytes", "Reserved memory", True),
    ("inactive_split_bytes", "Non-releasable memory", True),
    ("allocation", "Allocations", False),
    ("active", "Active allocs", False),
    ("segment", "Reserved segments", False),
)
_TELEMETRY = "pynvml module not found, please install nvidia-ml-py"


def _table(title: str, rows: list[tuple[str, ...]]) -> str:
    lines = [
        "|".join(["", f" {row[0]:<22}", *(f" {cell:>11} " for cell in row[1:]), ""])
        for row in rows
    ]
    width = len(lines[0]) - 2
    rule = f"|{'=' * width}|"
    head = [f"|{title:^{width}}|", rule, lines[0], rule]
    return "\n".join([*head, *lines[1:], rule, ""])


def _amount(value: Any, is_bytes: bool) -> str:
    if value is None:
        return "-"
    if not is_bytes:
        return str(value)
    for unit in ("B", "KiB", "MiB"):
        if value < 10240:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.0f} GiB"


def torch_memory_stats(backend: Backend, index: int) -> dict[str, Any]:
    """A backend's figures by the names that PyTorch gives them."""
    raw = backend.memory_stats(index)
    made = {name: raw[name] for name in raw if "." in name or name.startswith("num_")}
    for name, key in (("allocated_bytes", "allocated"), ("reserved_bytes", "reserved")):
        if key in raw:
            made[f"{name}.all.current"] = raw[key]
            made[f"{name}.all.peak"] = raw.get(f"max_{key}", raw[key])
    if "allocated" in raw:
        for part in ("current", "peak"):
            made.setdefault(
                f"active_bytes.all.{part}", made[f"allocated_bytes.all.{part}"]
            )
    if "allocations" in raw:
        made["allocation.all.current"] = raw["allocations"]
    return OrderedDict(sorted(made.items()))


class _Streams(_Named):
    def Stream(self) -> type:
        return streams.stream_class(self._type)  # type: ignore[no-any-return]

    def Event(self) -> type:
        return streams.event_class(self._type)  # type: ignore[no-any-return]

    def ExternalStream(self) -> type:
        return streams.external_stream_class(self._type)  # type: ignore[no-any-return]

    def StreamContext(self) -> type:
        base = streams.StreamContext
        return classes.made_class(
            self._type, "StreamContext", (base,), base.__doc__ or ""
        )  # type: ignore[no-any-return]

    def stream(self, stream: Any) -> streams.StreamContext:
        """A block in which a stream (None: no other) and its device are current."""
        made: streams.StreamContext = self.StreamContext()(stream)
        return made

    def current_stream(self, device: Any = None) -> streams.Stream:
        """This thread's stream of a device."""
        return streams.current_stream(*self._at(device))

    def default_stream(self, device: Any = None) -> streams.Stream:
        """The stream that is used as long as no other is set."""
        backend, index = self._at(device)
        native = backend.default_stream(index)
        return streams.stream_class(self._type)._of(backend, native)  # type: ignore[no-any-return]

    def set_stream(self, stream: Any) -> None:
        """Makes a stream and its device this thread's current ones."""
        if stream is not None:
            streams.set_stream(stream)

    def get_stream_from_external(
        self, data_ptr: int, device: Any = None
    ) -> streams.Stream:
        """A stream that another library made, by the number its driver gave it."""
        backend, index = self._at(device)
        native = backend.external_stream(index, data_ptr)
        return streams.stream_class(self._type)._of(backend, native)  # type: ignore[no-any-return]

    def is_current_stream_capturing(self) -> bool:
        """Whether work is recorded into a graph instead of run."""
        backend, index = self._at()
        return backend.is_capturing(backend.current_stream(index))


class _Random(_Named):
    def _generators(self, device: Any = None, every: bool = False) -> list[Any]:
        """The generators of one device or of all; none without the device."""
        from dispatchtorch.random import generator_of

        found = self._usable()
        if found is None:
            return []
        indices: Iterable[int] = range(found.device_count())
        if not every:
            indices = [streams.device_index(found, device)]
        return [generator_of(self._type, index) for index in indices]

    def manual_seed(self, seed: int) -> None:
        """Seeds the current device's generator (no effect without a device)."""
        for generator in self._generators():
            generator.manual_seed(int(seed))

    def manual_seed_all(self, seed: int) -> None:
        """Seeds the generators of all devices of the type."""
        for generator in self._generators(every=True):
            generator.manual_seed(int(seed))

    def seed(self) -> None:
        """Seeds the current device's generator from the system's entropy."""
        for generator in self._generators():
            generator.seed()

    def seed_all(self) -> None:
        """Seeds all devices' generators with one seed from the system's entropy."""
        first, *others = self._generators(every=True) or [None]
        if first is not None:
            seed = first.seed()
            for generator in others:
                generator.manual_seed(seed)

    def initial_seed(self) -> int:
        """The seed of the current device's generator."""
        self._required()
        return self._generators()[0].initial_seed()  # type: ignore[no-any-return]

    def get_rng_state(self, device: Any = None) -> Any:
        """The state of a device's generator."""
        self._required()
        return self._generators(device)[0].get_state()

    def get_rng_state_all(self) -> list[Any]:
        """The states of all devices' generators."""
        return [each.get_state() for each in self._generators(every=True)]

    def set_rng_state(self, new_state: Any, device: Any = None) -> None:
        """Sets the state of a device's generator (no effect without a device)."""
        for generator in self._generators(device):
            generator.set_state(new_state)

    def set_rng_state_all(self, new_states: Iterable[Any]) -> None:
        """Sets the states of all devices' generators."""
        for index, state in enumerate(new_states):
            self.set_rng_state(state, index)

    def default_generators(self) -> tuple[Any, ...]:
        return tuple(self._generators(every=True))


class _Functions(_Devices, _Memory, _Streams, _Random):
    pass


#: The methods that stand for a value or a class: called once, when the name is read.
_VALUES = frozenset(
    "AcceleratorError DeferredCudaCallError Event ExternalStream OutOfMemoryError Stream "
    "StreamContext default_generators device device_of has_half has_magma".split()
)
#: The legacy types: a tensor's or storage's class and the dtype in its name.
_KINDS = ("Tensor", "Storage")
_OLD_TYPES = (
    "BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long Short"
).split()


def names() -> list[str]:
    """The names that every namespace has."""
    typed = [f"{t}{k}" for t in _OLD_TYPES for k in _KINDS]
    typed = [n for n in typed if not (n.startswith("Complex") and n.endswith("Tensor"))]
    return [*(n for n in dir(_Functions) if not n.startswith("_")), *typed]


def function(device_type: str, name: str) -> Any:
    """What a namespace has of a name; None for nothing."""
    if name.startswith("_"):
        private = _PRIVATE.get(name)
        return None if private is None else partial(private, device_type)
    found = getattr(_Functions(device_type), name, None)
    if found is not None:
        return found() if name in _VALUES else found
    if name not in names():
        return None
    if name.endswith("Storage"):
        return classes.storage_class(device_type, name)
    from dispatchtorch._tensor_types import device_tensor_type

    return device_tensor_type(device_type, name)


def _lazy_call(device_type: str, function: Callable[[], Any], **options: Any) -> None:
    """Calls a function once the device can be used; at once, or never."""
    if available(device_type):
        function()


_PRIVATE: dict[str, Callable[..., Any]] = {
    "_lazy_init": required,
    "_lazy_call": _lazy_call,
    "_is_compiled": available,
}
