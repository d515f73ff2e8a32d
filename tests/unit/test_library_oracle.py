"""torch.library and torch.ops say what PyTorch's say."""

import typing
from collections.abc import Sequence

import pytest

import dispatchtorch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def outcome(call, torch):
    try:
        return str(call(torch))
    except Exception as error:
        message = str(error).replace("dispatchtorch.dtypes.dtype", "torch.dtype")
        return type(error).__name__, message.split("The valid types")[0].rstrip()


LIST = typing.List  # noqa: UP006 - as older programs write it
SIGNATURES = {
    "plain": lambda T: {"x": T, "return": T},
    "numbers": lambda T: {"x": T, "n": int, "f": float, "b": bool, "return": T},
    "optional": lambda T: {"x": T | None, "n": int | None, "return": T},
    "lists": lambda T: {
        "x": list[T],
        "n": list[int],
        "f": Sequence[float],
        "return": T,
    },
    "typing lists": lambda T: {"x": LIST[T], "return": LIST[T]},
    "several": lambda T: {"x": T, "return": tuple[T, int, float, bool]},
    "nothing": lambda T: {"x": T, "return": None},
    "bad": lambda T: {"x": dict, "return": T},
    "bad result": lambda T: {"x": T, "return": dict},
    "text": lambda T: {"x": T, "s": str, "return": T},
    "a list": lambda T: {"x": T, "return": list[T]},
    "scalar": lambda T: {"x": T, "s": int | float | bool, "return": T},
}


def function_of(hints):
    names = [n for n in hints if n != "return"]
    scope: dict[str, object] = {}
    exec(f"def f({', '.join(names)}): pass", scope)
    made = scope["f"]
    made.__annotations__ = hints
    return made


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("mutates", [(), ("x",), "unknown", ("q",)])
def test_inferred_schemas(name, mutates):
    def run(torch):
        made = function_of(SIGNATURES[name](torch.Tensor))
        return torch.library.infer_schema(made, mutates_args=mutates)

    assert outcome(run, dispatchtorch) == outcome(run, oracle)


CALLS = {
    "missing": lambda torch: torch.ops.aten.add.Tensor(torch.ones(1)),
    "too many": lambda torch: torch.ops.aten.add.Tensor(*[torch.ones(1)] * 3),
    "unknown keyword": lambda torch: torch.ops.aten.relu.default(torch.ones(1), z=1),
    "not a tensor": lambda torch: torch.ops.aten.relu.default(3),
    "no such operator": lambda torch: torch.ops.aten.no_such_operator,
    "no such overload": lambda torch: torch.ops.aten.add.Nope,
    "schema": lambda torch: torch.ops.aten.addmm.default._schema,
    "schema of sum": lambda torch: torch.ops.aten.sum.dim_IntList._schema,
    "name": lambda torch: torch.ops.aten.softmax.int.name(),
    "module": lambda torch: repr(torch.ops.aten),
    "arguments": lambda torch: [
        (a.name, str(a.type), a.default_value, a.kwarg_only)
        for a in torch.ops.aten.addmm.default._schema.arguments
    ],
    "mutable": lambda torch: torch.ops.aten.mul_.Tensor._schema.is_mutable,
    "bad namespace": lambda torch: torch.library.Library("prim", "DEF"),
    "bad kind": lambda torch: torch.library.Library("oracle_x", "Y"),
    "taken": lambda torch: torch.library.custom_op("no_colons", lambda x: x),
    "bad name": lambda torch: torch.library.define("no_colons", "(Tensor x) -> Tensor"),
    "bad schema": lambda torch: torch.library.define("a::b", "c(Tensor x) -> Tensor"),
    "missing operator": lambda torch: torch.library.register_fake("no::op", lambda: 0),
    "bad test": lambda torch: torch.library.opcheck(
        torch.ops.aten.sin.default, (torch.ones(1),), test_utils="nope"
    ),
    "opcheck": lambda torch: torch.library.opcheck(
        torch.ops.aten.sin.default, (torch.ones(1),)
    ),
    "context": lambda torch: torch.library.get_ctx(),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    assert outcome(CALLS[name], dispatchtorch) == outcome(CALLS[name], oracle)


def custom(torch):
    """A custom operator's life: results, gradients, errors, in the order they come."""
    log = []

    @torch.library.custom_op("oracle_lib::f", mutates_args=())
    def f(
        x: torch.Tensor, xs: list[torch.Tensor], n: int = 2, *, s: float = 1.0
    ) -> torch.Tensor:
        return x * n * s + xs[0]

    def attempt(call):
        try:
            log.append(call())
        except Exception as error:
            log.append((type(error).__name__, str(error)))

    def setup(ctx, inputs, keyword_only_inputs, output):
        log.append((inputs[2:], keyword_only_inputs))
        ctx.n = inputs[2]

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = torch.tensor([3.0, 4.0])
    attempt(lambda: str(f._opoverload._schema))
    attempt(lambda: f(x, [y]).sum().backward())
    attempt(lambda: f(x.to("meta"), [y.to("meta")]))
    f.register_autograd(lambda ctx, g: (g * ctx.n, [None], None), setup_context=setup)
    attempt(lambda: f(x, [y], 5).sum().backward())
    attempt(lambda: x.grad.tolist())
    attempt(lambda: f(x, [y], s=2.0).tolist())
    attempt(lambda: f(x, "no"))
    attempt(lambda: f(x))

    @torch.library.custom_op("oracle_lib::w", mutates_args={"x"})
    def w(x: torch.Tensor) -> None:
        x.mul_(2)

    attempt(lambda: (w(y), y.tolist(), y._version, str(w._opoverload._schema)))
    return log


def test_a_custom_operator():
    mine, theirs = custom(dispatchtorch), custom(oracle)
    assert mine == theirs
