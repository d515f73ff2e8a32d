"""What a dispatch mode sees, in PyTorch and here."""

import importlib

import pytest

import dispatchtorch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

PROGRAMS = """
x + 1
1 - x
x * x
x / 2
x // 2
x % 2
x ** 2
2 ** x
x == 1
x > x
-x
x.add(1, alpha=2)
x.add_(1)
x.masked_fill(x > 0, 1.0)
x.clamp(0)
x.double()
x.t()
x.T
x.transpose(0, 1)
x.view(12)
x.reshape(12)
x[0]
x[1:2]
x[:, 1]
x[None]
x.sum()
x.sum(1)
x.mean(0)
x.max(1)
x.var()
x @ x.t()
torch.matmul(b, x.t())
x.detach()
x.clone()
x.t().contiguous()
x.expand(2, 3, 4)
x.repeat(2, 1)
x.split(2)
x.chunk(2)
x.unbind(0)
F.relu(x)
F.silu(x)
F.softmax(x, -1)
F.log_softmax(x, -1)
F.linear(x, w, v)
F.layer_norm(x, (4,))
F.embedding(i, x)
F.conv2d(img, k)
F.group_norm(img, 3)
F.cross_entropy(x, i)
F.mse_loss(x, x)
F.binary_cross_entropy_with_logits(x, x)
torch.zeros(2)
torch.full((2,), 1.0)
torch.arange(3)
torch.rand(2)
torch.eye(2)
x.zero_()
x.fill_(1)
x.copy_(x)
x.sum().item()
torch.addmm(x, torch.ones(3, 3), x)
x.sort()
x.argmax()
x.topk(2)
x.cumsum(0)
x.narrow(0, 0, 1)
x.squeeze()
x.roll(1)
torch.isnan(x)
torch.maximum(x, x)
x.uniform_()
torch.logsumexp(x, 0)
repr(x)
""".strip().splitlines()


def calls_of(torch, program):
    """The calls of a program, tensors as their shapes."""
    module = importlib.import_module(f"{torch.__name__}.utils._python_dispatch")
    seen = []

    def shown(value):
        if isinstance(value, torch.Tensor):
            return tuple(value.shape)
        if isinstance(value, (list, tuple)):
            return [shown(v) for v in value]
        return str(value)

    class Log(module.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append((str(func), shown(args), shown(list((kwargs or {}).items()))))
            return func(*args, **(kwargs or {}))

    scope = {
        "torch": torch,
        "F": torch.nn.functional,
        "x": torch.ones(3, 4),
        "b": torch.ones(2, 3, 4),
        "w": torch.ones(5, 4),
        "v": torch.ones(5),
        "i": torch.tensor([0, 1, 2]),
        "img": torch.ones(1, 3, 8, 8),
        "k": torch.ones(2, 3, 3, 3),
    }
    with Log():
        eval(program, scope)
    return seen


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_mode_sees_the_same_calls(program):
    assert calls_of(dispatchtorch, program) == calls_of(oracle, program)


MODELS = {
    "linear": lambda torch: torch.nn.Linear(3, 4)(torch.ones(2, 3)),
    "convolution": lambda torch: torch.nn.Conv2d(3, 6, 3, stride=2, padding=1)(
        torch.ones(2, 3, 8, 8, requires_grad=True)
    ),
    "groups": lambda torch: torch.nn.Conv2d(3, 6, 3, groups=3)(
        torch.ones(2, 3, 8, 8, requires_grad=True)
    ),
    "transposed": lambda torch: torch.nn.ConvTranspose2d(3, 6, 3, stride=2)(
        torch.ones(2, 3, 8, 8, requires_grad=True)
    ),
    "nested": lambda torch: torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Sequential(torch.nn.Linear(4, 2))
    )(torch.ones(2, 3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_floating_point_operations(name):
    def run(torch):
        counter = importlib.import_module(f"{torch.__name__}.utils.flop_counter")
        with counter.FlopCounterMode(display=False) as mode:
            MODELS[name](torch).sum().backward()
        by_module = {k: sum(v.values()) for k, v in mode.get_flop_counts().items()}
        return mode.get_total_flops(), by_module

    assert run(dispatchtorch) == run(oracle)


def test_the_table_of_operations():
    def run(torch):
        counter = importlib.import_module(f"{torch.__name__}.utils.flop_counter")
        with counter.FlopCounterMode(display=False) as mode:
            MODELS["nested"](torch)
        return mode.get_table()

    assert run(dispatchtorch) == run(oracle)
