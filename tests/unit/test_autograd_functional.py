"""``torch.autograd.functional``: values, structure and messages are PyTorch's."""

from __future__ import annotations

import itertools

import pytest

import dispatchtorch as torch
from dispatchtorch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

oracle = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

APIS = {f.__name__: f for f in (hessian, hvp, jacobian, jvp, vhp, vjp)}


def values(lib, *shape, shift=1):
    n = 1
    for size in shape:
        n *= size
    flat = (lib.arange(n, dtype=lib.float64) + shift) * 0.37
    return flat.sin().reshape(shape)


def vec(lib):
    return values(lib, 3)


def mat(lib):
    return values(lib, 2, 2, shift=4)


def both(lib):
    return vec(lib), mat(lib)


# name -> (the function, its inputs); both are built for a library
FUNCTIONS = {
    "pointwise": (lambda lib: lambda a: a.exp(), vec),
    "scalar": (lambda lib: lambda a: a.exp().sum(), vec),
    "0-d": (lambda lib: lambda a: a**3, values),
    "one element": (lambda lib: lambda a: a.pow(3).sum().reshape(1, 1), vec),
    "two inputs": (lambda lib: lambda a, b: a.exp().sum() * b.sin(), both),
    "two outputs": (lambda lib: lambda a, b: (a**2, b.sum() * a.sum()), both),
    "tuple of one": (lambda lib: lambda a: (a**3,), lambda lib: (vec(lib),)),
    "tuple in": (lambda lib: lambda a: a**3, lambda lib: (vec(lib),)),
    "tuple out": (lambda lib: lambda a: (a**2, a.sum()), vec),
    "scalar of two": (lambda lib: lambda a, b: a.sum() * b.pow(2).sum(), both),
    "unused input": (lambda lib: lambda a, b: (a**3).sum(), both),
    "constant": (lambda lib: lambda a: lib.ones((), dtype=lib.float64), vec),
    "detached": (lambda lib: lambda a: (a.detach() ** 2).sum(), vec),
    "partly constant": (
        lambda lib: lambda a: (a**2, lib.ones(2, dtype=lib.float64)),
        vec,
    ),
    "linear": (lambda lib: lambda a: a.sum() * 2, vec),
    "bilinear": (lambda lib: lambda a, b: a.sum() * b.sum(), both),
    "partly linear": (lambda lib: lambda a, b: (a**2).sum() + b.sum(), both),
    "identity": (lambda lib: lambda a: a, vec),
    "view": (lambda lib: lambda a: a[1:], vec),
    "matrices": (
        lambda lib: lambda a, b: a @ b,
        lambda lib: (mat(lib), mat(lib) + 1),
    ),
    "complex": (
        lambda lib: lambda a: a * a,
        lambda lib: lib.complex(vec(lib), vec(lib) * 2),
    ),
    "complex to real": (
        lambda lib: lambda a: a.abs().sum(),
        lambda lib: lib.complex(vec(lib), vec(lib) * 2),
    ),
    "float32": (lambda lib: lambda a: (a**2).sum(), lambda lib: vec(lib).float()),
    "requires grad": (
        lambda lib: lambda a: (a**3).sum(),
        lambda lib: vec(lib).requires_grad_(),
    ),
    "list in": (lambda lib: lambda a, b: a.sum(), lambda lib: list(both(lib))),
    "number in": (lambda lib: lambda a: a, lambda lib: 3),
    "number among inputs": (lambda lib: lambda a, b: a, lambda lib: (vec(lib), 3)),
    "integers in": (lambda lib: lambda a: a * 2.0, lambda lib: lib.tensor([1, 2])),
    "number out": (lambda lib: lambda a: 3, vec),
    "list out": (lambda lib: lambda a: [a * 2], vec),
    "number among outputs": (lambda lib: lambda a: (a * 2, 3), vec),
}

VECTORS = {
    "none": lambda lib: None,
    "vector": vec,
    "0-d": lambda lib: lib.ones((), dtype=lib.float64),
    "one": lambda lib: lib.ones(1, 1, dtype=lib.float64),
    "tuple of one": lambda lib: (vec(lib),),
    "both": lambda lib: (vec(lib), mat(lib) + 0.5),
    "wrong sizes": lambda lib: (mat(lib), mat(lib)),
    "list": lambda lib: list(both(lib)),
    "number": lambda lib: 3,
    "requires grad": lambda lib: vec(lib).requires_grad_(),
}


class Described:
    """A tensor's dtype, shape, whether it has a graph, and its numbers, roughly."""

    def __init__(self, t):
        self.exact = str(t.dtype), tuple(t.shape), t.requires_grad
        self.numbers = t.detach().reshape(-1).tolist()

    def __eq__(self, other):
        near = pytest.approx(other.numbers, rel=1e-6, abs=1e-9, nan_ok=True)
        return self.exact == other.exact and self.numbers == near

    def __repr__(self):
        return f"{self.exact} {self.numbers}"

    __hash__ = None


