"""What a device has to do beside operators: memory, views, random numbers, threads, files.

Each function is one check: it raises AssertionError with what is wrong, or
:class:`NotApplicable` where the device hasn't what it is about.
"""

from __future__ import annotations

import gc
import io
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

import dispatchtorch as torch
from dispatchtorch import nn
from dispatchtorch.backend import get_backend
from dispatchtorch.errors import OutOfMemoryError
from dispatchtorch.testing._results import difference

__all__ = ["CHECKS", "NotApplicable"]

CHECKS: dict[str, Callable[[str], None]] = {}


class NotApplicable(Exception):
    """The device hasn't what a check is about; the message says what."""


def _check(title: str) -> Callable[[Callable[[str], None]], Callable[[str], None]]:
    def add(function: Callable[[str], None]) -> Callable[[str], None]:
        CHECKS[title] = function
        return function

    return add


def _same(found: Any, wanted: Any, what: str) -> None:
    words = difference(found, wanted)
    if words:
        raise AssertionError(f"{what}: {words}")


def _expect(condition: Any, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def _raised(function: Callable[[], Any], kind: type[Exception], words: str) -> None:
    try:
        function()
    except kind as error:
        _expect(words in str(error), f"message {str(error)!r} has no {words!r}")
        return
    except Exception as error:
        raise AssertionError(
            f"{type(error).__name__}: {error}; expected {kind.__name__}"
        ) from error
    raise AssertionError(f"no error, expected {kind.__name__}: {words}")


def _dtypes(device: str) -> list[Any]:
    known = get_backend(torch.device(device).type).dtypes
    names = (
        "float32 float64 float16 bfloat16 complex64 complex128 "
        "int64 int32 int16 int8 uint8 bool"
    )
    found = [getattr(torch, name) for name in names.split()]
    return [dtype for dtype in found if known is None or dtype in known]


# Memory.


@_check("copies to the device and back")
def _copies(device: str) -> None:
    for dtype in _dtypes(device):
        for shape in ((2, 3), (), (0, 2)):
            x = (torch.arange(6) - 2)[: int(np.prod(shape))].reshape(shape).to(dtype)
            there = x.to(device)
            _expect(there.device.type == torch.device(device).type, "it isn't there")
            _same(there.cpu(), x, f"{dtype} {shape}")
    x = torch.arange(12.0).reshape(3, 4)
    _same(x.t().to(device).cpu(), x.t(), "a transposed tensor")
    _same(x[:, ::2].to(device), x[:, ::2], "a strided tensor")
    _same(x.to(device)[1:, ::2].cpu(), x[1:, ::2], "a strided tensor on the device")
    there = x.to(device)
    x.zero_()
    _expect(float(there.sum()) == 66.0, "the copy shares memory with the original")
    back = there.cpu()
    there.zero_()
    _expect(
        float(back.sum()) == 66.0, "the copy shares memory with the device's tensor"
    )


@_check("conversions between dtypes")
def _conversions(device: str) -> None:
    dtypes = _dtypes(device)
    x = torch.tensor([0.0, 1.0, 2.6, 100.0])
    for source in dtypes:
        for target in dtypes:
            if source.is_complex and not target.is_complex:
                continue
            host = x.to(source)
            _same(host.to(device).to(target), host.to(target), f"{source} to {target}")


@_check("copy_ between layouts, shapes and devices")
def _copy(device: str) -> None:
    base = torch.zeros(3, 4, device=device)
    source = torch.arange(12.0).reshape(4, 3)
    base.copy_(source.t())
    _same(base, source.t(), "from a transposed host tensor")
    base.t().copy_(source.to(device))
    _same(base, source.t(), "to a transposed tensor")
    base.copy_(torch.arange(4))
    _same(base, torch.arange(4.0).expand(3, 4), "a broadcast row of another dtype")
    host = torch.zeros(3, 4)
    host.copy_(base)
    _same(host, base, "to the host")


@_check("tensors on every index")
def _indices(device: str) -> None:
    backend = get_backend(torch.device(device).type)
    count = backend.device_count()
    if not backend.indexed or count < 2:
        raise NotApplicable("there is one device of the type")
    kind = torch.device(device).type
    here, there = (torch.ones(3, device=f"{kind}:{i}") for i in range(2))
    _expect(there.device.index == 1, f"a tensor made on {kind}:1 is on {there.device}")
    _expect((there + there).device.index == 1, "a result lies on another index")
    _expect(here.to(f"{kind}:1").device.index == 1, "to() stays on its index")
    _same(here.to(f"{kind}:1") + there, torch.full((3,), 2.0), "values of the copy")


@_check("memory statistics and running out of memory")
def _out_of_memory(device: str) -> None:
    backend = get_backend(torch.device(device).type)
    stats = backend.memory_stats(0)
    total = stats.get("total") or stats.get("limit")
    if not total:
        raise NotApplicable("memory_stats() doesn't say 'total'")
    elements = 2 * total // 4
    _raised(
        lambda: torch.empty(elements, dtype=torch.float32, device=device),
        OutOfMemoryError,
        "",
    )
    gc.collect()
    _same(torch.ones(3, device=device) + 1, torch.full((3,), 2.0), "afterwards")
    before = backend.memory_stats(0).get("allocated")
    if before is None:
        return
    x = torch.ones(1 << 16, device=device)
    held = backend.memory_stats(0)["allocated"] - before
    _expect(held >= 1 << 18, f"{held} bytes more are allocated, expected {1 << 18}")
    del x
    gc.collect()
    now = backend.memory_stats(0)["allocated"]
    _expect(now <= before, f"{now - before} bytes aren't given back")


# Views and in-place writes.


@_check("views share memory with their base")
def _views(device: str) -> None:
    makes: dict[str, Callable[[Any], Any]] = {
        "slice": lambda x: x[1:],
        "select": lambda x: x[:, 1],
        "step": lambda x: x[:, ::2],
        "transpose": lambda x: x.t(),
        "view": lambda x: x.view(12),
        "unsqueeze": lambda x: x.unsqueeze(1),
        "diagonal": lambda x: x.diagonal(),
        "expand": lambda x: x[:, :1].expand(3, 4)[:, 0],
        "as_strided": lambda x: x.as_strided((2, 2), (4, 1), 1),
        "unfold": lambda x: x.unfold(1, 2, 2),
        "a view of a view": lambda x: x[1:].t()[1:, 0],
    }
    for name, make in makes.items():
        host = torch.arange(12.0).reshape(3, 4)
        there = host.clone().to(device)
        make(host).add_(100)
        make(there).add_(100)
        _same(there, host, f"the base after writing to {name}")
        host.mul_(2)
        there.mul_(2)
        _same(make(there), make(host), f"{name} after writing to the base")
        _expect(make(there)._is_view(), f"{name} isn't a view")
        _expect(
            make(there).storage_offset() == make(host).storage_offset(),
            f"{name} has another storage offset",
        )


@_check("detach and view(dtype) share memory")
def _reinterpreted(device: str) -> None:
    x = torch.ones(4, device=device)
    x.detach().zero_()
    _same(x, torch.zeros(4), "after writing to detach()")
    bits = x.view(torch.int32)
    bits.fill_(0x3F800000)
    _same(x, torch.ones(4), "after writing to view(int32)")


@_check("writing in place")
def _writes(device: str) -> None:
    for dtype in _dtypes(device):
        host = torch.arange(6).reshape(2, 3).to(dtype)
        there = host.to(device)
        for x in (host, there):
            x[0] = 1
            x[:, 1:] = x[:, :1]
            x[1, ::2].fill_(1)
            x.t()[0].zero_()
        _same(there, host, str(dtype))
    x = torch.zeros(3, device=device)
    _raised(lambda: x.add_(torch.ones(2, 3, device=device)), RuntimeError, "shape")
    before = x._version
    x.add_(1)
    _expect(x._version == before + 1, "the version counter stands still")


@_check("a saved tensor that is changed is noticed")
def _versions(device: str) -> None:
    x = torch.ones(3, device=device, requires_grad=True)
    y = x.exp()
    y.add_(1)
    _raised(
        lambda: y.sum().backward(), RuntimeError, "modified by an inplace operation"
    )
    _raised(lambda: x.add_(1), RuntimeError, "a leaf Variable that requires grad")


# Automatic differentiation.


@_check("gradients lie on the device and add up")
def _gradients(device: str) -> None:
    x = torch.full((2, 3), 2.0, device=device, requires_grad=True)
    for count in (1, 2):
        (x * x).sum().backward()
        _same(x.grad, torch.full((2, 3), 4.0 * count), f"gradient {count}")
    _expect(x.grad.device == x.device, f"the gradient is on {x.grad.device}")
    y = x[:, 1:].t().contiguous().view(-1)
    (grad,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), x)
    _same(second, torch.tensor([[0.0, 12, 12], [0, 12, 12]]), "a second derivative")
    host = torch.ones(3, requires_grad=True)
    (host.to(device) * 2).sum().backward()
    _same(host.grad, torch.full((3,), 2.0), "a gradient through to()")
    _expect(host.grad.device.type == "cpu", "a host tensor's gradient isn't there")


