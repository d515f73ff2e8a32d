"""Streams, events and current devices: of the host, of devices without and with queues."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from dispatchtorch_loopback import make_backend

import dispatchtorch as torch
from dispatchtorch.backend import register_backend
from dispatchtorch.plugins import manager

EVENTLESS = "cpu backend doesn't support events."


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A loopback that is the accelerator, with two devices and memory figures."""
    monkeypatch.setattr(manager, "accelerators", lambda: ["chip"])
    backend = make_backend("chip")
    backend.is_accelerator = True
    figures = {"allocated": 5, "max_allocated": 9, "reserved": 12, "total": 100}
    peaks = {"reset": 0}

    def reset(index: int) -> None:
        peaks["reset"] += 1
        figures["max_allocated"] = figures["allocated"]

    backend.memory_stats = lambda index: dict(figures)
    backend.reset_peak_memory_stats = reset
    backend.mem_get_info = lambda index: (88, 100)
    handle = register_backend(backend)
    yield "chip"
    handle.remove()


def other_devices() -> list[Any]:
    found = ["loopback"]
    try:
        if torch.opencl.is_available():
            found.append("opencl")
    except (AttributeError, RuntimeError):
        pass
    return found


with_others = pytest.mark.parametrize("device", other_devices())


# The host.


def test_the_hosts_stream_is_always_done_and_has_no_events():
    stream = torch.Stream("cpu")
    assert (stream.device, stream.device_index, stream.stream_id) == (
        torch.device("cpu"),
        -1,
        0,
    )
    assert stream.query() and not stream.is_capturing()
    stream.synchronize()
    assert stream == torch.Stream("cpu", priority=1)
    assert hash(stream) == hash(torch.Stream("cpu"))
    assert stream != 3
    with stream as entered:
        assert entered is stream
    for call in (stream.record_event, lambda: stream.wait_stream(stream)):
        with pytest.raises(RuntimeError, match=EVENTLESS):
            call()
    with pytest.raises(RuntimeError, match="native handle"):
        stream.native_handle  # noqa: B018


def test_the_hosts_events_cannot_be_recorded():
    event = torch.Event("cpu")
    assert event.query() and event.event_id == 0
    event.wait()
    event.synchronize()
    with pytest.raises(RuntimeError, match=EVENTLESS):
        event.record()


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: torch.Stream(1.5), TypeError, "must be torch.device, not float"),
        (lambda: torch.Stream("cpu", 1), TypeError, "from 0 to 1 positional"),
        (lambda: torch.Stream(foo=1), TypeError, "unexpected keyword argument 'foo'"),
        (lambda: torch.Event("cpu", True), TypeError, "from 0 to 1 positional"),
        (lambda: torch.Event(foo=1), TypeError, "unexpected keyword argument 'foo'"),
        (lambda: torch.Stream("cuda"), RuntimeError, "pip install"),
        (lambda: torch.Stream("loopback:7"), RuntimeError, "loopback:7 doesn't exist"),
        (lambda: torch.ones(2, device="loopback:7"), RuntimeError, "doesn't exist"),
        (lambda: torch.ones(2).to("loopback:7"), RuntimeError, "doesn't exist"),
        (lambda: torch.Generator("loopback:7"), RuntimeError, "doesn't exist"),
        (lambda: torch.ones(2).record_stream(3), RuntimeError, "unknown parameter"),
        (
            lambda: torch.ones(2).record_stream(torch.Stream("cpu")),
            NotImplementedError,
            "Could not run 'aten::record_stream'",
        ),
        (
            lambda: torch.Event("loopback").record(torch.Stream("cpu")),
            RuntimeError,
            "does not match recording stream's device type CPU",
        ),
        (
            lambda: torch.Event("loopback").ipc_handle(),
            NotImplementedError,
            "ipc is not supported",
        ),
    ],
)
def test_wrong_arguments_are_refused(call: Any, error: type[Exception], words: str):
    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("the device is there")
    with pytest.raises(error, match=words):
        call()


