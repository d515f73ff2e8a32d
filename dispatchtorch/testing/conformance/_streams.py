"""What the conformance kit asks of a device's streams, events and current index.

For devices that work synchronously the core's own answers are tested; they pass.
"""

from __future__ import annotations

import threading
from typing import Any

import dispatchtorch as torch
from dispatchtorch.backend import Backend, get_backend

from ._device import NotApplicable, _check, _expect, _same

__all__: list[str] = []


def _streamed(device: str) -> tuple[Any, Backend, int]:
    """The namespace, backend and index of a device that has streams."""
    place = torch.device(device)
    backend = get_backend(place.type)
    if not backend.indexed:
        raise NotApplicable("there is one stream, which is always done")
    return torch.get_device_module(place), backend, place.index or 0


@_check("streams are told apart and made current")
def _current(device: str) -> None:
    namespace, backend, index = _streamed(device)
    default = namespace.default_stream(index)
    _expect(default.stream_id == 0, f"the default stream's id is {default.stream_id}")
    _expect(namespace.current_stream(index) == default, "another stream is current")
    first, second = namespace.Stream(index), torch.Stream(f"{namespace._type}:{index}")
    _expect(first != second, "two new streams are equal")
    _expect(first != default and second != default, "a new stream is the default one")
    _expect(first.device == torch.device(backend.device_type, index), "Stream.device")
    low, high = namespace.Stream.priority_range()
    _expect(high <= low, f"priority_range() is {(low, high)}")
    with first:
        _expect(namespace.current_stream(index) == first, "with stream: isn't current")
        with second:
            _expect(namespace.current_stream(index) == second, "nested: isn't current")
        _expect(
            namespace.current_stream(index) == first, "the outer one isn't restored"
        )
        seen: list[Any] = []
        thread = threading.Thread(
            target=lambda: seen.append(namespace.current_stream(index))
        )
        thread.start()
        thread.join()
        _expect(seen == [default], "a thread sees another thread's stream")
    _expect(namespace.current_stream(index) == default, "the default isn't restored")


@_check("events order the work of streams")
def _ordered(device: str) -> None:
    namespace, _, index = _streamed(device)
    first, second = namespace.Stream(index), namespace.Stream(index)
    for wait in ("event", "stream", "current"):
        x = torch.ones(1 << 16, device=device)
        first.wait_stream(namespace.current_stream(index))
        with first:
            for _ in range(20):
                x = x + 1
            done = first.record_event()
        with second:
            if wait == "event":
                second.wait_event(done)
            elif wait == "stream":
                second.wait_stream(first)
            else:
                done.wait()
            y = x * 2
            x.record_stream(second)
        del x
        namespace.current_stream(index).wait_stream(second)
        _same(y, torch.full((1 << 16,), 42.0), f"after waiting for an {wait}")
        first.synchronize()
        second.synchronize()
        _expect(done.query(), "an event of a synchronised stream isn't done")
        _expect(first.query() and second.query(), "a synchronised stream isn't done")


@_check("memory isn't reused before other streams are done with it")
def _reused(device: str) -> None:
    namespace, _, index = _streamed(device)
    side = namespace.Stream(index)
    for round_ in range(4):
        x = torch.full((1 << 18,), float(round_), device=device)
        side.wait_stream(namespace.current_stream(index))
        with side:
            total = x
            for _ in range(8):
                total = total + x
            x.record_stream(side)
        del x
        torch.zeros(1 << 18, device=device)
        side.synchronize()
        _same(total, torch.full((1 << 18,), 9.0 * round_), "a sum of freed memory")


@_check("events measure time")
def _timed(device: str) -> None:
    namespace, _, index = _streamed(device)
    events = [namespace.Event(enable_timing=True) for _ in range(3)]
    x = torch.ones(64, 64, device=device)
    stream = namespace.current_stream(index)
    for event in events:
        event.record(stream)
        for _ in range(10):
            x = (x @ x) / 64
    namespace.synchronize(index)
    first, middle, last = events
    _expect(all(event.query() for event in events), "events aren't done")
    steps = first.elapsed_time(middle), middle.elapsed_time(last)
    whole = first.elapsed_time(last)
    _expect(min(steps) >= 0, f"time runs backwards: {steps} ms")
    _expect(
        abs(whole - sum(steps)) <= 0.01 * whole + 0.01, f"{steps} ms, in all {whole}"
    )
    try:
        first.elapsed_time(namespace.Event(enable_timing=True))
    except ValueError:
        return
    raise AssertionError("an event that wasn't recorded has a time")


@_check("the current index decides where tensors are made")
def _index(device: str) -> None:
    namespace, backend, _ = _streamed(device)
    before = namespace.current_device()
    last = backend.device_count() - 1
    with namespace.device(last):
        _expect(namespace.current_device() == last, "current_device() in a block")
        made = torch.ones(2, device=backend.device_type)
        _expect(made.device.index == last, f"a tensor is made on {made.device}")
        _same(made + 1, torch.full((2,), 2.0), f"on index {last}")
    _expect(namespace.current_device() == before, "the index isn't restored")
    try:
        namespace.set_device(last + 1)
    except RuntimeError:
        return
    raise AssertionError(f"set_device({last + 1}) is accepted")


@_check("figures of memory follow what tensors take")
def _figures(device: str) -> None:
    namespace, backend, index = _streamed(device)
    if "allocated" not in backend.memory_stats(index):
        raise NotApplicable("memory_stats() doesn't say 'allocated'")
    namespace.synchronize(index)
    namespace.reset_peak_memory_stats(index)
    start = namespace.memory_allocated(index)
    _expect(
        namespace.max_memory_allocated(index) == start,
        "reset_peak_memory_stats() leaves the peak",
    )
    x = torch.ones(1 << 18, device=device)
    held = namespace.memory_allocated(index) - start
    _expect(held >= 1 << 20, f"{held} bytes more, expected {1 << 20}")
    del x
    namespace.synchronize(index)
    namespace.empty_cache()
    peak = namespace.max_memory_allocated(index)
    _expect(peak >= start + (1 << 20), f"the peak is {peak}, after {start}")
    _expect(namespace.memory_allocated(index) <= start, "memory isn't given back")
    if "reserved" in backend.memory_stats(index):
        reserved = namespace.memory_reserved(index)
        used = namespace.memory_allocated(index)
        _expect(reserved >= used, f"{reserved} bytes are reserved and {used} in use")
