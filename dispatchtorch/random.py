"""Random number generators and their seeds.

A ``Generator`` is a device's engine behind PyTorch's interface. Devices without an engine
of their own draw on the host with the engine of ``cpu`` (one state for each device), so
that a seed gives the same numbers there too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

from dispatchtorch.backend import get_backend, registered_backends, resolve_device
from dispatchtorch.device import device as Device
from dispatchtorch.tensor import Tensor

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "thread_safe_generator",
]


class Generator:
    """A stream of random numbers on a device (``torch.Generator``)."""

    __slots__ = ("__weakref__", "_engine", "device")

    def __init__(self, device: Any = "cpu") -> None:
        backend, index = resolve_device(device)
        if backend.device_type == "meta":
            raise RuntimeError("META device type not an accelerator.")
        self.device = Device(backend.device_type, index if backend.indexed else None)
        self._engine = _new_engine(backend, index)

    @classmethod
    def _of(cls, engine: Any, device: Device) -> Generator:
        made = object.__new__(cls)
        made._engine = engine
        made.device = device
        return made

    def manual_seed(self, seed: int) -> Generator:
        """Sets the seed and returns the generator."""
        if isinstance(seed, (bool, Tensor)) or not hasattr(seed, "__index__"):
            raise RuntimeError(
                f"manual_seed expected a long, but got {type(seed).__name__}"
            )
        self._engine.manual_seed(_as_seed(seed))
        return self

    def seed(self) -> int:
        """Sets a seed from the system's entropy and returns it."""
        return self._engine.seed()  # type: ignore[no-any-return]

    def initial_seed(self) -> int:
        """The seed last set."""
        return self._engine.initial_seed()  # type: ignore[no-any-return]

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor, the same bytes as PyTorch's on ``cpu``."""
        import dispatchtorch

        return dispatchtorch.from_numpy(self._engine.get_state())

    def set_state(self, new_state: Tensor) -> None:
        """Goes to a state that ``get_state`` gave."""
        import dispatchtorch

        if (
            not isinstance(new_state, Tensor)
            or new_state.dtype is not dispatchtorch.uint8
        ):
            raise TypeError("RNG state must be a torch.ByteTensor")
        self._engine.set_state(new_state.contiguous().numpy())

    def clone_state(self) -> Generator:
        """A generator in the same state."""
        return Generator._of(self._engine.clone(), self.device)

    def get_offset(self) -> int:
        """The place in a counter-based stream; RuntimeError where there is no counter."""
        return self._offsets().get_offset()  # type: ignore[no-any-return]

    def set_offset(self, offset: int) -> None:
        """Goes to a place in a counter-based stream."""
        self._offsets().set_offset(offset)

    def _offsets(self) -> Any:
        if not hasattr(self._engine, "get_offset"):
            name = self.device.type.upper()
            raise RuntimeError(f"{name} Generator does not use offset")
        return self._engine

    def graphsafe_get_state(self) -> Generator:
        return self.clone_state()

    def graphsafe_set_state(self, state: Generator) -> None:
        self._engine.set_state(state._engine.get_state())

    def __reduce__(self) -> Any:
        return _rebuild, (str(self.device), self.initial_seed(), self.get_state())

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"


def _rebuild(device: str, seed: int, state: Tensor) -> Generator:
    made = Generator(device).manual_seed(seed)
    made.set_state(state)
    return made


def _as_seed(seed: Any) -> int:
    value = int(seed)
    if not -(2**63) <= value < 2**64:
        raise ValueError("Overflow when unpacking long long")
    return value


def _new_engine(backend: Any, index: int) -> Any:
    """An engine of a device's kind; the host's where it has none."""
    own = backend.new_generator(index)
    return get_backend("cpu").new_generator(0) if own is None else own


_defaults: dict[tuple[str, int], Generator] = {}
_last_seed: int | None = None  # what devices that are named later start from


def generator_of(device_type: str, index: int) -> Generator:
    """The default generator of a device."""
    key = (device_type, index)
    found = _defaults.get(key)
    if found is None:
        backend = get_backend(device_type)
        engine = backend.generator(index)
        if engine is None:
            engine = _new_engine(backend, index)
        if _last_seed is not None:
            engine.manual_seed(_last_seed)
        elif backend.device_type == "cpu":
            engine.seed()  # other devices start from the same seed each time
        device = Device(device_type, index if backend.indexed else None)
        found = _defaults[key] = Generator._of(engine, device)
    return found


def engine_for(t: Tensor, generator: Generator | None) -> tuple[Any, bool]:
    """The engine that fills a tensor, and whether it draws on the host."""
    backend = t._backend
    index = backend.index(t._data)
    if generator is None:
        generator = generator_of(backend.device_type, index)
    elif not isinstance(generator, Generator):
        raise TypeError(
            "argument 'generator' must be torch.Generator, not "
            f"{type(generator).__name__}"
        )
    elif generator.device.type != backend.device_type:
        raise RuntimeError(
            f"Expected a '{backend.device_type}' device type for generator but found "
            f"'{generator.device.type}'"
        )
    return generator._engine, backend.is_host or backend.generator(index) is None


default_generator = generator_of("cpu", 0)


def manual_seed(seed: int) -> Generator:
    """Seeds the default generators of all devices; returns that of ``cpu``."""
    global _last_seed
    _last_seed = value = _as_seed(seed)
    for generator in list(_defaults.values()):
        generator.manual_seed(value)
    return default_generator


def seed() -> int:
    """Seeds the default generators from the system's entropy; returns the seed."""
    value = int.from_bytes(os.urandom(8), "little")
    manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed of ``cpu``'s default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of ``cpu``'s default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Sets the state of ``cpu``'s default generator."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:
    """A block after which the generators are back in the state they had before.

    ``devices`` are indices (of ``device_type``, by default the accelerator) or devices;
    all of that type, or of all types that are in use, unless given.
    """
    if device_type is not None:
        device_type = Device(device_type).type
    if not enabled:
        yield
        return
    if devices is None:
        kept = [default_generator]
        for backend in registered_backends().values():
            if backend.indexed and device_type in (None, "meta", backend.device_type):
                count = backend.device_count() if backend.is_available() else 0
                kept += [generator_of(backend.device_type, i) for i in range(count)]
    else:
        kept = [default_generator]
        for each in devices:
            if isinstance(each, int) and device_type is not None:
                device = Device(device_type, each)
            else:
                device = Device(each)
            backend, index = resolve_device(device)
            if backend.device_type != "cpu":
                kept.append(generator_of(backend.device_type, index))
    states = [(g, g.get_state()) for g in kept]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


def thread_safe_generator() -> Generator | None:
    """The generator of a data loader's worker thread; None outside of one.

    Workers here are processes, each with a default generator of its own.
    """
    return None
