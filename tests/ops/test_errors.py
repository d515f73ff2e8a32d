"""Wrong calls raise what PyTorch raises, and leave their operands as they were."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

CALLS = [
    line
    for line in Path(__file__).with_name("failing_calls.txt").read_text().splitlines()
    if line and line[0] != "#"
]


def error_of(m: Any, text: str) -> tuple[str, str]:
    """The class and the text of what a call raises."""
    names = {
        "t": m,
        "F": m.nn.functional,
        "np": np,
        "x": m.arange(6.0).reshape(2, 3),
        "i": m.arange(3),
        "g": m.ones(1, requires_grad=True),
        "m0": m.tensor(1.0, device="meta"),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(text, names)
    except Exception as error:
        for kind in type(error).__mro__:  # our classes stand for PyTorch's
            if not kind.__module__.startswith("dispatchtorch"):
                name = kind.__name__
                break
        return name, str(error).partition("\nException raised")[0].strip()
    return "", ""


@pytest.mark.oracle
@pytest.mark.parametrize("text", CALLS)
def test_error_is_pytorchs(text: str) -> None:
    oracle = pytest.importorskip("torch")
    wanted = error_of(oracle, text)
    assert wanted[0]
    assert error_of(torch, text) == wanted


@pytest.mark.oracle
@pytest.mark.parametrize(
    "name", ["mul", "cumsum", "softmax", "index_select", "linalg.qr", "clamp", "cat"]
)
def test_spoilt_calls_raise_pytorchs_classes(name: str) -> None:
    pytest.importorskip("expecttest")
    from tests.oracle.badcalls import bad_calls, compare
    from tests.oracle.samples import full_name, infos

    info = next(each for each in infos() if full_name(each) == name)
    outcomes = [(c.label, compare(c)) for c in bad_calls(info, 1)]
    raised = [(label, o) for label, o in outcomes if o is not None]
    wrong = [(label, *o) for label, o in raised if o.kind == "class"]
    assert len(raised) > 10
    assert len(wrong) <= len(raised) // 20, wrong


def test_scalar_of_a_tensor_with_history_warns_once() -> None:
    from dispatchtorch._tensor_methods import values

    values._warned.clear()
    x = torch.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="requires_grad=True to a scalar"):
        assert float(x) == 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(x) == 1.0


def test_device_of_an_absent_plugin_is_a_value() -> None:
    device = torch.device("cuda:1")
    assert (device.type, device.index) == ("cuda", 1)


FAILING_WRITES = [
    "x.add_(torch.ones(4))",
    "x.add_('a')",
    "x.add_(1j)",
    "x.mul_(torch.ones(2, 3), torch.ones(1))",
    "x.copy_(torch.ones(4))",
    "x.index_add_(0, torch.tensor([5]), x[:1].clone())",
    "x.index_copy_(0, torch.tensor([0, 7]), torch.ones(2, 3))",
    "x.index_fill_(0, torch.tensor([0, 7]), 1)",
    "x.index_put_((torch.tensor([0, 7]),), torch.ones(2, 3))",
    "x.scatter_(0, torch.tensor([[0, 0, 9]]), 1.0)",
    "x.scatter_add_(0, torch.tensor([[0, 0, 9]]), torch.ones(1, 3))",
    "x.masked_fill_(torch.ones(3, 3, dtype=torch.bool), 1.0)",
    "x.masked_scatter_(torch.ones(2, 3, dtype=torch.bool), torch.ones(2))",
    "x.put_(torch.tensor([0, 99]), torch.ones(2))",
    "x.__setitem__(0, torch.ones(2))",
    "x.__setitem__((0, 7), 1)",
    "x.resize_(-1)",
    "x.unsqueeze_(9)",
    "x.transpose_(0, 9)",
    "x.normal_(0, -1)",
    "x.uniform_(1, 0)",
    "x.geometric_(2.0)",
    "torch.add(x, torch.ones(4), out=x)",
    "torch.add(x, x, out=torch.ones(3).long())",
    "torch.mm(x, x, out=x)",
    "torch.cat([x, torch.ones(4)], out=x)",
    "torch.sum(x, 9, out=x)",
    "torch.gather(x, 0, torch.tensor([[9]]), out=torch.ones(1, 1))",
    "torch.linalg.solve(torch.zeros(2, 2), x, out=x)",
    "torch.sort(x, 9, out=(x, torch.ones(2, 3).long()))",
    "torch.sort(x, 1, out=(x, torch.ones(2, 3)))",
    "torch.max(x, 1, out=(x, torch.ones(2)))",
]


@pytest.mark.parametrize("text", FAILING_WRITES)
def test_failed_write_changes_nothing(text: str) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    before = x.tolist(), x.shape, x.stride(), x._version
    with pytest.raises((RuntimeError, IndexError, TypeError)):
        eval(text, {"torch": torch, "x": x})
    assert (x.tolist(), x.shape, x.stride(), x._version) == before


@pytest.mark.oracle
@pytest.mark.parametrize("part", range(3))
def test_spoilt_writes_change_nothing(part: int) -> None:
    """In-place and ``out=`` calls of PyTorch's samples, spoilt in every way."""
    pytest.importorskip("expecttest")
    from tests.oracle.badcalls import bad_calls, compare
    from tests.oracle.samples import infos

    written = []
    chosen = [i for i in infos() if i.inplace_variant is not None][part::40]
    for info in chosen:
        for call in bad_calls(info, 1):
            if " in-place" in call.name or call.label.startswith("out="):
                outcome = compare(call, written=True)
                if outcome is not None and outcome.kind == "written":
                    written.append((call.name, call.label, outcome.ours))
    assert not written
