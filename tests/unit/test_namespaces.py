"""What programs ask of PyTorch's namespaces before they compute anything."""

from __future__ import annotations

import math
import warnings

import pytest

import dispatchtorch as torch
from dispatchtorch import backends, compiler, func, jit


def test_libraries_behind_pytorch_are_not_there_and_take_their_switches() -> None:
    cudnn = backends.cudnn
    assert not cudnn.is_available() and cudnn.version() is None
    assert not backends.mps.is_available() and not backends.mkl.is_available()
    with cudnn.flags(enabled=True, benchmark=True):
        assert cudnn.benchmark
    assert not cudnn.benchmark and cudnn.enabled
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        cudnn.flags(speed=1).__enter__()


def test_compile_says_that_it_is_not_supported() -> None:
    with pytest.raises(NotImplementedError, match="torch.compile isn't supported"):
        torch.compile(torch.sin)
    assert torch.compile(torch.sin, backend="eager") is torch.sin
    assert torch.compile(disable=True)(torch.sin) is torch.sin


def test_marks_for_compilers_leave_functions_as_they_are() -> None:
    marks = (compiler.disable, compiler.disable(), jit.ignore, jit.unused, jit.export)
    for mark in marks:
        assert mark(torch.sin) is torch.sin
    assert not compiler.is_compiling() and not jit.is_scripting()
    with pytest.raises(NotImplementedError, match=r"torch\.jit\.trace"):
        jit.trace(torch.sin, torch.ones(1))


def test_scripted_code_runs_as_python_and_says_so_once(monkeypatch):
    monkeypatch.setattr(jit, "_warned", False)
    with pytest.warns(UserWarning, match="run as Python"):

        @jit.script
        def twice(x):
            return x + x

    assert twice(torch.ones(2)).tolist() == [2.0, 2.0]
    module = torch.nn.Linear(1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jit.script(module) is module


@pytest.mark.parametrize("name", ["vmap", "fx", "nested", "profiler", "onnx"])
def test_an_absent_name_says_why(name: str) -> None:
    assert not hasattr(torch, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}': .*(n't|not)"):
        getattr(torch, name)


def test_distributed_training_is_not_available() -> None:
    from dispatchtorch import distributed

    assert not distributed.is_available()
    assert not hasattr(distributed, "init_process_group")


def test_a_module_called_with_other_tensors_keeps_its_own() -> None:
    module = torch.nn.Linear(2, 1)
    before = module.weight
    weight = torch.ones(1, 2, requires_grad=True)
    out = func.functional_call(
        module, [{"weight": weight}, {"bias": torch.zeros(1)}], torch.ones(3, 2)
    )
    assert out.tolist() == [[2.0]] * 3 and module.weight is before
    out.sum().backward()
    assert weight.grad is not None and before.grad is None
    with pytest.raises(ValueError, match=r"\['bias'\] appeared in multiple"):
        func.functional_call(module, ({"bias": weight}, {"bias": weight}), weight)
    with pytest.raises(ValueError, match="to be a dict, or a list/tuple of dicts"):
        func.functional_call(module, 3, weight)


def test_states_of_models_are_stacked_to_leaves() -> None:
    models = [torch.nn.BatchNorm1d(2) for _ in range(3)]
    parameters, buffers = func.stack_module_state(models)
    assert parameters["weight"].shape == (3, 2) and parameters["weight"].is_leaf
    assert parameters["weight"].requires_grad
    assert list(buffers) == ["running_mean", "running_var", "num_batches_tracked"]
    models[1].eval()
    with pytest.raises(RuntimeError, match="same training/eval mode"):
        func.stack_module_state(models)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_the_resolution_of_a_dtype_is_one_decimal_digit(dtype: torch.dtype) -> None:
    info = torch.finfo(dtype)
    assert math.log10(info.resolution) == round(math.log10(info.resolution))
    assert info.eps <= info.resolution < 10 * info.eps


def test_an_unused_tensor_is_named_by_its_place() -> None:
    x, unused = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="differentiated Tensor at index 1 appears"):
        torch.autograd.grad(x.sum(), [x, unused])


def test_where_is_named_in_its_refusal() -> None:
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="^where expected condition to be a boolean"):
        torch.where(x, x, x)


def test_a_warning_about_sizes_points_at_the_line_that_called() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.nn.functional.mse_loss(torch.ones(2, 3), torch.ones(2, 1))
    assert [w.filename for w in caught] == [__file__]


def test_a_device_that_cannot_tell_its_free_memory_says_so() -> None:
    import pytest

    import dispatchtorch as torch

    with pytest.raises(NotImplementedError, match="'loopback' doesn't say how much"):
        torch.loopback.mem_get_info()