def described(result):
    if isinstance(result, tuple):
        return tuple(described(r) for r in result)
    return Described(result)


def outcome(lib, api, build, inputs, *rest, **kwargs):
    function = APIS[api] if lib is torch else getattr(lib.autograd.functional, api)
    arguments = (build(lib), inputs(lib), *(r(lib) for r in rest))
    try:
        return described(function(*arguments, **kwargs))
    except Exception as error:  # noqa: BLE001
        return type(error), str(error)


def assert_same(api, name, *rest, **kwargs):
    mine = outcome(torch, api, *FUNCTIONS[name], *rest, **kwargs)
    assert mine == outcome(oracle, api, *FUNCTIONS[name], *rest, **kwargs)


modes = pytest.mark.parametrize(
    "mode",
    [
        {"create_graph": create, "strict": strict}
        for create, strict in itertools.product([False, True], repeat=2)
    ],
    ids=["plain", "strict", "graph", "strict graph"],
)


@modes
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("api", ["vjp", "jvp", "hvp", "vhp"])
def test_products(api, name, mode):
    for v in VECTORS.values():
        assert_same(api, name, v, **mode)


# PyTorch numbers the input by the output there
MISNUMBERED = {("jacobian", "tuple out"), ("jacobian", "partly linear")}


@modes
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("api", ["jacobian", "hessian"])
def test_matrices(api, name, mode):
    if (api, name) in MISNUMBERED and all(mode.values()):
        pytest.skip("PyTorch names another input")
    assert_same(api, name, **mode)
    if mode["create_graph"] and not mode["strict"]:
        # PyTorch cuts the blocks out of one tensor, so that even zeros have a graph
        if not name.startswith("complex"):
            plain = outcome(torch, api, *FUNCTIONS[name], **mode)
            vectorized = outcome(torch, api, *FUNCTIONS[name], vectorize=True, **mode)
            assert vectorized == plain
    else:
        assert_same(api, name, vectorize=True, **mode)


@pytest.mark.parametrize("name", ["pointwise", "scalar", "0-d", "tuple in"])
def test_forward_strategies_give_the_same(name):
    build, inputs = FUNCTIONS[name]
    arguments = build(torch), inputs(torch)
    forward = jacobian(*arguments, strategy="forward-mode", vectorize=True)
    assert described(forward) == described(jacobian(*arguments))
    if name in ("scalar", "0-d"):
        forward = hessian(
            *arguments, outer_jacobian_strategy="forward-mode", vectorize=True
        )
        assert described(forward) == described(hessian(*arguments))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"strategy": "sideways"},
        {"strategy": "forward-mode", "vectorize": True, "create_graph": True},
        {"strategy": "forward-mode", "vectorize": True, "strict": True},
    ],
    ids=str,
)
def test_strategies_that_are_refused(kwargs):
    assert_same("jacobian", "pointwise", **kwargs)
    kwargs["outer_jacobian_strategy"] = kwargs.pop("strategy")
    assert_same("hessian", "scalar", **kwargs)


def test_forward_strategy_needs_vectorize():
    for api, name in (("jacobian", "strategy"), ("hessian", "outer_jacobian_strategy")):
        with pytest.raises(
            NotImplementedError, match="only implemented for `vectorize"
        ):
            APIS[api](lambda a: a.sum(), vec(torch), **{name: "forward-mode"})


def test_strict_names_the_input_a_jacobian_does_not_depend_on():
    with pytest.raises(RuntimeError, match="jacobian of .* independent of input 1"):
        jacobian(
            lambda a, b: (a**2).sum() + b.sum(),
            both(torch),
            create_graph=True,
            strict=True,
        )


def test_an_output_without_elements_has_an_empty_jacobian():
    x = torch.zeros(0, dtype=torch.float64)
    assert jacobian(lambda a: a * 2, x).shape == (0, 0)


def test_results_can_be_differentiated_with_create_graph():
    x = vec(torch).requires_grad_()
    matrix = jacobian(lambda a: a**3, x, create_graph=True)
    (grad,) = torch.autograd.grad(matrix.sum(), x)
    assert described(grad) == described(6 * x.detach())
    _, product = vjp(lambda a: (a**3).sum(), x, create_graph=True)
    (grad,) = torch.autograd.grad(product.sum(), x)
    assert described(grad) == described(6 * x.detach())


def test_jacobian_times_vector_agrees_with_the_products():
    x, v, u = vec(torch), vec(torch) + 1, mat(torch)

    def func(a):
        return (a.exp().reshape(3, 1) * a).sum(0)[:2] * a[1:]

    matrix = jacobian(func, x)
    assert described(matrix @ v) == described(jvp(func, x, v)[1])
    w = u[0]
    assert described(w @ matrix) == described(vjp(func, x, w)[1])


def test_nothing_is_accumulated_into_the_inputs():
    x = vec(torch).requires_grad_()
    hessian(lambda a: (a**3).sum(), x)
    assert x.grad is None
