"""The device ``cuda`` on a GPU: memory, streams, random numbers, graphs, exchange."""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch.dispatch.operator import all_operators
from tests.devices.cuda.cases import D, compare, needs_cuda, why_not

if not why_not():
    import cupy

F = torch.nn.functional


def oracle() -> Any:
    """PyTorch with a GPU of its own, or the test is skipped."""
    found = pytest.importorskip("torch")
    if not found.cuda.is_available():
        pytest.skip("the PyTorch here has no CUDA")
    return found


@needs_cuda
def test_every_required_primitive_has_a_kernel():
    from dispatchtorch.backend import get_backend

    required = {
        n
        for n, op in all_operators().items()
        if op.is_primitive and "fallback" not in op.tags
    }
    assert required <= get_backend(D).kernels.keys()


# Memory.


@needs_cuda
def test_figures_follow_what_tensors_take():
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    x = torch.empty(1 << 20, device=D)
    assert torch.cuda.memory_allocated() - before == 4 << 20
    del x
    assert torch.cuda.memory_allocated() == before
    assert torch.cuda.max_memory_allocated() - before == 4 << 20
    assert torch.cuda.memory_reserved() >= torch.cuda.memory_allocated()
    free, total = torch.cuda.mem_get_info()
    assert 0 < free < total


@needs_cuda
def test_running_out_of_memory_says_so_and_loses_nothing():
    x = torch.arange(4.0, device=D)
    with pytest.raises(torch.cuda.OutOfMemoryError, match="CUDA out of memory. Tried"):
        torch.empty(1 << 44, dtype=torch.uint8, device=D)
    assert (x * 2).tolist() == [0, 2, 4, 6]


@needs_cuda
def test_storages_have_the_size_that_was_asked_for():
    x = torch.zeros(3, 5, device=D)
    assert x.untyped_storage().nbytes() == 60
    assert x[1:, 2].storage_offset() == 7
    assert x.t().stride() == (1, 5)


@needs_cuda
def test_pinned_tensors_travel_without_waiting():
    x = torch.randn(1 << 16).pin_memory()
    assert x.is_pinned()
    y = x.to(D, non_blocking=True)
    torch.cuda.synchronize()
    assert torch.equal(y.cpu(), x)


# Streams and events.


@needs_cuda
def test_streams_wait_for_events():
    side = torch.cuda.Stream()
    x = torch.ones(1 << 20, device=D)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = x * 2
        x.record_stream(side)
    torch.cuda.current_stream().wait_stream(side)
    assert float((y + 1).sum()) == 3.0 * (1 << 20)
    assert side != torch.cuda.current_stream()


@needs_cuda
def test_events_measure_time():
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    x = torch.ones(1 << 24, device=D)
    start.record()
    for _ in range(20):
        x = x * 1.0001
    end.record()
    end.synchronize()
    assert 0 < start.elapsed_time(end) < 10_000


@needs_cuda
def test_threads_have_streams_of_their_own():
    results = []

    def work(k: int) -> None:
        with torch.cuda.stream(torch.cuda.Stream()):
            x = torch.full((1000,), float(k), device=D)
            for _ in range(20):
                x = x + 1
            results.append((k, x.sum().item()))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [(k, 1000.0 * (k + 20)) for k in range(4)]


# Values.


@needs_cuda
@pytest.mark.parametrize(
    "kind", ["float32", "float64", "bfloat16", "float16", "complex64"]
)
def test_products_take_every_layout(kind):
    dtype = getattr(torch, kind)
    tolerance = {"bfloat16": 4e-2, "float16": 5e-3}.get(kind, 1e-4)
    x, y = torch.randn(5, 33, 17).to(dtype), torch.randn(5, 17, 9).to(dtype)
    close = {"rtol": tolerance, "atol": tolerance}
    compare(lambda a, b: a @ b, x, y, **close)
    compare(lambda a, b: b.mT @ a.mT, x, y, **close)
    compare(lambda a, b: a[0] @ b[0][:, ::2], x, y, **close)
    compare(lambda a, b: a[0].t().t() @ b[1], x, y, **close)
    compare(lambda a, b: a[:1].expand(5, 33, 17) @ b, x, y, **close)
    compare(
        lambda a, b: torch.addmm(a[0, :, :9], a[0], b[0], beta=0.5, alpha=2),
        x,
        y,
        **close,
    )
    compare(lambda a, b: a[0, :0] @ b[0], x, y, **close)


@needs_cuda
def test_factorisations_of_large_matrices():
    x = torch.randn(300, 300, dtype=torch.float64)
    spd = x @ x.t() + 300 * torch.eye(300, dtype=torch.float64)
    compare(torch.linalg.cholesky, spd, rtol=1e-8, atol=1e-8)
    compare(torch.linalg.eigvalsh, spd, rtol=1e-8, atol=1e-8)
    compare(lambda a: torch.linalg.solve(a, a[:, :3]), spd, rtol=1e-7, atol=1e-7)
    compare(lambda a: torch.linalg.inv(a), spd, rtol=1e-7, atol=1e-7)


