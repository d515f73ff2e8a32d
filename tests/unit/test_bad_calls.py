"""What calls say whose arguments are missing, too many, or of a wrong type."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch.dispatch.codegen import parameter_names
from dispatchtorch.dispatch.operator import Operator, packets
from dispatchtorch.dispatch.schema import REQUIRED, Argument

# Functions and methods: each is called with every argument dropped or replaced in turn.
FUNCTIONS = """abs acos exp log sin sqrt neg sign erf relu sigmoid tanh floor rsqrt
    atan2 cross cumsum cumprod logcumsumexp diff dot mv outer ger matmul gather
    index_select masked_select flip roll rot90 tril triu diag diag_embed kron inner
    polar complex hypot logaddexp nextafter addcmul cat stack unbind unsqueeze
    transpose select narrow_copy topk kthvalue logsumexp amax amin softmax log_softmax
    bincount histc inverse det renorm heaviside take zeros ones empty full
    take_along_dim tile unflatten unfold_copy chunk fft_fft channel_shuffle
    pixel_shuffle pixel_unshuffle""".split()
METHODS = """add sub matmul mm cumsum cumprod gather index_select masked_select flip roll tril triu
    transpose select unfold expand permute reshape
    topk logsumexp amax softmax index_add renorm take""".split()
NN_FUNCTIONS = """linear pixel_shuffle one_hot avg_pool2d""".split()
WRONG: dict[str, Any] = {"str": "a", "list": ["a"], "dict": {}}
# Kinds of a wrong argument that PyTorch finds at the call, and we where it is used.
FOUND_LATER = ("bool", "ScalarType")


def value(m: Any, argument: Argument) -> Any:
    if argument.is_list:
        return [m.ones(2, 3)] * 2 if argument.base == "Tensor" else [0]
    made = {"int": 0, "float": 1.0, "Scalar": 1.0, "bool": True, "str": "sum"}
    if argument.is_tensor:
        return m.ones(2, 3)
    return made.get(argument.base)


def calls(op: Operator, form: str) -> Iterator[tuple[str, Callable[[Any], list[Any]]]]:
    """Labels of bad calls, and what makes their arguments for either module."""
    arguments = [a for a in op.schema.arguments if not a.kwonly]
    required = [a for a in arguments if a.default is REQUIRED]
    start = int(form == "method")
    if len(required) > start and (start or len(arguments) > 1 or len(required) > 1):
        yield "one missing", lambda m: [value(m, a) for a in required[:-1]]
    for i, argument in enumerate(arguments[:4]):
        if argument.default is not REQUIRED or i < start:
            continue
        if argument.base in FOUND_LATER:
            continue
        for name, wrong in WRONG.items():
            if argument.is_list and name == "dict":
                continue
            yield (
                f"{parameter_names(op, form)[i]} a {name}",
                lambda m, i=i, wrong=wrong: [
                    wrong if j == i else value(m, a) for j, a in enumerate(required)
                ],
            )


def outcome(call: Callable[[], Any]) -> Any:
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error).strip()
    return None


def differences(m: Any, oracle: Any, names: list[str], form: str) -> list[Any]:
    found = []
    for name in names:
        ours, theirs = getattr(m, name, None), getattr(oracle, name, None)
        if ours is None or theirs is None:
            continue
        for label, arguments in calls(packets[name].overloads[0], form):
            wanted = outcome(lambda f=theirs, a=arguments: f(*a(ORACLE)))
            got = outcome(lambda f=ours, a=arguments: f(*a(torch)))
            if wanted is not None and wanted != got:
                found.append((name, label, wanted, got))
    return found


ORACLE: Any = None


@pytest.fixture(autouse=True)
def _oracle() -> None:
    global ORACLE
    ORACLE = pytest.importorskip("torch")


@pytest.mark.oracle
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_calls_of_functions(name: str) -> None:
    assert differences(torch, ORACLE, [name], "function") == []


@pytest.mark.oracle
@pytest.mark.parametrize("name", METHODS)
def test_bad_calls_of_methods(name: str) -> None:
    assert differences(torch.Tensor, ORACLE.Tensor, [name], "method") == []


@pytest.mark.oracle
@pytest.mark.parametrize("name", NN_FUNCTIONS)
def test_bad_calls_of_nn_functions(name: str) -> None:
    ours, theirs = torch.nn.functional, ORACLE.nn.functional
    assert differences(ours, theirs, [name], "function") == []


CALLS = [
    "m.add(x)", "m.add()", "m.cumsum(x)", "m.polar()",
    "m.cat(x)", "m.cat(['a'])", "m.stack([x, 1])", "m.fft.fft(x, 2.0)",
    "m.transpose(x, 0)", "x.transpose(0)", "m.transpose(x, 0, 1, 2)", "m.exp(x, x)",
    "x.sum('a')", "m.sum()", "m.softmax(x)", "m.relu(3)",
    "m.zeros('a')", "m.zeros(2, 'a')", "m.zeros(['a'])", "m.randn(2.5)",
    "x.view('a')", "x.view()", "x.reshape(1.5)", "x.expand('a')", "x.permute('a')",
    "m.exp(x, nonsense=1)", "m.polar(x, x, x)",
    "m.nn.Linear('a', 3)", "m.nn.Linear(3, 'a')", "m.nn.LayerNorm('a')",
    "m.nn.functional.linear('a', x)", "m.nn.functional.linear(x, 'a')",
    "m.cumsum(x, 0, dtype='a')", "m.mul(x, out=x)",
    "m.pinverse(x, 1, 2, 3)", "x.addcmul(x)", "m.full((2,), 'a')",
    "m.arange('a')", "m.eye('a')", "m.rand_like(1)",
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("text", CALLS)
def test_bad_call(text: str) -> None:
    def run(m: Any) -> Any:
        return outcome(lambda: eval(text, {"m": m, "x": m.ones(2, 3)}))

    assert run(torch) == run(ORACLE)


def test_an_error_of_a_callback_passes_unchanged() -> None:
    raised = TypeError("mine")

    class Mode(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            raise raised

    with Mode(), pytest.raises(TypeError) as caught:
        torch.exp(torch.ones(2))
    assert caught.value is raised


def test_the_error_of_a_bad_call_shows_no_inner_error() -> None:
    with pytest.raises(TypeError) as caught:
        torch.cumsum(torch.ones(2), "a")
    text = "".join(traceback.format_exception(caught.value))
    assert "During handling" not in text
    assert "direct cause" not in text
