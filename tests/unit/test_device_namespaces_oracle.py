"""``torch.cuda`` and its kind without the device: as in a PyTorch built without it."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import pytest

import dispatchtorch as torch

oracle = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        torch.cuda.is_available() or oracle.cuda.is_available(),
        reason="the device is there",
    ),
]


def outcome(lib: Any, expression: str) -> Any:
    """The value, or the first line of the error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = eval(expression, {"torch": lib})
        except Exception as error:
            return error
    return value, [(w.category, str(w.message)) for w in caught]


VALUES = """
torch.cuda.is_available()
torch.cuda.is_initialized()
torch.cuda.device_count()
torch.cuda.is_bf16_supported()
torch.cuda.is_bf16_supported(including_emulation=False)
torch.cuda.is_tf32_supported()
torch.cuda.get_arch_list()
torch.cuda.get_gencode_flags()
torch.cuda.set_device(-1)
torch.cuda.device(-1).__enter__()
torch.cuda.device("cuda:1").idx
torch.cuda.device_of(torch.ones(2)).__enter__()
torch.cuda.stream(None).__enter__()
torch.cuda.set_stream(None)
torch.cuda.memory_allocated()
torch.cuda.max_memory_allocated()
torch.cuda.memory_reserved()
torch.cuda.max_memory_reserved()
torch.cuda.memory_cached()
torch.cuda.max_memory_cached()
torch.cuda.memory_stats()
torch.cuda.memory_stats_as_nested_dict()
torch.cuda.host_memory_stats()
torch.cuda.empty_cache()
torch.cuda.manual_seed(1)
torch.cuda.manual_seed_all(1)
torch.cuda.seed()
torch.cuda.seed_all()
torch.cuda.get_rng_state_all()
torch.cuda.set_rng_state(torch.zeros(3))
torch.cuda.set_rng_state_all([])
torch.cuda.default_generators
torch.cuda.has_half
torch.cuda.has_magma
torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
torch.cuda.FloatTensor.is_cuda
torch.FloatTensor.is_cuda
torch.cuda.HalfTensor.__module__
isinstance(torch.ones(2), torch.cuda.FloatTensor)
torch.cuda.nccl.is_available([])
torch.cuda._is_compiled()
str(torch.device("cuda:0")), str(torch.device("mps")), str(torch.device("xpu", 1))
torch.ones(1).device == torch.device("cuda")
torch.backends.cuda.is_built()
torch.mps.is_available()
torch.mps.device_count()
torch.mps.manual_seed(1)
torch.xpu.is_available()
torch.xpu.device_count()
torch.xpu.memory_allocated()
torch.xpu.manual_seed(1)
torch.mtia.is_available()
torch.mtia.device_count()
torch.cpu.is_available()
torch.cpu.is_initialized()
torch.cpu.device_count()
torch.cpu.current_device()
torch.cpu.synchronize(3)
torch.cpu.set_device(0)
torch.cpu.Event().query()
torch.cpu.Stream().record_event()
sorted(torch.cpu.__all__)
torch.accelerator.is_available()
torch.accelerator.device_count()
torch.accelerator.current_accelerator()
torch.accelerator.current_accelerator(check_available=True)
torch.accelerator.device_index(None).__enter__()
sorted(torch.accelerator.__all__)
repr(torch.Stream())
repr(torch.Event(enable_timing=True))
torch.get_device_module().__name__.partition(".")[2]
torch.get_device_module("cuda").__name__.partition(".")[2]
torch.ones(2).is_pinned()
torch.initial_seed() != torch.Generator().initial_seed()
torch.Generator().initial_seed()
torch.Generator("cpu:3").device
""".strip().splitlines()

