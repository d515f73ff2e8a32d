"""Streams and events of every device: ``torch.Stream``, ``torch.Event``.

A stream is a queue of a device's work, an event a place in one. Both are thin: a backend
and whatever it calls a stream or an event (see "Streams" in :mod:`dispatchtorch.backend`).
``stream_class`` and ``event_class`` make ``torch.<device type>.Stream`` and ``Event``.

A device without an index (``cpu``, ``meta``) has one stream, which is always done, and no
events, as in PyTorch.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, NoReturn

from dispatchtorch.backend import (
    Backend,
    check_index,
    current_accelerator,
    get_backend,
)
from dispatchtorch.device import device as Device
from dispatchtorch.plugins import PYTORCH_TYPES

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_stream",
    "device_index",
    "event_class",
    "external_stream_class",
    "set_stream",
    "stream_class",
]

# The numbers by which PyTorch knows device types; further ones follow as they come.
_types = list(PYTORCH_TYPES)


def _number_of(device_type: str) -> int:
    if device_type not in _types:
        _types.append(device_type)
    return _types.index(device_type)


class _Entered(threading.local):
    """What the `with` blocks of this thread go back to."""

    def __init__(self) -> None:
        self.stack: list[Any] = []


_entered = _Entered()
# Streams by (device type, index, id), so that an id leads back to its stream.
_streams: weakref.WeakValueDictionary[Any, Stream] = weakref.WeakValueDictionary()


def device_index(backend: Backend, device: Any) -> int:
    """The index that a ``device`` argument (or none) means on a backend's devices.

    Raises ValueError for a device of another type and AcceleratorError for an index that
    there isn't.
    """
    if device is None:
        return backend.current_device()
    if isinstance(device, int) and not isinstance(device, bool):
        index = device
    else:
        found = device if isinstance(device, Device) else Device(device)
        if found.type != backend.device_type:
            raise ValueError(
                f"Expected a {backend.device_type} device, but got: {found}"
            )
        if found.index is None:
            return backend.current_device()
        index = found.index
    check_index(backend, index)
    return index


def _resolved(device: Any) -> tuple[Backend, int]:
    """The backend and index of the argument of ``torch.Stream`` or ``torch.Event``."""
    if device is None:
        try:
            device = Device(current_accelerator())
        except RuntimeError:
            device = Device("cpu")
    backend = get_backend(device.type)
    return backend, device_index(backend, device) if backend.indexed else -1


def _arguments(name: str, args: tuple[Any, ...]) -> Any:
    if len(args) > 1:
        raise TypeError(
            f"{name}() takes from 0 to 1 positional arguments but {len(args)} were given"
        )
    return args[0] if args else None


def _device_of(name: str, value: Any) -> Any:
    """A ``device`` argument, checked; a string with an index as a device."""
    if value is None or isinstance(value, Device):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise TypeError(
            f"{name}(): argument 'device' (position 1) must be torch.device, not "
            f"{type(value).__name__}"
        )
    return Device(value)


class Stream:
    """A queue of work on a device, done in order (``torch.Stream``).

    ``torch.Stream(device, *, priority=0)`` is a new one of the device, by default of the
    current accelerator. As a context manager it and its device become this thread's
    current ones.
    """

    __slots__ = ("__dict__", "__weakref__", "_backend", "_native", "device_index")

    _backend: Backend
    _native: Any
    device_index: int

    def __new__(cls, *args: Any, **options: Any) -> Any:
        if "stream_id" in options:
            return cls._known(**options)
        device = options.pop("device", None) if not args else _arguments("Stream", args)
        priority = options.pop("priority", 0)
        for name in options:
            raise TypeError(f"Stream() got an unexpected keyword argument '{name}'")
        backend, index = _resolved(_device_of("Stream", device))
        if index < 0:
            return cls._of(backend, None)
        return cls._of(backend, backend.new_stream(index, priority))

    @classmethod
    def _known(
        cls, stream_id: int, device_index: int, device_type: int, priority: int = 0
    ) -> Any:
        """The stream that these three numbers stand for."""
        backend = get_backend(_types[device_type])
        if not backend.indexed:
            return cls._of(backend, None)
        if stream_id == 0:
            return cls._of(backend, backend.default_stream(device_index))
        found = _streams.get((backend.device_type, device_index, stream_id))
        if found is None:
            raise RuntimeError(
                f"{backend.device_type}:{device_index} has no stream {stream_id}"
            )
        return cls._of(backend, found._native)

    @classmethod
    def _of(cls, backend: Backend, native: Any) -> Any:
        """The stream of a native one (None: the only stream of a device)."""
        made = object.__new__(cls)
        made._backend = backend
        made._native = native
        made.device_index = -1 if native is None else backend.stream_index(native)
        if native is not None:
            # The oldest wrapper is the one that lives longest, most likely.
            _streams.setdefault(made._identity(), made)
        return made

    @property
    def device(self) -> Device:
        """The device whose work is queued."""
        index = self.device_index
        return Device(self._backend.device_type, None if index < 0 else index)

    @property
    def device_type(self) -> int:
        """PyTorch's number of the device type."""
        return _number_of(self._backend.device_type)

    @property
    def stream_id(self) -> int:
        """A number that tells the streams of a device apart; 0 for the default one."""
        return 0 if self._native is None else self._backend.stream_id(self._native)

    @property
    def priority(self) -> int:
        """The priority in the scheduling of the device; lower is more urgent."""
        return (
            0 if self._native is None else self._backend.stream_priority(self._native)
        )

    @property
    def native_handle(self) -> int:
        """The number by which the device's driver knows the stream."""
        if self._native is None:
            raise RuntimeError("Backend doesn't support getting stream native handle.")
        return self._backend.stream_handle(self._native)

    def query(self) -> bool:
        """Whether all work so far is done."""
        return self._native is None or self._backend.query_stream(self._native)

    def synchronize(self) -> None:
        """Waits until all work so far is done."""
        if self._native is not None:
            self._backend.synchronize_stream(self._native)

    def is_capturing(self) -> bool:
        """Whether work is recorded into a graph instead of run."""
        return self._native is not None and self._backend.is_capturing(self._native)

    def record_event(self, event: Any = None) -> Any:
        """Records an event (a new one by default) at the end of the work so far."""
        if self._native is None:
            _no_events(self._backend)
        if event is None:
            event = self._new_event()
        event.record(self)
        return event

    def _new_event(self) -> Any:
        return Event._made(self._backend)

    def wait_event(self, event: Event) -> None:
        """Makes work queued from now on wait for an event."""
        if not isinstance(event, Event):
            raise RuntimeError("expected event to be a torch.Event object")
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """Makes work queued from now on wait for another stream's work so far."""
        if self._native is None:
            _no_events(self._backend)
        if not isinstance(stream, Stream):
            raise RuntimeError("expected stream to be a torch.Stream object")
        self.wait_event(stream.record_event())

    def __enter__(self) -> Stream:
        _enter(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _leave()

    def _identity(self) -> tuple[Any, ...]:
        return self._backend.device_type, self.device_index, self.stream_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return (
            f"torch.Stream device_type={self._backend.device_type}, "
            f"device_index={self.device_index}, stream_id={self.stream_id}"
        )


def _no_events(backend: Backend) -> NoReturn:
    raise RuntimeError(f"{backend.device_type} backend doesn't support events.")


def _enter(stream: Any) -> None:
    """Makes a stream (None: no other) and its device current until ``_leave``."""
    before = None
    if stream is not None and stream._native is not None:
        backend, index = stream._backend, stream.device_index
        before = backend, backend.current_device(), index, backend.current_stream(index)
        backend.set_device(index)
        backend.set_stream(index, stream._native)
    _entered.stack.append(before)


def _leave() -> None:
    before = _entered.stack.pop()
    if before is not None:
        backend, device, index, native = before
        backend.set_stream(index, native)
        backend.set_device(device)


def current_stream(backend: Backend, index: int) -> Stream:
    """This thread's stream of a device, of the class that its namespace has."""
    made: Stream = stream_class(backend.device_type)._of(
        backend, backend.current_stream(index)
    )
    return made


def set_stream(stream: Any) -> None:
    """Makes a stream and its device this thread's current ones."""
    if stream._native is not None:
        stream._backend.set_device(stream.device_index)
        stream._backend.set_stream(stream.device_index, stream._native)


class StreamContext:
    """A block in which a stream (None: no other) and its device are current."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        _enter(self.stream)

    def __exit__(self, *exc_info: object) -> None:
        _leave()


class Event:
    """A place in a stream's work (``torch.Event``), to wait for or to measure time from.

    ``torch.Event(device=None, *, enable_timing=False, blocking=False,
    interprocess=False)``, by default of the current accelerator.
    """

    __slots__ = ("__dict__", "__weakref__", "_backend", "_index", "_native", "_options")

    _backend: Backend
    _index: int
    _native: Any
    _options: tuple[bool, ...]  # timing, blocking, shared

    def __new__(cls, *args: Any, **options: Any) -> Any:
        device = options.pop("device", None) if not args else _arguments("Event", args)
        names = ("enable_timing", "blocking", "interprocess")
        flags = tuple(bool(options.pop(name, False)) for name in names)
        for name in options:
            raise TypeError(f"Event() got an unexpected keyword argument '{name}'")
        return cls._made(_resolved(_device_of("Event", device))[0], *flags)

    @classmethod
    def _made(cls, backend: Backend, timing: bool = False, *flags: bool) -> Any:
        made = object.__new__(cls)
        made._backend = backend
        made._index = -1  # the device's index is known when it is recorded
        made._native = None
        made._options = (timing, *(flags or (False, False)))
        return made

    @property
    def device(self) -> Device:
        """The device of the streams that can record it."""
        index = self._index
        return Device(self._backend.device_type, None if index < 0 else index)

    @property
    def event_id(self) -> int:
        """The number by which the driver knows a recorded event, else 0."""
        return 0 if self._native is None else self._backend.event_handle(self._native)

    def record(self, stream: Any = None) -> None:
        """Marks the end of a stream's work so far; the current stream by default."""
        backend = self._backend
        if not backend.indexed:
            _no_events(backend)
        stream = self._stream(stream)
        if stream._backend is not backend:
            raise RuntimeError(
                f"Event device type {backend.device_type.upper()} does not match "
                f"recording stream's device type {stream._backend.device_type.upper()}."
            )
        if self._native is None:
            self._index = stream.device_index
            self._native = backend.new_event(self._index, *self._options)
        elif stream.device_index != self._index:
            raise RuntimeError(
                f"Event device index {self._index} does not match recording stream's "
                f"device index {stream.device_index}."
            )
        backend.record_event(self._native, stream._native)

    def _stream(self, stream: Any) -> Any:
        if stream is None:
            backend = self._backend
            index = self._index if self._index >= 0 else backend.current_device()
            return current_stream(backend, index)
        if not isinstance(stream, Stream):
            raise RuntimeError("expected stream to be a torch.Stream object")
        return stream

    def wait(self, stream: Any = None) -> None:
        """Makes later work of a stream (the current by default) wait for the event.

        A stream of another device type can't, and its later work waits here.
        """
        if self._native is None:
            return
        stream = self._stream(stream)
        if stream._backend is self._backend:
            self._backend.wait_event(stream._native, self._native)
        else:
            self.synchronize()

    def query(self) -> bool:
        """Whether the work before the event is done (also if it wasn't recorded)."""
        return self._native is None or self._backend.query_event(self._native)

    def synchronize(self) -> None:
        """Waits until the work before the event is done."""
        if self._native is not None:
            self._backend.synchronize_event(self._native)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to ``end_event``.

        Raises ValueError unless both were made with ``enable_timing`` and are done.
        """
        if not isinstance(end_event, Event):
            raise RuntimeError("expected other to be a torch.Event object")
        both = self, end_event
        if not all(event._options[0] for event in both):
            raise ValueError(
                "Both events must be created with argument 'enable_timing=True'."
            )
        if any(event._native is None for event in both):
            raise ValueError(
                "Both events must be recorded before calculating elapsed time."
            )
        if not all(event.query() for event in both):
            raise ValueError(
                "Both events must be completed before calculating elapsed time."
            )
        return self._backend.elapsed_ms(self._native, end_event._native)

    def ipc_handle(self) -> bytes:
        """Not supported: events aren't shared between processes."""
        raise NotImplementedError(
            "torch.Event ipc is not supported yet, please open an issue if you need this!"
        )

    @classmethod
    def from_ipc_handle(cls, device: Any, handle: bytes) -> Event:
        """Not supported: events aren't shared between processes."""
        raise NotImplementedError(
            "torch.Event ipc is not supported yet, please open an issue if you need this!"
        )

    def __repr__(self) -> str:
        return (
            f"torch.Event device_type={self._backend.device_type}, "
            f"device_index={self._index}, event_flag={int(self._options[0])}, "
            f"event_id={self.event_id}"
        )


for _class in (Stream, Event):
    _class.__module__ = "torch"


# torch.<device type>.Stream and its kin, one class each for a device type.


class _Typed:
    """What a namespace's classes have over the general ones."""

    __slots__ = ()

    _type: str

    @classmethod
    def _own(cls, what: str) -> Backend:
        from dispatchtorch.device_namespace import required

        return required(cls._type, what)


class _TypedStream(_Typed, Stream):
    __slots__ = ()

    def __new__(cls, device: Any = None, priority: int = 0, **options: Any) -> Any:
        name = cls._type
        backend = cls._own(f"torch.{name}.Stream requires {name.upper()} support")
        if "stream_id" in options:
            return cls._known(**options)
        if "stream_ptr" in options:
            index = device_index(backend, device)
            return cls._of(
                backend, backend.external_stream(index, options["stream_ptr"])
            )
        for name in options:
            raise TypeError(f"Stream() got an unexpected keyword argument '{name}'")
        return cls._of(
            backend, backend.new_stream(device_index(backend, device), priority)
        )

    def _new_event(self) -> Any:
        return event_class(self._type)._made(self._backend)

    @classmethod
    def priority_range(cls) -> tuple[int, int]:
        """(lowest, highest) priority of a stream."""
        return get_backend(cls._type).stream_priority_range()

    @property
    def _as_parameter_(self) -> Any:
        import ctypes

        return ctypes.c_void_p(self.native_handle)

    def __repr__(self) -> str:
        name = self._type
        return f"<torch.{name}.Stream device={self.device} {name}_stream={self.native_handle:#x}>"


class _TypedEvent(_Typed, Event):
    __slots__ = ()

    def __new__(
        cls,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
        external: bool = False,
    ) -> Any:
        backend = cls._own("Tried to instantiate dummy base class Event")
        return cls._made(backend, enable_timing, blocking, interprocess)

    @property
    def _as_parameter_(self) -> Any:
        import ctypes

        return ctypes.c_void_p(self.event_id)

    def __repr__(self) -> str:
        name = f"torch.{self._type}.Event"
        if self._native is None:
            return f"<{name} uninitialized>"
        return f"<{name} {self._as_parameter_.value:#x}>"


_classes: dict[tuple[str, str], Any] = {}


def _typed(device_type: str, name: str, bases: tuple[Any, ...], **members: Any) -> Any:
    found = _classes.get((device_type, name))
    if found is None:
        members |= {"_type": device_type, "__module__": f"torch.{device_type}"}
        found = _classes[device_type, name] = type(name, bases, members)
    return found


def stream_class(device_type: str) -> Any:
    """``torch.<device type>.Stream``; ``Stream(device=None, priority=0)``."""
    return _typed(
        device_type,
        "Stream",
        (_TypedStream,),
        **{
            f"{device_type}_stream": _TypedStream.native_handle,
            # The protocol by which libraries take each other's streams.
            f"__{device_type}_stream__": lambda self: (0, self.native_handle),
        },
        __doc__=f"A queue of work of a {device_type} device, done in order.",
    )


def event_class(device_type: str) -> Any:
    """``torch.<device type>.Event``; ``Event(enable_timing=False, blocking=False, …)``."""
    return _typed(
        device_type,
        "Event",
        (_TypedEvent,),
        **{f"{device_type}_event": _TypedEvent.event_id},
        __doc__=f"A place in the work of a stream of a {device_type} device.",
    )


def external_stream_class(device_type: str) -> Any:
    """``torch.<device type>.ExternalStream``: another library's stream, by its number."""

    def new(cls: Any, stream_ptr: int, device: Any = None, **options: Any) -> Any:
        base = stream_class(device_type)
        return base.__new__(cls, device=device, stream_ptr=stream_ptr, **options)

    return _typed(
        device_type,
        "ExternalStream",
        (stream_class(device_type),),
        __new__=new,
        __doc__="A stream that another library made, by the number its driver gave it.",
    )
