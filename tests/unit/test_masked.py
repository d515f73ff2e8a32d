"""torch.masked: functions under a mask, and MaskedTensor, as PyTorch prints them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import dispatchtorch as dt

PRELUDE = """
M = torch.masked
x = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
m = torch.tensor([[True, False, True], [False, False, False]])
mt = M.masked_tensor(x, m)
y = x.clone().requires_grad_()
"""

PROGRAMS = """
mt | mt + 1 | mt.sum() | mt.amax(1) | mt.t() | mt[0] | mt.to_tensor(0) | mt.get_mask() | mt * mt
M.sum(mt, 1) | mt == mt | mt.shape | mt.int() | mt.sqrt().mean() | mt.reshape(3, 2) | mt + x
M.masked_tensor(x.long(), m) | torch.where(m, mt, mt) | M.masked_tensor(torch.tensor(3.0), torch.tensor(False))
M.is_masked_tensor(mt), M.is_masked_tensor(x) | mt.exp() | -mt | mt.unsqueeze(0) | mt.prod(1) | mt.dtype
M.argmax(x, 1, mask=m) | M.argmin(x, 1, mask=m) | M.median(x, 1, mask=m) | M.softmin(x, 1, mask=m)
M.mean(x, mask=m) | M.std(x, 1, mask=m) | M.var(x, 1, unbiased=False, mask=m) | M.norm(x, 1, 1, mask=m)
M.amax(x.int(), 1, mask=m) | M.amin(x, mask=m[:1]) | M.normalize(x, 2.0, 1, mask=m) | M.cumprod(x, 1, mask=m)
M.logaddexp(x, x, input_mask=m, other_mask=~m) | M.logsumexp(x, 0, mask=m) | M.log_softmax(x, 1, mask=m)
torch.autograd.grad(M.sum(y, mask=m), y) | torch.autograd.grad(M.var(y[:, :2], 0, mask=m[:1, :2]).nansum(), y)
M.mean(x.long(), 1, mask=m) | M.sum(x, 5) | M.sum(x, (0, 0)) | M.masked_tensor(x, m.float()) | M.masked_tensor(x, m[0])
M.median(x.long(), 1, mask=m) | M.masked_tensor([1.0], m)
"""


def run(module: Any, code: str) -> Any:
    names: dict[str, Any] = {"torch": module}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(PRELUDE, names)
        try:
            return repr(eval(code, names))
        except Exception as error:
            return type(error).__name__, str(error)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "code", [e for line in PROGRAMS.strip().splitlines() for e in line.split(" | ")]
)
def test_programs_print_what_they_print_with_pytorch(code: str) -> None:
    torch = pytest.importorskip("torch")
    assert run(dt, code) == run(torch, code)


def test_gradients_flow_through_masked_tensors() -> None:
    x = dt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    mask = dt.tensor([True, False, True])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (dt.masked.as_masked_tensor(x, mask) * 2).sum().backward()
    assert x.grad.tolist() == [2, 0, 2]


def test_functions_that_masked_tensors_lack_say_so() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = dt.masked.masked_tensor(dt.ones(2), dt.tensor([True, False]))
    with pytest.raises(NotImplementedError, match="cumsum"):
        made.cumsum(0)
