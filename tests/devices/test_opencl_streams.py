"""Streams, events and memory of the OpenCL device beyond what every device is asked."""

from __future__ import annotations

import gc
import threading

import pytest

import dispatchtorch as torch
from tests.devices.opencl_cases import D, needs_opencl

pytestmark = needs_opencl


def test_the_kits_checks_of_streams_pass():
    from dispatchtorch.testing.conformance import Kit

    kit = Kit(D)
    names = kit.checks("stream|event|current index|figures")
    assert len(names) >= 6
    found = {name: kit.check_device(name) for name in names}
    assert {r.outcome for r in found.values()} == {"pass"}, found


def test_a_wrong_index_is_reported_by_the_stream_that_found_it():
    stream = torch.opencl.Stream()
    x = torch.ones(3, device=D)
    index = torch.tensor([9], device=D)
    stream.wait_stream(torch.opencl.current_stream())
    with stream:
        with pytest.raises(IndexError, match="out of"):
            x.index_select(0, index)
            stream.synchronize()
        assert x.index_select(0, torch.tensor([1], device=D)).item() == 1
    assert x.sum().item() == 3


def test_memory_of_another_stream_is_kept_until_it_is_done():
    runtime = backend().runtime(0)
    stream = torch.opencl.Stream()
    x = torch.ones(1 << 16, device=D)
    stream.wait_stream(torch.opencl.current_stream())
    with stream:
        y = x + 1
        x.record_stream(stream)
    before = len(runtime._held)
    del x
    gc.collect()
    assert len(runtime._held) == before + 1
    stream.synchronize()
    torch.empty(1, device=D)
    assert not runtime._held
    assert y.sum().item() == 2 << 16


def backend():
    from dispatchtorch.backend import get_backend

    return get_backend(D)


def test_a_queue_of_another_library_becomes_a_stream():
    import pyopencl as cl

    runtime = backend().runtime(0)
    queue = cl.CommandQueue(runtime.context)
    stream = torch.opencl.get_stream_from_external(queue.int_ptr)
    assert stream.opencl_stream == queue.int_ptr
    assert torch.opencl.ExternalStream(queue.int_ptr).native_handle == queue.int_ptr
    with stream:
        x = torch.arange(4, device=D) * 2
        assert x.tolist() == [0, 2, 4, 6]
    foreign = cl.CommandQueue(cl.Context([runtime.device]))
    with pytest.raises(RuntimeError, match="another context"):
        torch.opencl.get_stream_from_external(foreign.int_ptr)


def test_a_limit_of_memory_is_kept_and_running_into_it_is_counted():
    torch.opencl.empty_cache()
    torch.opencl.reset_accumulated_memory_stats()
    free, total = torch.opencl.mem_get_info()
    fraction = (total - free + (32 << 20)) / total
    torch.opencl.set_per_process_memory_fraction(fraction)
    try:
        assert torch.opencl.get_per_process_memory_fraction() == fraction
        with pytest.raises(torch.OutOfMemoryError, match=r"allocate 64\.00 MiB"):
            torch.empty(64 << 20, dtype=torch.int8, device=D)
        stats = torch.opencl.memory_stats()
        assert (stats["num_ooms"], stats["num_alloc_retries"]) == (1, 1)
        assert torch.ones(1 << 20, device=D).sum().item() == 1 << 20
    finally:
        torch.opencl.set_per_process_memory_fraction(1.0)
    assert torch.empty(64 << 20, dtype=torch.int8, device=D).numel() == 64 << 20


def test_threads_with_streams_of_their_own_compute_side_by_side():
    found = {}

    def work(seed: int) -> None:
        with torch.opencl.Stream() as stream:
            x = torch.full((1 << 12,), float(seed), device=D)
            for _ in range(50):
                x = x + 1
            found[seed] = x.sum().item()
            stream.synchronize()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: (n + 50) * 4096.0 for n in range(4)}


def test_generators_of_a_device_draw_on_it():
    generator = torch.Generator("opencl:0").manual_seed(4)
    again = torch.Generator(D).manual_seed(4)
    drawn = torch.rand(5, device=D, generator=generator)
    assert torch.equal(drawn, torch.rand(5, device=D, generator=again))
    assert generator.get_offset() > 0
    state = torch.opencl.get_rng_state()
    first = torch.randn(3, device=D)
    torch.opencl.set_rng_state(state)
    assert torch.equal(torch.randn(3, device=D), first)


def test_properties_say_what_the_device_is():
    properties = torch.opencl.get_device_properties(0)
    assert properties.total_memory > 1 << 20 and properties.multi_processor_count > 0
    assert repr(properties).startswith("_OpenclDeviceProperties(name=")