def test_the_namespace_of_the_host_is_pytorchs():
    assert torch.cpu.current_device() == "cpu"
    assert torch.cpu.device_count() == 1
    stream = torch.cpu.Stream()
    before = torch.cpu.current_stream()
    with torch.cpu.stream(stream):
        assert torch.cpu.current_stream() is stream
    assert torch.cpu.current_stream() is before
    assert torch.cpu.get_capabilities()["num_logical_cores"] >= 1
    assert not hasattr(torch.cpu, "memory_allocated")


# Devices.


@with_others
def test_new_streams_differ_and_the_default_is_number_0(device: str):
    first, second = torch.Stream(device), torch.Stream(device)
    assert first != second and first == first
    assert first.device == torch.device(device, 0)
    namespace = torch.get_device_module(device)
    default = namespace.default_stream()
    assert default.stream_id == 0
    assert default == namespace.current_stream()
    assert isinstance(default, namespace.Stream) and isinstance(default, torch.Stream)
    again = torch.Stream(
        stream_id=first.stream_id,
        device_index=first.device_index,
        device_type=first.device_type,
    )
    assert again == first


@with_others
def test_a_block_of_a_stream_makes_it_current_and_goes_back(device: str):
    namespace = torch.get_device_module(device)
    outer, inner = namespace.Stream(), torch.Stream(device)
    default = namespace.current_stream()
    with outer:
        with inner, outer:
            assert namespace.current_stream() == outer
        assert namespace.current_stream() == outer
        with namespace.stream(None), namespace.stream(inner):
            assert namespace.current_stream() == inner
    assert namespace.current_stream() == default
    with pytest.raises(ValueError, match="leave"), inner:
        raise ValueError("leave")
    assert namespace.current_stream() == default
    namespace.set_stream(inner)
    assert namespace.current_stream() == inner
    namespace.set_stream(default)


@with_others
def test_streams_are_each_threads_own(device: str):
    namespace = torch.get_device_module(device)
    default = namespace.current_stream()
    seen = []

    def work() -> None:
        with namespace.Stream():
            barrier.wait()
            seen.append(namespace.current_stream())
            barrier.wait()

    barrier = threading.Barrier(2)
    thread = threading.Thread(target=work)
    thread.start()
    barrier.wait()
    assert namespace.current_stream() == default
    barrier.wait()
    thread.join()
    assert seen[0] != default


@with_others
def test_events_order_streams_and_measure_time(device: str):
    namespace = torch.get_device_module(device)
    side = namespace.Stream()
    start = namespace.Event(enable_timing=True)
    end = namespace.Event(enable_timing=True)
    assert "uninitialized" in repr(end)
    x = torch.ones(1 << 16, device=device)
    start.record()
    side.wait_stream(namespace.current_stream())
    with side:
        for _ in range(10):
            x = x + 1
        end.record()
    end.wait()
    y = x * 2
    x.record_stream(namespace.current_stream())
    assert y[0].item() == 22
    end.synchronize()
    assert end.query() and side.query()
    assert 0 <= start.elapsed_time(end) < 60_000
    assert end.event_id != 0 and end.device == side.device


@with_others
def test_what_events_cannot_measure(device: str):
    timed = torch.Event(device, enable_timing=True)
    plain = torch.Event(device)
    with pytest.raises(ValueError, match="enable_timing=True"):
        timed.elapsed_time(plain)
    with pytest.raises(ValueError, match="must be recorded before"):
        timed.elapsed_time(torch.Event(device, enable_timing=True))
    with pytest.raises(RuntimeError, match=r"torch\.Event object"):
        timed.elapsed_time(3)
    recorded = torch.Stream(device).record_event()
    assert isinstance(recorded, torch.Event) and recorded.device.type == device
    recorded.synchronize()