@_check("a module trains as on cpu")
def _module(device: str) -> None:
    losses = []
    for where in ("cpu", device):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        x, y = torch.randn(6, 4), torch.randint(0, 2, (6,))
        model.to(where)
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x.to(where)), y.to(where))
            loss.backward()
            optimizer.step()
        losses.append([loss.cpu(), *(p.detach().cpu() for p in model.parameters())])
    _same(losses[1], losses[0], "loss and parameters after three steps")


@_check("a CNN and a transformer train as on cpu")
def _programs(device: str) -> None:
    from dispatchtorch.testing.programs import PROGRAMS

    own = get_backend(torch.device(device).type).generator(0) is not None
    for name, program in PROGRAMS.items():
        found, wanted = program(device), program("cpu")
        # With a generator of its own the device drops other elements.
        if own and torch.device(device).type != "cpu":
            _expect(np.isfinite(found).all(), f"{name}: the loss is {found}")
        else:
            close = np.allclose(found, wanted, rtol=1e-3)
            _expect(close, f"{name}: losses {found}, expected {wanted}")


# Random numbers.


@_check("the same seed gives the same numbers")
def _seeds(device: str) -> None:
    draws: dict[str, Callable[[], Any]] = {
        "rand": lambda: torch.rand(40, device=device),
        "randn": lambda: torch.randn(40, device=device),
        "randint": lambda: torch.randint(0, 99, (40,), device=device),
        "randperm": lambda: torch.randperm(40, device=device),
        "dropout": lambda: nn.functional.dropout(torch.ones(40, device=device)),
        "bernoulli": lambda: torch.full((40,), 0.4, device=device).bernoulli(),
    }
    for name, draw in draws.items():
        torch.manual_seed(7)
        first, second = draw(), draw()
        torch.manual_seed(7)
        _same(draw(), first, f"{name} after manual_seed")
        _expect(not torch.equal(first, second), f"{name} gives the same again")
    values = torch.rand(1000, device=device).cpu()
    _expect(bool(((values >= 0) & (values < 1)).all()), "rand leaves [0, 1)")
    order = torch.randperm(50, device=device).cpu().sort().values
    _same(order, torch.arange(50), "randperm, sorted")
    normal = torch.randn(4000, device=device).cpu()
    _expect(abs(float(normal.mean())) < 0.1, "randn's mean isn't 0")
    _expect(abs(float(normal.std()) - 1) < 0.1, "randn's deviation isn't 1")


