"""The timed cases, written once against PyTorch's API.

A case takes the module (dispatchtorch, or PyTorch for comparison) and a device, and
returns the function to time. ``group`` is the suite that it belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["CASES", "Case", "synchronize"]

Timed = Callable[[], Any]


class Case:
    """One timed case, and the ratio to PyTorch that it is to keep (None: no budget)."""

    def __init__(
        self,
        group: str,
        name: str,
        make: Callable[[Any, str], Timed],
        budget: float | None,
    ) -> None:
        self.group = group
        self.name = name
        self.make = make
        self.budget = budget

    @property
    def key(self) -> str:
        return f"{self.group}.{self.name}"


CASES: list[Case] = []


def case(group: str, name: str, budget: float | None = None) -> Callable[..., Any]:
    def add(make: Callable[[Any, str], Timed]) -> Callable[[Any, str], Timed]:
        CASES.append(Case(group, name, make, budget))
        return make

    return add


def synchronize(module: Any, device: str) -> None:
    """Waits for a device's queued work, where the module has a namespace for it."""
    if device not in ("cpu", "meta"):
        getattr(module, device.split(":")[0]).synchronize()


def _four(module: Any, device: str, grad: bool = False) -> Any:
    values = [1.0, 2.0, 3.0, 4.0]
    return module.tensor(values, device=device, requires_grad=grad)


# Tensors of four elements: what a call costs before any work is done.

_TINY: dict[str, tuple[float, Callable[[Any, Any, Any], Timed]]] = {
    "add": (0.85, lambda m, a, b: lambda: a + b),
    "add_scalar": (0.9, lambda m, a, b: lambda: a + 1.0),
    "relu": (1.0, lambda m, a, b: lambda: m.relu(a)),
    "exp": (1.0, lambda m, a, b: lambda: a.exp()),
    "sum": (1.0, lambda m, a, b: lambda: a.sum()),
    "select": (1.0, lambda m, a, b: lambda: a[1]),
    "view": (1.0, lambda m, a, b: lambda: a.view(2, 2)),
}


def _add_tiny() -> None:
    for name, (budget, make) in _TINY.items():

        def build(m: Any, device: str, make: Any = make) -> Timed:
            return make(m, _four(m, device), _four(m, device))  # type: ignore[no-any-return]

        case("tiny", name, budget)(build)


_add_tiny()


@case("tiny", "transpose", 1.0)
def _transpose(m: Any, device: str) -> Timed:
    x = m.ones(2, 2, device=device)
    return lambda: x.transpose(0, 1)


@case("tiny", "add_requires_grad", 0.85)
def _add_grad(m: Any, device: str) -> Timed:
    a, b = _four(m, device, True), _four(m, device)
    return lambda: a + b


@case("tiny", "backward", 0.6)
def _backward(m: Any, device: str) -> Timed:
    x = _four(m, device, True)
    return lambda: (x * x).sum().backward()


@case("training", "mlp_8x8_sgd", 1.0)
def _mlp(m: Any, device: str) -> Timed:
    m.manual_seed(0)
    nn = m.nn
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)).to(device)
    optimizer = m.optim.SGD(model.parameters(), lr=0.01)
    x, y = m.randn(8, 8).to(device), m.randn(8, 8).to(device)
    criterion = nn.MSELoss()

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return step


@case("training", "cnn_digits")
def _cnn(m: Any, device: str) -> Timed:
    m.manual_seed(0)
    nn = m.nn
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(128, 10),
    ).to(device)  # fmt: skip
    optimizer = m.optim.Adam(model.parameters())
    x, y = m.randn(32, 1, 8, 8).to(device), m.randint(10, (32,)).to(device)
    criterion = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return step


@case("large", "matmul_1024", 1.1)
def _matmul(m: Any, device: str) -> Timed:
    a, b = m.randn(1024, 1024).to(device), m.randn(1024, 1024).to(device)
    return lambda: a @ b


@case("large", "add_16M", 1.0)
def _add_large(m: Any, device: str) -> Timed:
    a, b = m.ones(1 << 24, device=device), m.ones(1 << 24, device=device)
    return lambda: a + b


@case("large", "softmax_1024")
def _softmax(m: Any, device: str) -> Timed:
    x = m.randn(1024, 1024).to(device)
    return lambda: m.softmax(x, -1)


@case("large", "conv2d_64")
def _conv(m: Any, device: str) -> Timed:
    x, w = m.randn(8, 64, 28, 28).to(device), m.randn(64, 64, 3, 3).to(device)
    return lambda: m.conv2d(x, w, padding=1)


# Steps of optimizers on the parameters of a ResNet-18: 62 tensors, 11.7 million numbers.


def _resnet_shapes() -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    before = 64
    for width in (64, 128, 256, 512):
        for block in range(2):
            first = (width, before if block == 0 else width, 3, 3)
            norm: list[tuple[int, ...]] = [(width,), (width,)]
            shapes += [first, *norm, (width, width, 3, 3), *norm]
            if block == 0 and before != width:
                shapes += [(width, before, 1, 1), *norm]
        before = width
    return [*shapes, (1000, 512), (1000,)]


# Name, and options that aren't the defaults, in the order of the documentation.
_OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("Adadelta", {}),
    ("Adafactor", {}),
    ("Adagrad", {}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "weight_decay": 1e-2}),
    ("AdamW", {}),
    ("Adamax", {}),
    ("ASGD", {}),
    ("LBFGS", {"max_iter": 4, "history_size": 4}),
    ("Muon", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Rprop", {}),
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 1e-4}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SparseAdam", {}),
]


def _stepping(m: Any, device: str, name: str, options: Any) -> Timed:
    m.manual_seed(0)
    parameters = []
    for shape in _resnet_shapes():
        if name == "Muon":  # takes matrices alone
            if len(shape) == 1:
                continue
            shape = (shape[0], math.prod(shape[1:]))
        parameter = m.nn.Parameter(m.randn(shape).to(device))
        grad = m.randn(shape).to(device)
        parameter.grad = grad.to_sparse(1) if name == "SparseAdam" else grad
        parameters.append(parameter)
    optimizer = getattr(m.optim, name)(parameters, **options)
    if name != "LBFGS":
        return optimizer.step  # type: ignore[no-any-return]
    curvatures = [m.rand(p.shape).to(device) for p in parameters]

    def closure() -> Any:
        loss = 0.0
        for parameter, curvature in zip(parameters, curvatures, strict=True):
            m.mul(parameter.detach(), curvature, out=parameter.grad)
            loss += m.vdot(parameter.detach().view(-1), parameter.grad.view(-1)) / 2
        return loss

    return lambda: optimizer.step(closure)


def _add_optimizers() -> None:
    for name, options in _OPTIMIZERS:
        marks = [n for n, v in options.items() if v is True or n == "momentum"]
        key = "_".join([name.lower(), *marks, "resnet18"])

        def build(
            m: Any, device: str, name: str = name, options: Any = options
        ) -> Timed:
            return _stepping(m, device, name, options)

        case("optimizer", key, 1.2)(build)


_add_optimizers()