def test_time_between_events_is_the_hosts_without_queues():
    start, end = (torch.Event("loopback", enable_timing=True) for _ in range(2))
    start.record()
    time.sleep(0.01)
    end.record()
    assert 9 < start.elapsed_time(end) < 10_000


def test_an_event_belongs_to_the_index_that_it_was_recorded_on():
    event = torch.Event("loopback")
    assert event.device == torch.device("loopback")
    event.record(torch.Stream("loopback:1"))
    assert event.device == torch.device("loopback", 1)
    with pytest.raises(RuntimeError, match="device index 1 does not match"):
        event.record(torch.Stream("loopback:0"))


# The current device.


def test_set_device_decides_what_a_device_without_an_index_means():
    assert torch.loopback.current_device() == 0
    with torch.loopback.device(1):
        assert torch.loopback.current_device() == 1
        assert torch.ones(1, device="loopback").device == torch.device("loopback", 1)
        assert torch.Stream("loopback").device_index == 1
        with torch.loopback.device(-1), torch.loopback.device(None):
            assert torch.loopback.current_device() == 1
    assert torch.loopback.current_device() == 0
    x = torch.ones(1, device="loopback:1")
    with torch.loopback.device_of(x):
        assert torch.loopback.current_device() == 1
    with torch.loopback.device_of(torch.ones(1)):
        assert torch.loopback.current_device() == 0
    torch.loopback.set_device("loopback:1")
    torch.loopback.set_device(-1)
    assert torch.loopback.current_device() == 1
    torch.loopback.set_device(0)
    with pytest.raises(
        RuntimeError, match="ordinal: loopback:2 doesn't exist, there are 2"
    ):
        torch.loopback.set_device(2)
    with pytest.raises(ValueError, match="Expected a loopback device, but got: cpu"):
        torch.loopback.set_device("cpu")


def test_a_stream_of_another_index_makes_that_index_current():
    with torch.Stream("loopback:1"):
        assert torch.loopback.current_device() == 1
        assert torch.empty(1, device="loopback").device.index == 1
    assert torch.loopback.current_device() == 0


def test_devices_are_made_the_default_by_blocks_and_for_good():
    with torch.device("loopback:1"):
        assert torch.zeros(2).device == torch.device("loopback", 1)
        assert torch.get_default_device() == torch.device("loopback", 1)
    torch.set_default_device("loopback")
    try:
        assert torch.zeros(2).device == torch.device("loopback", 0)
    finally:
        torch.set_default_device(None)
    assert torch.zeros(2).device == torch.device("cpu")


# torch.accelerator.


def test_the_accelerator_is_the_devices_own_functions(accelerator: str):
    a = torch.accelerator
    assert a.is_available() and a.device_count() == 2
    assert a.current_accelerator() == torch.device(accelerator)
    assert torch.device(1) == torch.device(accelerator, 1)
    assert torch.Stream().device == torch.device(accelerator, 0)
    with a.device_index(1):
        assert a.current_device_index() == 1
        with a.device_index(None):
            assert a.current_device_idx() == 1
        stream = torch.Stream()
        assert stream.device_index == 1
    a.set_device_index(f"{accelerator}:1")
    assert a.current_device_index() == 1
    a.set_device_idx(0)
    a.set_stream(stream)
    assert a.current_device_index() == 1 and a.current_stream() == stream
    assert a.current_stream(0) != stream
    a.set_stream(a.current_stream(0))
    a.synchronize()
    a.synchronize(torch.device(accelerator, 1))
    a.empty_cache()
    assert torch.float32 in a.get_device_capability()["supported_dtypes"]
    with pytest.raises(ValueError, match="doesn't match the current accelerator"):
        a.synchronize("loopback")
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        a.set_device_index(5)
    with pytest.raises(TypeError, match=r"expected torch\.Stream"):
        a.set_stream(None)
    with pytest.raises(NotImplementedError, match="no graphs"):
        a.Graph()