@_check("the generator's state can be kept and set")
def _generator(device: str) -> None:
    generator = torch.Generator(device).manual_seed(3)
    state = generator.get_state()
    first = torch.rand(8, device=device, generator=generator)
    generator.set_state(state)
    again = torch.rand(8, device=device, generator=generator)
    _same(again, first, "after set_state")
    _expect(generator.initial_seed() == 3, "initial_seed isn't the seed")
    torch.manual_seed(5)
    before = torch.rand(3, device=device)
    torch.manual_seed(5)
    torch.rand(3, device=device, generator=generator)
    _same(torch.rand(3, device=device), before, "the default generator, undisturbed")
    kind = torch.device(device)
    namespace = getattr(torch, kind.type, None)
    if kind.type == "cpu" or namespace is None:
        return
    state = namespace.get_rng_state(kind.index or 0)
    first = torch.rand(5, device=device)
    namespace.set_rng_state(state, kind.index or 0)
    _same(torch.rand(5, device=device), first, "after set_rng_state")


# Order and threads.


@_check("queued work is done when it is read")
def _synchronised(device: str) -> None:
    backend = get_backend(torch.device(device).type)
    index = torch.device(device).index or 0
    x = torch.ones(64, 64, device=device)
    for _ in range(50):
        x = (x @ x) / 64
    _expect(float(x.sum()) == 4096.0, "item() doesn't wait")
    y = torch.zeros(64, device=device)
    for _ in range(200):
        y.add_(1)
    host = y.cpu()
    y.add_(1)
    backend.synchronize(index)
    _expect(float(host[0]) == 200.0, "cpu() sees writes that come after it")
    _expect(float(y[0]) == 201.0, "a write is lost")
    source = torch.ones(1000)
    there = torch.empty(1000, device=device).copy_(source, non_blocking=True)
    source.zero_()
    backend.synchronize(index)
    # Pageable memory: the copy has to be staged before copy_ returns.
    _expect(float(there.sum()) == 1000.0, "copy_ reads its source after it returns")


@_check("threads don't disturb each other")
def _threads(device: str) -> None:
    def work(seed: int) -> Any:
        generator = torch.Generator(device).manual_seed(seed)
        x = torch.rand(8, 8, device=device, generator=generator, requires_grad=True)
        y = x
        for _ in range(5):
            y = torch.tanh(y @ x) + y.t()[::2].repeat(2, 1)
        y.sum().backward()
        with torch.no_grad():
            return (y.detach().cpu(), x.grad.cpu(), bool((y * 2).requires_grad))

    expected = [work(seed) for seed in range(4)]
    found: dict[int, Any] = {}
    errors: list[BaseException] = []

    def run(seed: int) -> None:
        try:
            for _ in range(5):
                found[seed] = work(seed)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise AssertionError(f"a thread raised {errors[0]!r}") from errors[0]
    for seed, wanted in enumerate(expected):
        _same(found[seed], wanted, f"thread {seed}")


