"""Pointwise operators: values, dtypes, gradients and errors are PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest

import dispatchtorch as torch
from tests.ops.oracle import compare, spec

X = [0.3, 1.7, -0.6, 2.2]
Y = [1.1, 0.4, 0.9, -1.3]
P = [0.2, 0.7, 0.4, 0.9]
Q = [1.5, 2.5, 3.2, 4.1]

SMOOTH = """
clamp(x,-.5,1.)  clamp(x,min=y)  clamp_min(x,0.)  clamp_max(x,y)  lerp(x,y,.3)  lerp(x,y,p)
addcmul(x,y,p,value=2)  addcdiv(x,y,q,value=.5)  div(x,y,rounding_mode='floor')
div(x,y,rounding_mode='trunc')  float_power(x,2)  pow(q,y)  pow(2,y)  pow(q,0.5)  frac(x)
sinc(x)  logit(p)  logit(p,0.3)  logaddexp(x,y)  logaddexp2(x,y)  xlogy(x,q)  xlogy(2,q)
hypot(x,y)  copysign(x,y)  ldexp(q,y)  fmax(x,y)  fmin(x,y)  nan_to_num(x)
round(x,decimals=1)  deg2rad(x)  rad2deg(x)  erf(x)  erfc(x)  erfinv(p)  digamma(q)
lgamma(q)  mvlgamma(q,2)  polygamma(2,q)  i0(x)  special.erfcx(x)  special.ndtr(x)
special.log_ndtr(x)  special.ndtri(p)  special.entr(p)  special.xlog1py(x,p)
special.zeta(2.,q)  special.i0e(x)  special.i1(x)  special.i1e(x)  subtract(x,y)
multiply(x,2)  atan2(x,y)  fmod(x,y)  remainder(x,y)  maximum(x,y)  square(x)
""".split("  ")
SMOOTH = [
    each for line in "  ".join(SMOOTH).split("\n") for each in line.split("  ") if each
]

NAMED = {
    "clamp(x,0,1)": "ClampBackward1", "clamp(x,y,q)": "ClampBackward0",
    "clamp_min(x,y)": "ClampMinBackward1", "clamp_max(x,1)": "ClampMaxBackward0",
    "lerp(x,y,.3)": "LerpBackward0", "lerp(x,y,p)": "LerpBackward1",
    "pow(x,2)": "PowBackward0", "multiply(x,y)": "MulBackward0",
    "round(x,decimals=1)": "RoundBackward1", "deg2rad(x)": "Deg2RadBackward0",
}  # fmt: skip


def call(text: str) -> Any:
    """The function that runs ``text`` with a module's functions."""

    def run(m: Any, x: Any, y: Any, p: Any, q: Any) -> Any:
        return eval(f"m.{text}", {"m": m, "x": x, "y": y, "p": p, "q": q})

    return run


def operands(dtype: str, grad: bool = False) -> list[Any]:
    return [spec(v, dtype, grad) for v in (X, Y, P, Q)]


@pytest.mark.oracle
@pytest.mark.parametrize("text", SMOOTH)
def test_values_and_both_gradients(text: str) -> None:
    compare(call(text), *operands("float64", True), gradgrad=True, rtol=1e-5, atol=1e-7)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("text", [s for s in SMOOTH if "special" not in s])
def test_values_in_single_and_half_precision(text: str, dtype: str) -> None:
    if dtype == "bfloat16" and any(
        s in text for s in ("round", "digamma", "polygamma")
    ):
        pytest.skip("rounds at another place")
    compare(call(text), *operands(dtype))


@pytest.mark.oracle
@pytest.mark.parametrize(("text", "name"), NAMED.items())
def test_the_graph_has_pytorchs_node_names(text: str, name: str) -> None:
    made = call(text)(
        torch, *[torch.tensor(v, requires_grad=True) for v in (X, Y, P, Q)]
    )
    assert type(made.grad_fn).__name__ == name
    compare(call(text), *operands("float32", True), grad_fn=True)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "complex64"])