ERRORS = """
torch.cuda.current_device()
torch.cuda.current_stream()
torch.cuda.default_stream()
torch.cuda.synchronize()
torch.cuda.synchronize("cpu")
torch.cuda.mem_get_info()
torch.cuda.ipc_collect()
torch.cuda.get_device_name()
torch.cuda.get_device_name(0)
torch.cuda.get_device_capability()
torch.cuda.get_device_properties(0)
torch.cuda.init()
torch.cuda._lazy_init()
torch.cuda.initial_seed()
torch.cuda.get_rng_state()
torch.cuda.can_device_access_peer(0, 1)
torch.cuda.current_blas_handle()
torch.cuda.set_per_process_memory_fraction(0.5)
torch.cuda.get_sync_debug_mode()
torch.cuda.set_sync_debug_mode(1)
torch.cuda.cudart()
torch.cuda.Stream()
torch.cuda.Event()
torch.cuda.CUDAGraph()
torch.cuda.MemPool()
torch.cuda.device(0).__enter__()
torch.cuda.device("cpu")
torch.cuda.set_device("cpu")
torch.cuda.FloatTensor([1])
torch.cuda.caching_allocator_alloc(10)
torch.cuda.nvtx.range_push("a")
torch.ones(2).cuda()
torch.ones(2).to("cuda:0")
torch.ones(2, device="cuda")
torch.xpu.current_device()
torch.xpu.synchronize()
torch.xpu.Event()
torch.accelerator.set_device_index(0)
torch.accelerator.current_device_index()
torch.accelerator.current_device_idx()
torch.accelerator.current_stream()
torch.accelerator.synchronize()
torch.accelerator.device_index(0).__enter__()
torch.accelerator.memory_allocated()
torch.accelerator.memory_stats()
torch.accelerator.empty_cache()
torch.accelerator.get_memory_info()
torch.accelerator.get_device_capability()
torch.accelerator.Graph()
torch.Stream(0)
torch.Stream("cpu", 1)
torch.Stream(1.5)
torch.Event(foo=1)
torch.Event(device=1)
torch.Event("cpu").record()
torch.Stream("cpu").record_event()
torch.Stream("cpu").native_handle
torch.Event().elapsed_time(torch.Event())
torch.Event().elapsed_time(3)
torch.Event().ipc_handle()
torch.get_device_module("meta")
torch.get_device_module(3)
torch.ones(2).pin_memory()
torch.ones(2, pin_memory=True)
torch.ones(2, device="meta").pin_memory()
torch.ones(2).record_stream(3)
torch.Generator("meta")
torch.Generator(3)
torch.Generator().manual_seed(True)
torch.Generator().manual_seed(torch.tensor(1))
""".strip().splitlines()


def plain(value: Any) -> Any:
    """Values of the two libraries made comparable."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], list):
        return plain(value[0]), value[1]
    if type(value).__name__ in ("device", "dtype"):
        return str(value)
    return value


@pytest.mark.parametrize("expression", VALUES)
def test_questions_have_the_same_answers(expression: str) -> None:
    wanted, found = outcome(oracle, expression), outcome(torch, expression)
    if isinstance(wanted, Exception):
        raise wanted
    if isinstance(found, Exception):
        raise found
    assert plain(found) == plain(wanted)


# What differs on purpose: the last words of long messages, and what to install.
WORDS = {
    "torch.Stream(0)": "Cannot access accelerator device",
    "torch.ones(2).record_stream(3)": "unknown parameter type",
    'torch.ones(2, device="meta").pin_memory()': "cannot pin '",
}


@pytest.mark.parametrize("expression", ERRORS)
def test_what_needs_a_device_raises_the_same_error(expression: str) -> None:
    wanted, found = outcome(oracle, expression), outcome(torch, expression)
    assert isinstance(wanted, Exception), wanted
    assert isinstance(found, type(wanted)), found
    first = str(wanted).splitlines()[0]
    assert str(found).startswith(WORDS.get(expression, first))


def test_errors_say_what_to_install() -> None:
    for call in (torch.cuda.current_device, torch.cuda.Stream, torch.ones(1).cuda):
        with pytest.raises(AssertionError, match="pip install 'dispatchtorch"):
            call()


@pytest.mark.parametrize(
    "name",
    """cuda cuda.amp cuda.amp.autocast_mode cuda.amp.grad_scaler cuda.memory cuda.random
    cuda.streams cuda.graphs cuda.nvtx cuda.nccl cuda.sparse cpu cpu.amp xpu xpu.random
    xpu.memory xpu.streams mps mtia accelerator""".split(),
)
def test_modules_are_imported_by_name(name: str) -> None:
    import importlib

    module = importlib.import_module(f"dispatchtorch.{name}")
    assert isinstance(module, ModuleType)
    assert module.__name__ == f"dispatchtorch.{name}"
    there: Any = torch
    for part in name.split("."):
        there = getattr(there, part)
    assert there is module


# Modules and functions for one vendor's tools, which its plugin may bring.
VENDORS = {
    "cuda": "CudaError caching_allocator_disabled check_error jiterator profiler tunable "
    "gds green_contexts",
    "mps": "profiler",
}


@pytest.mark.parametrize("name", ["cuda", "xpu", "mps", "mtia", "cpu", "accelerator"])
def test_every_public_name_is_there(name: str) -> None:
    wanted = set(getattr(oracle, name).__all__) - set(VENDORS.get(name, "").split())
    module = getattr(torch, name)
    assert not {each for each in wanted if not hasattr(module, each)}
