"""The public face of ``torch.nn.functional``: names, signatures, origins."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

# What PyTorch's module imports for itself, and notes for its documentation.
_NOT_PUBLIC = set(
    """
    BroadcastingList1 BroadcastingList2 BroadcastingList3 Callable DType Optional Tensor
    GRID_SAMPLE_INTERPOLATION_MODES GRID_SAMPLE_PADDING_MODES TYPE_CHECKING
    boolean_dispatch dataclasses grad handle_torch_function has_torch_function
    has_torch_function_unary has_torch_function_variadic importlib math np
    reproducibility_notes sparse_support_notes tf32_notes torch warnings
    """.split()
)
NAMES = sorted(
    n
    for n in dir(torch.nn.functional)
    if not n.startswith("_") and n not in _NOT_PUBLIC
)


def test_every_public_name_is_there() -> None:
    assert [n for n in NAMES if not hasattr(F, n)] == []
    assert [n for n in NAMES if n not in F.__all__] == []
    assert [n for n in F.__all__ if not hasattr(F, n)] == []


def _parameters(function: Any) -> list[tuple[Any, ...]]:
    return [
        (p.name, p.kind, repr(p.default) if p.default is not p.empty else None)
        for p in inspect.signature(function).parameters.values()
    ]


def _written_in_python(name: str) -> bool:
    return inspect.isfunction(getattr(torch.nn.functional, name))


@pytest.mark.parametrize("name", [n for n in NAMES if _written_in_python(n)])
def test_signature(name: str) -> None:
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    assert _parameters(ours) == _parameters(theirs)


@pytest.mark.parametrize("name", [n for n in NAMES if callable(getattr(F, n))])
def test_documentation_and_pickling(name: str) -> None:
    function = getattr(F, name)
    assert function.__doc__
    if function.__module__ == F.__name__ and not name.endswith("_"):
        assert pickle.loads(pickle.dumps(function)) is function


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sofmax'"):
        F.sofmax  # noqa: B018
    assert not hasattr(F, "add")


def test_operators_are_the_same_object_each_time() -> None:
    assert F.gelu is F.gelu
    assert "gelu" in dir(F)


# Products of groups of matrices.


def _groups(t: Any, dtype: Any) -> tuple[Any, Any, Any]:
    t.manual_seed(0)
    a, b = t.randn(8, 16, dtype=t.float32), t.randn(3, 16, 8, dtype=t.float32)
    return a.to(dtype), b.to(dtype), t.tensor([2, 5, 8], dtype=t.int32)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "case",
    [
        lambda F, a, b, offs: F.grouped_mm(a, b, offs=offs),
        lambda F, a, b, offs: F.grouped_mm(b, b.transpose(1, 2)),
        lambda F, a, b, offs: F.grouped_mm(a.t(), a, offs=offs),
        lambda F, a, b, offs: F.grouped_mm(b.transpose(1, 2), a.t(), offs=offs),
    ],
)
def test_grouped_mm(dtype: str, case: Any) -> None:
    found = case(F, *_groups(dt, getattr(dt, dtype))).float()
    wanted = case(torch.nn.functional, *_groups(torch, getattr(torch, dtype))).float()
    assert tuple(found.shape) == tuple(wanted.shape)
    assert abs(found.cpu().numpy() - wanted.cpu().numpy()).max() < (
        0.1 if dtype == "bfloat16" else 1e-4
    )


@pytest.mark.parametrize(
    "case",
    [
        lambda F, a, b, offs: F.grouped_mm(a, b),
        lambda F, a, b, offs: F.grouped_mm(b, b.transpose(1, 2), offs=offs),
        lambda F, a, b, offs: F.grouped_mm(a, b, offs=offs, bias=a),
        lambda F, a, b, offs: F.grouped_mm(a, b, offs=offs.long()),
        lambda F, a, b, offs: F.grouped_mm(a, b[:, :3], offs=offs),
    ],
)
def test_grouped_mm_errors(case: Any) -> None:
    with pytest.raises(RuntimeError) as theirs:
        case(torch.nn.functional, *_groups(torch, torch.bfloat16))
    with pytest.raises(RuntimeError) as ours:
        case(F, *_groups(dt, dt.bfloat16))
    assert str(ours.value) == str(theirs.value).split("\n")[0]


@pytest.mark.parametrize("rows", [False, True])
def test_scaled_mm(rows: bool) -> None:
    def run(t: Any) -> Any:
        G = t.nn.functional
        values = t.arange(256, dtype=t.float32).reshape(16, 16) / 64 - 2
        a, b = values.to(t.float8_e4m3fn), values.t().contiguous().to(t.float8_e4m3fn)
        recipe = G.ScalingType.RowWise if rows else G.ScalingType.TensorWise
        scale_a = t.full((16, 1), 0.5) if rows else t.tensor(0.5)
        scale_b = t.full((1, 16), 2.0) if rows else t.tensor(2.0)
        return G.scaled_mm(
            a, b.t().contiguous().t(), scale_a, recipe, scale_b, recipe,
            output_dtype=t.float32,
        )  # fmt: skip

    found, wanted = run(dt), run(torch)
    assert abs(found.cpu().numpy() - wanted.cpu().numpy()).max() < 1e-3


def test_what_scaled_products_lack_is_said() -> None:
    a, one = dt.ones(2, 2), dt.tensor(1.0)
    block = F.ScalingType.BlockWise1x32
    with pytest.raises(NotImplementedError, match="BlockWise1x32"):
        F.scaled_mm(a, a, one, block, one, block)
    with pytest.raises(NotImplementedError, match="scaled_grouped_mm"):
        F.scaled_grouped_mm(a, a, one, block, one, block)