@pytest.mark.parametrize(
    "name",
    "frac sinc signbit isposinf isneginf isreal nan_to_num deg2rad positive floor ceil trunc "
    "round sign neg abs relu square erf erfc exp logit isfinite sgn".split(),
)
def test_one_operand_of_every_kind(name: str, dtype: str) -> None:
    compare(lambda m, x: getattr(m, name)(x), spec([1, 0, 3], dtype))


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "complex64"])
@pytest.mark.parametrize("second", ["same", "0-d", 2, 1.5])
@pytest.mark.parametrize(
    "name",
    "sub mul div pow floor_divide remainder fmod lt eq xlogy copysign fmax hypot gcd lcm "
    "bitwise_left_shift bitwise_right_shift heaviside logaddexp nextafter float_power "
    "maximum clamp_min atan2".split(),
)
def test_two_operands_of_every_kind(name: str, second: Any, dtype: str) -> None:
    other = {"same": spec([2, 1, 4], dtype), "0-d": spec(3, dtype)}.get(second, second)
    compare(lambda m, x, y: getattr(m, name)(x, y), spec([5, 0, 3], dtype), other)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: m.tensor([2, 3]) ** -1,
        lambda m, x: m.clamp(x),
        lambda m, x: m.div(x, 2, rounding_mode="up"),
        lambda m, x: m.isclose(x, x.double()),
        lambda m, x: m.allclose(x, x, rtol=-1),
        lambda m, x: m.lerp(x, x.double(), 0.5),
        lambda m, x: m.addcdiv(*[m.tensor([1])] * 3),
        lambda m, x: m.frexp(m.tensor([1])),
        lambda m, x: m.tensor([1]).add_(0.5),
        lambda m, x: x + m.ones(3),
        lambda m, x: m.ones(1).add_(x),
        lambda m, x: m.tensor([True]) - 1,
        lambda m, x: m.tensor([1j]).abs_(),
        lambda m, x: x.float_power_(2),
        lambda m, x: m.polygamma(-1, x),
    ],
)
def test_errors(run: Any) -> None:
    compare(run, spec([1.0, 2.0]))


@pytest.mark.oracle
@pytest.mark.parametrize(
    "run",
    [
        lambda m, x, y: (m.equal(x, y), m.equal(x, x), m.allclose(x, x + 1e-9)),
        lambda m, x, y: m.isclose(x, y, equal_nan=True),
        lambda m, x, y: tuple(m.frexp(x)),
        lambda m, x, y: m.nan_to_num(x, 1.0, 2.0, 3.0),
        lambda m, x, y: x.clamp(max=y),
        lambda m, x, y: x.clip_(0.0, 1.0),
        lambda m, x, y: m.add(x, y, out=m.empty(4)),
        lambda m, x, y: m.clamp(x, 0, 1, out=m.empty(0)),
        lambda m, x, y: x.div_(y, rounding_mode="trunc"),
        lambda m, x, y: m.erf(x.reshape(2, 2).t()),
        lambda m, x, y: m.is_same_size(x, y),
    ],
)
def test_special_values(run: Any) -> None:
    inf, nan = float("inf"), float("nan")
    compare(run, spec([nan, inf, -inf, 0.7]), spec([nan, inf, 1.0, 0.7]))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hypot(x, y)", [5.0, 13.0]),
        ("fmax(x, y)", [4.0, 12.0]),
        ("copysign(x, -y)", [-3.0, -5.0]),
        ("clamp(x, 4, 4.5)", [4.0, 4.5]),
        ("heaviside(x - 3, y)", [4.0, 1.0]),
        ("gcd(x.long(), y.long())", [1, 1]),
        ("lcm(x.long(), y.long())", [12, 60]),
        ("bitwise_left_shift(x.long(), 2)", [12, 20]),
        ("bitwise_right_shift(-y.long(), 1)", [-2, -6]),
        ("nextafter(x, x)", [3.0, 5.0]),
        ("frexp(x).mantissa", [0.75, 0.625]),
        ("lerp(x, y, 1.0)", [4.0, 12.0]),
        ("addcmul(x, y, y, value=0.5)", [11.0, 77.0]),
        ("isposinf(x)", [False, False]),
    ],
)
def test_devices_of_primitives_alone(text: str, wanted: list[Any], device: str) -> None:
    x = torch.tensor([3.0, 5.0]).to(device)
    y = torch.tensor([4.0, 12.0]).to(device)
    made = eval("torch." + text, {"torch": torch, "x": x, "y": y})
    assert made.device.type == device
    assert made.tolist() == wanted


@pytest.mark.parametrize("name", ["add_", "sub_"])
@pytest.mark.parametrize("alpha", [0.5, 3, float("inf")])
def test_long_sums_in_place_take_alpha_as_short_ones(name, alpha, device):
    start = torch.linspace(-1, 1, 70_000, device=device)
    other = torch.linspace(5, 9, 70_000, device=device)
    whole, parts = start.clone(), start.clone()
    version = whole._version
    assert getattr(whole, name)(other, alpha=alpha) is whole
    for i in range(0, 70_000, 7_000):
        getattr(parts[i : i + 7_000], name)(other[i : i + 7_000], alpha=alpha)
    assert torch.allclose(whole, parts)
    assert whole._version == version + 1
    leaf = start.requires_grad_()
    getattr(leaf * 1, name)(other, alpha=alpha).sum().backward()
    assert torch.equal(leaf.grad, torch.ones_like(start))