@needs_cuda
def test_wrong_indices_are_errors_once_they_are_waited_for():
    x = torch.arange(10.0, device=D)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        x[torch.tensor([3, 99], device=D)].sum().item()
        torch.cuda.synchronize()
    assert x.sum().item() == 45


@needs_cuda
def test_channels_last_stays_so():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    y = x.to(D)
    assert y.stride() == x.stride()
    assert (y + 1).stride() == x.stride()
    assert y.relu().is_contiguous(memory_format=torch.channels_last)


# Random numbers.


@needs_cuda
def test_seeds_and_states():
    torch.cuda.manual_seed(3)
    state = torch.cuda.get_rng_state()
    a = torch.randn(100, device=D)
    torch.cuda.set_rng_state(state)
    assert torch.equal(torch.randn(100, device=D), a)
    assert not torch.equal(torch.randn(100, device=D), a)
    g = torch.Generator(D).manual_seed(3)
    assert torch.equal(torch.randn(100, device=D, generator=g), a)


@needs_cuda
@pytest.mark.parametrize("count", [3, 1000, 300_000, 5_000_000])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_same_seed_gives_pytorch_s_numbers(count, kind):
    theirs = oracle()
    for name in ("rand", "randn"):
        torch.manual_seed(11)
        theirs.manual_seed(11)
        for _ in range(2):  # the second begins where the first ended
            a = getattr(torch, name)(count, device=D, dtype=getattr(torch, kind))
            b = getattr(theirs, name)(count, device=D, dtype=getattr(theirs, kind))
            torch.testing.assert_close(
                a.cpu(), torch.from_numpy(b.cpu().numpy()), rtol=1e-6, atol=1e-6
            )


# Graphs.


@needs_cuda
def test_graphs_replay_what_was_recorded():
    x = torch.zeros(1000, device=D)
    y = torch.zeros(1000, device=D)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        y.copy_(x * 2 + 1)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y.copy_(x * 2 + 1)
    x.fill_(3)
    y.zero_()
    graph.replay()
    assert float(y.sum()) == 7000


@needs_cuda
def test_graphs_draw_new_random_numbers_each_time():
    y = torch.zeros(1000, device=D)
    with torch.cuda.stream(torch.cuda.Stream()):
        y.copy_(torch.rand(1000, device=D))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y.copy_(torch.rand(1000, device=D))
    torch.cuda.manual_seed(5)
    graph.replay()
    first = y.cpu()
    graph.replay()
    second = y.cpu()
    torch.cuda.manual_seed(5)
    graph.replay()
    assert torch.equal(y.cpu(), first)
    assert not torch.equal(first, second)


@needs_cuda
def test_graphed_modules_train_as_others():
    torch.manual_seed(0)
    plain = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 2)
    )
    plain = plain.to(D)
    other = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 2)
    )
    other = other.to(D)
    other.load_state_dict(plain.state_dict())
    x = torch.randn(4, 8, device=D)
    graphed = torch.cuda.make_graphed_callables(other, (x.clone(),))
    for _ in range(3):
        batch = torch.randn(4, 8, device=D)
        for module in (plain, graphed):
            module.zero_grad()
            module(batch).square().sum().backward()
        for a, b in zip(plain.parameters(), graphed.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)


# Exchange with other libraries.


@needs_cuda
def test_cupy_shares_memory_both_ways():
    x = torch.arange(6.0, device=D)
    view = cupy.from_dlpack(x)
    view += 1
    assert x.tolist() == [1, 2, 3, 4, 5, 6]
    y = torch.from_dlpack(view)
    assert y.data_ptr() == x.data_ptr()
    z = torch.as_tensor(cupy.arange(3), device=D)
    assert z.tolist() == [0, 1, 2]


@needs_cuda
def test_pytorch_shares_memory_both_ways():
    theirs = oracle()
    x = torch.arange(6.0, device=D).reshape(2, 3)
    other = theirs.from_dlpack(x)
    other.add_(1)
    theirs.cuda.synchronize()
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    back = torch.from_dlpack(other.t())
    assert back.stride() == (1, 3)
    assert back.data_ptr() == x.data_ptr()


# Programs.


@needs_cuda
def test_a_cnn_trains_as_on_cpu():
    def losses(device: str) -> list[float]:
        torch.manual_seed(1)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
            torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(8 * 49, 10),
        )  # fmt: skip
        x, y = torch.randn(32, 1, 14, 14), torch.randint(0, 10, (32,))
        model, x, y = model.to(device), x.to(device), y.to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        made = []
        for _ in range(8):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            made.append(loss.item())
        return made

    assert losses(D) == pytest.approx(losses("cpu"), rel=2e-3)


@needs_cuda
def test_nothing_of_a_transformer_s_step_runs_on_the_host():
    from dispatchtorch.device_layer import set_fallback_policy

    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).to(D)
    x = torch.randn(2, 7, 32, device=D)
    with contextlib.ExitStack() as stack:
        set_fallback_policy("error")
        stack.callback(set_fallback_policy, None)
        layer(x).square().sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
