"""What overrides and modes are asked about, in PyTorch and here."""

import pytest

import dispatchtorch

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

EXPRESSIONS = """
type(s + 1).__name__
type(1 + s).__name__
type(torch.add(s, 1)).__name__
s.shape
s.size()
s.dtype
s.device
s.requires_grad
s.grad
s.T.shape
s.is_leaf
s.numel()
len(s)
s[0].tolist()
s.__setitem__(0, 1.0)
type(s.to(torch.float64)).__name__
type(s.double()).__name__
type(s.detach()).__name__
s.tolist()
bool(s.sum() > 1)
float(s.sum())
(s == s).tolist()
(2 / s).tolist()
(s // 2).tolist()
(s ** 2).tolist()
s.split(1)[0].tolist()
torch.cat([s, s]).shape
torch.einsum('ij->ji', s).shape
F.cross_entropy(s, torch.tensor([0, 1])).item()
F.mse_loss(s, s).item()
F.layer_norm(s, (2,)).shape
torch.where(s > 0, s, s).shape
torch.meshgrid(s[0], s[0], indexing='ij')[0].shape
torch.broadcast_tensors(s, s)[0].shape
torch.allclose(s, s)
s.requires_grad_().requires_grad
s.sum().backward()
s.is_contiguous()
s.stride()
s.element_size()
s.add_(1).shape
torch.nn.Linear(2, 4)(s).shape
torch.mean(a)
torch.sum(a)
torch.add(torch.ones(1), a)
torch.ones(1) + a
torch.ones(1).add(a)
F.cross_entropy(a, 1)
F.mse_loss(a, a)
torch.cat([torch.ones(1), a])
torch.max(a, 1)
torch.stack([a])
""".strip().splitlines()


def run(torch, expression, mode):
    """The result (or error) of an expression, and the functions asked about."""
    log = []
    F = torch.nn.functional

    def note(func):
        log.append(torch.overrides.resolve_name(func))

    class Sub(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            note(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    class Answer:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            note(func)
            if func in (torch.mean, F.cross_entropy, torch.cat, torch.Tensor.add):
                return "answered"
            return NotImplemented

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            note(func)
            return func(*args, **(kwargs or {}))

    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    scope = {
        "torch": torch,
        "F": F,
        "s": values if mode else values.as_subclass(Sub),
        "a": Answer(),
    }
    try:
        if mode:
            with Mode():
                result = eval(expression, scope)
        else:
            result = eval(expression, scope)
    except Exception as error:
        result = str(error).replace(__name__, "").replace("torch.nn.linear", "")
        result = result.replace("torch.nn.functional.linear", "")
    return str(result), log


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_subclasses(expression):
    assert run(dispatchtorch, expression, False) == run(oracle, expression, False)


# Under modes, PyTorch's constructors of modules and some methods log inner calls.
SKIPPED = ("nn.Linear", "grad", "Tensor.add", "device", "'no'", "requires_grad_")


@pytest.mark.parametrize(
    "expression", [e for e in EXPRESSIONS if not any(word in e for word in SKIPPED)]
)
def test_modes(expression):
    assert run(dispatchtorch, expression, True) == run(oracle, expression, True)