# Files.


@_check("tensors are saved and loaded between devices")
def _files(device: str) -> None:
    def through(value: Any, **options: Any) -> Any:
        file = io.BytesIO()
        torch.save(value, file)
        file.seek(0)
        return torch.load(file, **options)

    kind = torch.device(device).type
    for dtype in _dtypes(device):
        x = torch.arange(6).reshape(2, 3).to(dtype)
        again = through(x.to(device))
        _expect(again.device.type == kind, f"it is loaded to {again.device}")
        _same(again, x, f"{dtype} loaded")
        host = through(x.to(device), map_location="cpu")
        _expect(host.device.type == "cpu", "map_location='cpu' is ignored")
        _same(host, x, f"{dtype} loaded to the host")
        _same(through(x, map_location=device), x, f"{dtype} loaded from the host")
    base = torch.arange(6.0, device=device)
    pair = through({"base": base, "view": base[2:]})
    pair["base"].zero_()
    _expect(float(pair["view"].sum()) == 0.0, "loaded tensors don't share memory")
    weight = nn.Parameter(torch.ones(2, device=device))
    _expect(
        through(weight, weights_only=True).requires_grad, "a parameter's flag is lost"
    )
    model = nn.Linear(3, 2).to(device)
    other = nn.Linear(3, 2)
    other.load_state_dict(through(model.state_dict(), map_location="cpu"))
    _same(other.weight, model.weight, "a state_dict")
    again = pickle.loads(pickle.dumps(base))
    _same(again, base, "pickled")
    _expect(again.device.type == kind, f"it is unpickled to {again.device}")


# Reading and errors.


@_check("numbers, lists and text")
def _reading(device: str) -> None:
    x = torch.tensor([[1.5, 2.0], [3.0, float("nan")]], device=device)
    _expect(x[0, 0].item() == 1.5, "item()")
    _expect(x[0].tolist() == [1.5, 2.0], "tolist()")
    _expect(bool(x[0, 0] > 1), "bool()")
    _expect(int(torch.tensor(3, device=device)) == 3, "int()")
    _expect(len(x) == 2 and [r.shape for r in x] == [x[0].shape] * 2, "iteration")
    host = repr(x.cpu())
    if torch.device(device).type != "cpu":
        _expect("device=" in repr(x), "repr doesn't name the device")
        _expect(repr(x).startswith(host[:-1]), "repr shows other values")
    _expect(x.data_ptr() != torch.ones(4, device=device).data_ptr(), "data_ptr()")
    _expect(x[1:].data_ptr() == x.data_ptr() + 8, "data_ptr() of a slice")


@_check("factories and default devices")
def _factories(device: str) -> None:
    kind = torch.device(device).type
    with torch.device(device):
        made = [torch.zeros(2), torch.tensor([1]), torch.arange(3), torch.rand(2)]
    x = torch.ones(2, device=device)
    made += [torch.empty_like(x), x.new_zeros(3), torch.full((2,), 3, device=device)]
    for t in made:
        _expect(t.device.type == kind, f"a tensor is made on {t.device}")
    _expect(torch.zeros(1).device.type == "cpu", "the default device stays changed")


@_check("errors are PyTorch's")
def _errors(device: str) -> None:
    x = torch.ones(2, 3, device=device)
    _raised(
        lambda: x + torch.ones(4, device=device), RuntimeError, "must match the size"
    )
    _raised(lambda: x @ x, RuntimeError, "shapes cannot be multiplied (2x3 and 2x3)")
    _raised(lambda: x[5], IndexError, "index 5 is out of bounds for dimension 0")
    _raised(lambda: x.sum(7), IndexError, "Dimension out of range")
    _raised(lambda: x.view(4), RuntimeError, "is invalid for input of size 6")
    _raised(lambda: x.item(), RuntimeError, "cannot be converted to Scalar")
    _raised(lambda: x.backward(), RuntimeError, "does not require grad")
    index = torch.tensor([9], device=device)
    # Asynchronous devices raise it once the values are waited for.
    _raised(lambda: x.index_select(0, index).tolist(), IndexError, "out of")
    if torch.device(device).type == "cpu":
        return
    _raised(lambda: x + torch.ones(3), RuntimeError, "on the same device")
    _same(x + torch.tensor(2.0), torch.full((2, 3), 3.0), "with a 0-d host tensor")
    if not get_backend(torch.device(device).type).is_host:
        _raised(lambda: x.numpy(), TypeError, "can't convert")
    _same(x.sum(), torch.tensor(6.0), "after errors")