def test_memory_figures_have_pytorchs_names(accelerator: str):
    a = torch.accelerator
    assert (a.memory_allocated(), a.max_memory_allocated()) == (5, 9)
    assert (a.memory_reserved(), a.max_memory_reserved()) == (12, 12)
    stats = a.memory_stats()
    assert stats["allocated_bytes.all.peak"] == 9
    assert list(stats) == sorted(stats)
    assert a.get_memory_info() == (88, 100)
    a.reset_peak_memory_stats(1)
    a.reset_accumulated_memory_stats()
    assert a.max_memory_allocated() == 5
    nested = torch.chip.memory_stats_as_nested_dict()
    assert nested["allocated_bytes"]["all"]["current"] == 5
    assert "Allocated memory" in torch.chip.memory_summary()
    properties = torch.chip.get_device_properties(1)
    assert properties.total_memory == 100
    assert repr(properties).startswith("_ChipDeviceProperties(name='loopback")
    with pytest.raises(NotImplementedError, match="limit its allocator"):
        torch.chip.set_per_process_memory_fraction(0.5)
    with pytest.raises(ValueError, match="Allowed range: 0~1"):
        torch.chip.set_per_process_memory_fraction(2.0)


def test_host_memory_is_pinned_by_the_accelerator(accelerator: str):
    from dispatchtorch.backend import get_backend

    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        torch.ones(2, device=accelerator).pin_memory()
    x = torch.arange(4.0)
    assert x.pin_memory() is x and not x.is_pinned()  # a device that gains nothing
    backend: Any = get_backend(accelerator)
    pinned: list[int] = []

    def pin(array: Any) -> Any:
        made = array.copy()
        pinned.append(made.ctypes.data)
        return made

    backend.pin_memory = pin
    backend.is_pinned = lambda array: array.ctypes.data in pinned
    y = x.pin_memory()
    assert y.is_pinned() and y.data_ptr() != x.data_ptr()
    assert torch.equal(x, y) and y.pin_memory() is y


# Generators.


def test_each_device_has_a_generator_of_its_own():
    torch.manual_seed(3)
    first = torch.rand(4, device="loopback:1")
    torch.rand(4, device="loopback:0")
    torch.manual_seed(3)
    torch.rand(9, device="loopback:0")
    assert torch.equal(torch.rand(4, device="loopback:1"), first)
    torch.loopback.manual_seed_all(5)
    assert [g.initial_seed() for g in torch.loopback.default_generators] == [5, 5]
    with torch.loopback.device(1):
        torch.loopback.manual_seed(6)
        assert torch.loopback.initial_seed() == 6
    assert torch.loopback.initial_seed() == 5
    states = torch.loopback.get_rng_state_all()
    drawn = torch.rand(3, device="loopback:1")
    torch.loopback.set_rng_state_all(states)
    assert torch.equal(torch.rand(3, device="loopback:1"), drawn)
    assert torch.Generator("loopback:1").device == torch.device("loopback", 1)


def test_devices_that_come_later_start_from_the_last_seed():
    torch.manual_seed(11)
    handle = register_backend(make_backend("late"))
    try:
        assert torch.late.initial_seed() == 11
    finally:
        handle.remove()


def test_fork_rng_keeps_the_generators_of_all_devices():
    torch.manual_seed(1)
    with torch.random.fork_rng():
        inside = torch.rand(2), torch.rand(2, device="loopback:1")
    after = torch.rand(2), torch.rand(2, device="loopback:1")
    assert all(map(torch.equal, inside, after))
    with torch.random.fork_rng([1], device_type="loopback"):
        torch.rand(2, device="loopback:0")
        inside = torch.rand(2), torch.rand(2, device="loopback:1")
    after = torch.rand(2), torch.rand(2, device="loopback:1")
    assert all(map(torch.equal, inside, after))


def test_the_default_generator_has_another_seed_in_each_process():
    import subprocess
    import sys

    code = "import dispatchtorch as torch; print(torch.initial_seed())"
    seeds = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(seeds) == 2
