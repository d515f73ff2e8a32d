"""Public modules of few names: futures, monitor, types, weak dictionaries, switches."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch import futures, monitor
from dispatchtorch.nn.attention import SDPBackend, bias, sdpa_kernel
from dispatchtorch.nn.parallel import comm
from dispatchtorch.nn.parallel.parallel_apply import get_a_var
from dispatchtorch.nn.parallel.scatter_gather import scatter_kwargs
from dispatchtorch.torch_version import TorchVersion
from dispatchtorch.utils import weak
from dispatchtorch.utils.file_baton import FileBaton

attention = torch.nn.functional.scaled_dot_product_attention

# Versions.


@pytest.mark.parametrize(
    "true",
    [
        TorchVersion("2.13.0") >= (2, 4),
        TorchVersion("2.13.0+cpu") > "2.9",
        TorchVersion("2.13.0a0+git1") < "2.13.0",
        TorchVersion("2.13.0") == "2.13",
        TorchVersion("1.10.0") != "1.9",
        TorchVersion("1.0.dev1") < "1.0a1",
        TorchVersion("2.0") <= "2.0.post1",
        TorchVersion("abc") > "1",
        hash(TorchVersion("1")) == hash("1"),
        isinstance(torch.__version__, str) and torch.__version__ >= "0.0.1",
    ],
)
def test_versions_compare_as_versions(true: Any) -> None:
    assert true


def test_a_version_is_not_a_number() -> None:
    with pytest.raises(TypeError):
        TorchVersion("1.0") > 1  # noqa: B015


# Futures.


def test_a_future_is_set_once_and_wakes_whoever_waits() -> None:
    future: Any = futures.Future()
    seen: list[int] = []
    future.add_done_callback(lambda done: seen.append(done.value()))
    later = future.then(lambda done: done.value() + 1)
    thread = threading.Thread(target=lambda: seen.append(future.wait()))
    thread.start()
    assert not future.done()
    with pytest.raises(RuntimeError, match="no value yet"):
        future.value()
    future.set_result(3)
    thread.join()
    assert seen == [3, 3] and later.wait() == 4 and future.done()
    with pytest.raises(RuntimeError, match="completed Future as complete again"):
        future.set_result(4)
    future.add_done_callback(lambda done: seen.append(0))
    assert seen[-1] == 0


def test_errors_travel_through_futures() -> None:
    failed: Any = futures.Future()
    failed.set_exception(ValueError("boo"))
    good: Any = futures.Future()
    good.set_result(1)
    with pytest.raises(ValueError, match="boo"):
        failed.wait()
    with pytest.raises(ValueError, match="boo"):
        futures.wait_all([good, failed])
    assert futures.wait_all([good, good]) == [1, 1]
    assert futures.collect_all([]).wait() == []
    with pytest.raises(RuntimeError, match="when running the callback: ZeroDivision"):
        good.then(lambda done: 1 / 0).wait()
    with pytest.raises(AssertionError, match="not an Exception"):
        futures.Future().set_exception(3)  # type: ignore[arg-type]
    on_device: Any = futures.Future(devices=["loopback:1"])
    on_device.set_result(torch.ones(1, device="loopback:1"))
    assert on_device.wait().item() == 1


# Monitor.


def test_statistics_are_logged_when_a_window_is_over() -> None:
    events: list[Any] = []
    handle = monitor.register_event_handler(events.append)
    kinds = [monitor.SUM, monitor.MEAN, monitor.COUNT, monitor.MAX, monitor.MIN]
    stat = monitor.Stat("loss", kinds, timedelta(hours=1), 2)
    stat.add(1)
    assert stat.count == 1 and set(stat.get().values()) == {0.0}
    stat.add(4)
    assert stat.count == 0
    assert stat.get()[monitor.Aggregation.MEAN] == 2.5
    assert events[0].name == "torch.monitor.Stat"
    assert events[0].data == {
        "loss.sum": 5.0,
        "loss.mean": 2.5,
        "loss.count": 2.0,
        "loss.max": 4.0,
        "loss.min": 1.0,
    }
    written: list[Any] = []

    class Writer:
        def add_scalar(self, name: str, value: float, walltime: float) -> None:
            written.append((name, value))

    monitor.TensorboardEventHandler(Writer())(events[0])
    assert ("loss.sum", 5.0) in written
    monitor.unregister_event_handler(handle)
    monitor.log_event(monitor.Event("x", datetime.now(), {"a": 1}))
    assert len(events) == 1


# Attention's kernels and biases.


def test_attention_kernels_are_switched_for_a_block() -> None:
    cuda = torch.backends.cuda

    @sdpa_kernel([SDPBackend.FLASH_ATTENTION])
    def inside() -> tuple[bool, ...]:
        return cuda.flash_sdp_enabled(), cuda.math_sdp_enabled()

    assert inside() == (True, False)
    with sdpa_kernel(SDPBackend.MATH):
        assert not cuda.cudnn_sdp_enabled() and cuda.math_sdp_enabled()
    assert cuda.cudnn_sdp_enabled() and cuda.mem_efficient_sdp_enabled()
    with pytest.raises(AssertionError, match="instance of SDPBackend"), sdpa_kernel(3):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("lengths", [(3, 3), (3, 5), (5, 5)])
@pytest.mark.parametrize("make", [bias.causal_upper_left, bias.causal_lower_right])
def test_causal_biases_are_their_masks(make: Any, lengths: tuple[int, int]) -> None:
    q, kv = lengths
    mask = make(q, kv)
    query, key = torch.randn(2, 1, q, 4), torch.randn(2, 1, kv, 4)
    found = attention(query, key, key, attn_mask=mask)
    wanted = attention(query, key, key, attn_mask=mask._materialize())
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ValueError, match="should not be used with causal=True"):
        attention(query, key, key, attn_mask=mask, is_causal=True)


def test_causal_biases_take_two_lengths() -> None:
    with pytest.raises(AssertionError, match="only supports 2D"):
        bias.causal_upper_left(3)
    with pytest.warns(UserWarning, match="Lower right causal bias will produce NaNs"):
        bias.causal_lower_right(4, 2)
    with pytest.raises(AssertionError, match="variant must be a CausalVariant"):
        bias.CausalBias(3, 1, 2)  # type: ignore[arg-type]


# Return types.


def test_return_types_are_the_classes_of_results() -> None:
    x = torch.rand(3, 2)
    assert type(torch.max(x, 0)) is torch.return_types.max
    assert type(torch.linalg.svd(x)) is torch.return_types.linalg_svd
    assert torch.return_types.topk((1, 2)).indices == 2
    assert torch.return_types.max in torch.return_types.all_return_types
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        torch.return_types.nope  # noqa: B018


# Weak dictionaries and exchanged tensors.


def test_weak_dictionaries_go_by_identity_and_keep_nothing_alive() -> None:
    found = weak.WeakTensorKeyDictionary()
    x, y = torch.ones(2), torch.ones(2)
    found[x] = 1
    assert x in found and y not in found and 3 not in found
    assert found == weak.WeakTensorKeyDictionary({x: 1}) and len(found.copy()) == 1
    reference = weak.TensorWeakRef(x)
    assert reference() is x
    del x
    assert len(found) == 0 and reference() is None
    with pytest.raises(KeyError):
        found[y]


def test_swapped_tensors_exchange_everything() -> None:
    x = torch.nn.Parameter(torch.ones(2))
    y = torch.zeros(3)
    y.mark = "y"
    torch.utils.swap_tensors(x, y)
    assert type(x) is torch.Tensor and x.shape == (3,) and x.mark == "y"
    assert isinstance(y, torch.nn.Parameter)
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2, 2]
    kept = weak.WeakIdRef(x)
    with pytest.raises(RuntimeError, match="Cannot swap t1 because it has weakref"):
        torch.utils.swap_tensors(x, y)
    assert kept() is x


# Copies between devices.


def test_copies_and_sums_between_devices() -> None:
    devices = ["loopback:0", "loopback:1"]
    x = torch.arange(6.0).reshape(3, 2)
    copies = comm.broadcast(x, devices)
    assert [c.device.index for c in copies] == [0, 1]
    assert comm.reduce_add(copies, "cpu").tolist() == (x * 2).tolist()
    pieces = comm.scatter(x, devices, chunk_sizes=[1, 2])
    assert [len(p) for p in pieces] == [1, 2]
    assert torch.equal(comm.gather(pieces, 0, -1), x)
    both = comm.broadcast_coalesced([x, x + 1], devices)
    assert comm.reduce_add_coalesced(both, -1)[1].tolist() == (2 * x + 2).tolist()
    with pytest.raises(RuntimeError, match="Exactly one of 'devices' and 'out'"):
        comm.broadcast(x)
    with pytest.raises(ValueError, match="invalid size"):
        comm.reduce_add([x, x[0]], "cpu")
    args, kwargs = scatter_kwargs((x,), {"y": x}, devices)
    assert len(args) == len(kwargs) == 2 and kwargs[1]["y"].device.index == 1
    assert get_a_var({"a": [3, x]}) is x and get_a_var("text") is None


# Tools.


def test_a_baton_is_held_by_one(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, second = FileBaton(path, 0.01), FileBaton(path, 0.01, 0.01)
    assert first.try_acquire() and not second.try_acquire()
    timer = threading.Timer(0.1, first.release)
    timer.start()
    with pytest.warns(UserWarning, match="Waited on lock file"):
        second.wait()
    assert second.try_acquire()
    second.release()


def test_throughput_is_measured_over_threads() -> None:
    from dispatchtorch.utils.throughput_benchmark import format_time

    benchmark = torch.utils.ThroughputBenchmark(lambda x: x + 1)
    with pytest.raises(RuntimeError, match="add_input"):
        benchmark.benchmark()
    benchmark.add_input(torch.ones(1))
    assert benchmark.run_once(torch.ones(1)).item() == 2
    stats = benchmark.benchmark(2, num_warmup_iters=1, num_iters=11)
    assert stats.num_iters == 11 and stats.latency_avg_ms > 0
    assert "iterations: 11" in str(stats)
    assert [format_time(1500), format_time(time_s=2), format_time(2)] == [
        "1.500ms",
        "2.000s",
        "2.000us",
    ]


def test_a_report_of_the_environment_names_devices() -> None:
    from dispatchtorch.utils.collect_env import get_pretty_env_info

    text = get_pretty_env_info()
    assert "cpu: " in text and "PyTorch 2.13.0 semantics" in text


def test_gradients_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    from dispatchtorch.utils.debug_log import debug_grad_log

    x = torch.ones(2, requires_grad=True)
    debug_grad_log(x)
    with caplog.at_level("INFO"):
        (x * 3).sum().backward()
    assert "gradient of tensor 0: norm 4.24264" in caplog.text


# Marks for compilers.


def test_marks_for_compilers_change_nothing() -> None:
    def f(x: Any) -> Any:
        return x + 1

    c = torch.compiler
    for mark in (c.assume_constant_result, c.nested_compile_region, c.set_stance()):
        assert mark(f) is f
    assert c.substitute_in_graph(len)(f) is f
    assert c.wrap_numpy(f)(torch.ones(2)).tolist() == [2, 2]
    assert c.get_default_backend() == "eager"
    with pytest.raises(RuntimeError, match="invalid torch.compile stance"):
        c.set_stance("foo")
    with pytest.raises(NotImplementedError, match="no backend"):
        c.set_default_backend("inductor")
    assert torch.jit.wait(torch.jit.fork(f, 2)) == 3
    assert not isinstance(torch.nn.Linear(1, 1), torch.jit.ScriptModule)
    with pytest.raises(NotImplementedError, match="TorchScript isn't supported"):
        torch.jit.ScriptModule()


@pytest.mark.parametrize(
    "value, kind, fits",
    [
        ([1, 2], list[int], True),
        ([1, "a"], list[int], False),
        ({"a": 1}, dict[str, int], True),
        ((1, "a"), tuple[int, str], True),
        ((1,), tuple[int, str], False),
        (None, int | None, True),
        (1.0, (int, str), False),
    ],
)
def test_isinstance_of_jit_looks_into_containers(
    value: Any, kind: Any, fits: bool
) -> None:
    assert torch.jit.isinstance(value, kind) is fits


def test_variables_are_tensors() -> None:
    from dispatchtorch.autograd import Variable

    x = Variable(torch.ones(2), requires_grad=True)
    assert type(x) is torch.Tensor and x.requires_grad
    assert isinstance(torch.ones(1), Variable)
