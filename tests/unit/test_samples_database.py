"""The sample database: it covers every operator, and what it draws is what it says."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import all_operators, packets
from dispatchtorch.testing import samples as db
from dispatchtorch.testing._results import flat
from dispatchtorch.testing.samples import Draw, OperatorSamples, Sample

ROWS = db.database()

#: PyTorch declares these and has no kernel of them.
COPIES = """indices_copy values_copy crow_indices_copy col_indices_copy ccol_indices_copy
row_indices_copy""".split()

# Public operators without a row: what tests them instead.
WITHOUT_ROW: dict[str, str] = {
    "selu_": "the form in place of selu, tested with it",
    "rrelu_": "the form in place of rrelu, tested with it",
    **dict.fromkeys(COPIES, "PyTorch has no kernel to compare with"),
}

# Operators that no sample calls, and why.
NOT_REACHED: dict[str, str] = {
    "_conj_copy": "tests of conjugate views call it",
    "_neg_view": "tests of conjugate views call it",
    "_neg_view_copy": "tests of conjugate views call it",
    "split.sizes": "Tensor.split calls split_with_sizes",
    "_local_scalar_dense": "Tensor.item is a method of its own",
    "_sparse_with_values": "a derivative that tests of sparse tensors take",
    **dict.fromkeys(COPIES, "they have no row"),
    "_foreach_formula_": "the steps of optimizers call it",
    "_from_sparse": "conversions between sparse layouts call it",
    "_batch_norm_with_update": "programs by way of torch.ops.aten call it",
    "max_pool2d_with_indices_backward": "programs by way of torch.ops.aten call it",
    "native_dropout_backward": "programs by way of torch.ops.aten call it",
    "detach": "Tensor.detach is a method of its own",
    "nll_loss": "nn.functional.nll_loss calls nll_loss_nd",
    "nll_loss2d": "nn.functional.nll_loss calls nll_loss_nd",
    "relu6_": "the form in place of relu6",
    "rrelu_": "the form in place of rrelu",
    "selu_": "the form in place of selu",
}


def _public() -> dict[str, str]:
    """Public names -> why they are public; derived in-place forms left out."""
    all_operators()  # declares every family
    return {
        name: ", ".join(sorted(packet.variants))
        for name, packet in packets.items()
        if (not packet.variants <= {"private"} or name.startswith(("linalg_", "fft_")))
        and not name.startswith("_")
        and any(op.functional is None for op in packet.overloads)
    }


def _covered() -> set[str]:
    covered = {row.operator for row in ROWS.values()}
    return covered | {name for row in ROWS.values() for name in row.covers}


def test_every_public_operator_has_samples() -> None:
    missing = set(_public()) - _covered() - set(WITHOUT_ROW)
    assert not missing, (
        f"{len(missing)} operators have no row in dispatchtorch/testing/samples: "
        + ", ".join(sorted(missing))
    )


def test_no_exception_is_left_over() -> None:
    assert not set(WITHOUT_ROW) & {row.name for row in ROWS.values()}
    gone = [n for n in (*WITHOUT_ROW, *NOT_REACHED) if n.split(".")[0] not in packets]
    assert not gone


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_every_row_names_something_callable(row: OperatorSamples) -> None:
    assert callable(row.find(torch)), f"torch.{row.name} isn't there"
    assert row.dtypes
    assert any(row.samples(dtype) for dtype in row.dtypes)


class _Recorder(Layer):
    """Notes which operators are called: every call binds anew once."""

    name = "test recorder"
    order = 900
    always = True

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def bind(self, op: Any, keys: int, inner: Any) -> Any:
        self.seen.add(op.full_name)
        return inner


@pytest.fixture(scope="module")
def reached() -> Iterator[set[str]]:
    """The operators that the samples and their gradients call, on both devices."""
    recorder = _Recorder()
    handle = register_layer(recorder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row in ROWS.values():
                for device in ("cpu", "loopback"):
                    for dtype in {row.dtypes[0], row.dtypes[-1]}:
                        _run(row, dtype, device)
    finally:
        handle.remove()
    yield recorder.seen


def _run(row: OperatorSamples, dtype: str, device: str) -> None:
    function = row.find(torch)
    for sample in row.samples(dtype) if function else ():
        args, kwargs = sample.build(torch, device, grad=bool(row.grads))
        try:
            results = [t for t in flat(function(*args, **kwargs))]
            roots = [t for t in results if getattr(t, "requires_grad", False)]
            if roots:
                ones = [torch.ones_like(t) for t in roots]
                torch.autograd.backward(roots, ones, create_graph=row.grads > 1)
        except Exception:
            continue  # the tests of samples tell


def test_every_operator_is_called_by_some_sample(reached: set[str]) -> None:
    derived = {n for n, op in all_operators().items() if op.functional is not None}
    plugins = {n for n in all_operators() if "::" in n}
    missing = set(all_operators()) - reached - derived - plugins - set(NOT_REACHED)
    assert not missing, f"{len(missing)}: {', '.join(sorted(missing))}"


def test_a_row_draws_the_same_samples_each_time() -> None:
    for row in ROWS.values():
        dtype = row.dtypes[0]
        for a, b in zip(row.samples(dtype), row.samples(dtype), strict=True):
            assert repr(a) == repr(b)
            for x, y in zip(a.arrays(), b.arrays(), strict=True):
                np.testing.assert_array_equal(x.values, y.values)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64", "int64", "bool"])
@pytest.mark.parametrize(
    ("layout", "strides"),
    [
        ("contiguous", (3, 1)),
        ("transposed", (1, 2)),
        ("strided", (6, 2)),
        ("offset", (3, 1)),
        ("expanded", (0, 1)),
    ],
)
def test_layouts_are_what_they_say(
    layout: str, strides: tuple[int, ...], dtype: str, device: str
) -> None:
    array = Draw("x", dtype)(2, 3, layout=layout)
    tensor = array.build(torch, device, grad=False)
    assert tensor.stride() == strides
    assert tensor.storage_offset() == (3 if layout == "offset" else 0)
    assert tensor.dtype is getattr(torch, dtype)
    host = tensor.cpu()
    host = host.float() if dtype == "bfloat16" else host
    np.testing.assert_array_equal(host.numpy(), array.values)


def test_one_description_is_one_tensor() -> None:
    x = Draw("x", "float32")(2)
    args, kwargs = Sample(x, [x], other=x).build(torch, grad=True)
    assert args[0] is args[1][0] is kwargs["other"]
    assert args[0].requires_grad


def test_floats_keep_away_from_kinks() -> None:
    values = Draw("x", "float64")(1000).values * 2
    assert np.abs(values - np.round(values)).min() > 0.1


def test_a_table_has_a_row_for_each_line() -> None:
    first, second = db.table("exp2 fh np.exp2\nlog fc np.log 0.5:2 grads=1", db.unary)
    assert first.dtypes == ("float32", "float64", "bfloat16", "float16")
    assert first.reference() is not None
    assert (second.grads, second.domain) == (1, (0.5, 2.0))


def test_plugins_add_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_added", {})
    row = db.cases("vision.shift", lambda g: [Sample(g(2))])
    db.add_samples(row)
    assert db.database()["vision.shift"] is row
    with pytest.raises(ValueError, match="already"):
        db.add_samples(row)


def test_the_kit_needs_neither_pytorch_nor_scipy_nor_pytest() -> None:
    script = (
        "import sys, dispatchtorch.testing.conformance as kit\n"
        "kit.Kit('cpu').operators()\n"
        "bad = {'torch', 'scipy', 'hypothesis', 'pytest'} & set(sys.modules)\n"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.oracle
def test_every_dtype_of_a_row_is_one_that_pytorch_takes() -> None:
    oracle = pytest.importorskip("torch")
    refused = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in ROWS.values():
            function = row.find(oracle)
            for dtype in row.dtypes if function else ():
                for sample in row.samples(dtype):
                    args, kwargs = sample.build(oracle)
                    try:
                        function(*args, **kwargs)
                    except Exception as error:
                        refused.append(f"{row.name} {dtype} {sample}: {error}")
    assert not refused, "\n".join(refused)
