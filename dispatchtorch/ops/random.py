"""Random operators: in-place samplers, and the factories made of them.

On ``cpu`` a seed gives the numbers of PyTorch's CPU generator. A device's engine (see
``dispatchtorch.random``) draws and knows what dtypes and parameters its samplers take;
here is what goes around it: memory order, factories, history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import Operator, operator
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops._common import torch
from dispatchtorch.ops.copy import _write, is_contiguous
from dispatchtorch.ops.creation import _LIKE, _OPTIONS, as_dtype, finish
from dispatchtorch.tensor import Tensor, wrap

_G = "Generator? generator=None"
_DRAWN = f"*, {_G}, " + _OPTIONS.removeprefix("*, ")
_DRAWN_LIKE = f"*, {_G}, " + _LIKE.removeprefix("*, ")


def fill(self: Tensor, generator: Any, method: str, *args: Any) -> Tensor:
    """Writes what an engine's sampler draws, in the order of memory as PyTorch does."""
    from dispatchtorch.random import engine_for

    if self._backend.device_type == "meta":
        return self
    engine, on_host = engine_for(self, generator)
    sample = getattr(engine, method)
    host = self.dtype.host
    shape = self._shape
    if 0 in shape:
        # Parameters are checked, but no kernel runs that could refuse the dtype.
        try:
            sample(shape, host, *args)
        except NotImplementedError:
            if method == "uniform":
                raise
        return self
    if is_contiguous(self):
        return _write(self, _tensor(self, sample(shape, host, *args), on_host))
    strides = self.stride()
    order = sorted(range(len(shape)), key=lambda d: -strides[d])
    # Scattered memory takes PyTorch's serial path, which differs for normals alone.
    options = {"contiguous": False} if method == "normal" else {}
    drawn = sample(tuple(shape[d] for d in order), host, *args, **options)
    back = sorted(range(len(shape)), key=order.__getitem__)
    return _write(self, _tensor(self, drawn, on_host).permute(back))


def _tensor(like: Tensor, drawn: Any, on_host: bool) -> Tensor:
    backend = like._backend
    if on_host and not backend.is_host:
        drawn = backend.from_host(drawn, backend.index(like._data))
    return wrap(drawn, backend)


def _host(t: Tensor) -> Any:
    return t._backend.to_host(t._data)


_ZEROS: dict[str, Any] = {
    "self": lambda grad, self_sizes: grad.new_zeros(self_sizes),
    "mean": lambda grad, mean_sizes: grad.new_zeros(mean_sizes),
    "std": lambda grad, std_sizes: grad.new_zeros(std_sizes),
}


def _no_gradient(op: Operator, *names: str, node: str | None = None) -> Operator:
    """Zero gradients: what is drawn has a history, though no slope."""
    derive(op, name_=node, **{name: _ZEROS[name] for name in names})
    return op


# In-place samplers.


def _sampler(name: str, parameters: str, method: str, doc: str) -> Operator:
    """Declares ``name``: the tensor filled by an engine's ``method``."""

    def body(self, *args):  # type: ignore[no-untyped-def]
        return fill(self, args[-1], method, *args[:-1])

    return _inplace(name, parameters, body, doc)


def _inplace(name: str, parameters: str, body: Any, doc: str) -> Operator:
    body.__doc__ = doc
    listed = f"{parameters}, " if parameters else ""
    schema = f"{name}(Tensor(a!) self, {listed}*, {_G}) -> Tensor(a!)"
    op = operator(schema, tags="inplace random", variants="method")(body)
    return _no_gradient(op, "self")


_sampler(
    "uniform_", "float from=0, float to=1", "uniform", "Numbers uniform in [from, to)."
)
_sampler(
    "normal_", "float mean=0, float std=1", "normal", "Normally distributed numbers."
)
_sampler(
    "log_normal_",
    "float mean=1, float std=2",
    "log_normal",
    "Numbers whose logarithm is normally distributed.",
)
_sampler(
    "cauchy_",
    "float median=0, float sigma=1",
    "cauchy",
    "Cauchy distributed numbers.",
)
_sampler(
    "exponential_",
    "float lambd=1",
    "exponential",
    "Exponentially distributed numbers.",
)
_sampler("geometric_", "float p", "geometric", "Geometrically distributed numbers.")
_sampler("random_", "", "random_full", "Integers from the whole range of the dtype.")
_inplace(
    "random_.to",
    "int to",
    lambda self, to, generator: fill(self, generator, "random_from_to", 0, to),
    "Integers in [0, to).",
)
_sampler(
    "random_.from", "int from, int? to", "random_from_to", "Integers in [from, to)."
)
_sampler(
    "bernoulli_.float", "float p=0.5", "bernoulli_scalar", "Ones, rarely or often."
)


def _bernoulli_tensor_(self, p, generator):  # type: ignore[no-untyped-def]
    return _write(self, _bernoulli_drawn(p.expand(self._shape), self.dtype, generator))


def _bernoulli_drawn(p: Tensor, dtype: dtypes.dtype, generator: Any) -> Tensor:
    from dispatchtorch.random import engine_for

    if p._backend.device_type == "meta":
        return torch.empty(p._shape, dtype=dtype, device=p.device)  # type: ignore[no-any-return]
    engine, on_host = engine_for(p, generator)
    drawn = engine.bernoulli_tensor(_host(p.detach()), dtype.host)
    return _tensor(p, drawn, on_host)


_inplace(
    "bernoulli_.Tensor",
    "Tensor p",
    _bernoulli_tensor_,
    "Writes ones with the probabilities of a tensor.",
)

# One number for each parameter.


@operator(f"bernoulli(Tensor self, *, {_G}) -> Tensor", tags="random out")
def bernoulli(self, generator):
    """Ones with the probabilities that the tensor holds."""
    return _bernoulli_drawn(self, self.dtype, generator)


@operator(f"bernoulli.p(Tensor self, float p, *, {_G}) -> Tensor", tags="random")
def bernoulli_p(self, p, generator):
    """Ones with probability p, in the shape of the tensor."""
    made = torch.empty(self._shape, dtype=self.dtype, device=self.device)
    return made.bernoulli_(p, generator=generator)


@operator(f"poisson(Tensor self, {_G}) -> Tensor", tags="random", variants="function")
def poisson(self, generator):
    """Poisson distributed numbers of the given rates."""
    from dispatchtorch.random import engine_for

    if self._backend.device_type == "meta":
        return torch.empty_like(self)
    engine, on_host = engine_for(self, generator)
    return _tensor(self, engine.poisson(_host(self.detach())), on_host)


def _not_derived(grad: Any) -> Any:
    raise RuntimeError("derivative for aten::bernoulli is not implemented")


derive(bernoulli_p, name_="NotImplemented", self=_not_derived)
_no_gradient(bernoulli, "self")
_no_gradient(poisson, "self")


@operator(
    f"multinomial(Tensor self, int num_samples, bool replacement=False, *, {_G}) "
    "-> Tensor",
    tags="random out nondifferentiable",
)
def multinomial(self, num_samples, replacement, generator):
    """Indices drawn with the weights of each row."""
    from dispatchtorch.random import engine_for

    if self._backend.device_type == "meta":
        shape = (*self._shape[:-1], num_samples)
        return torch.empty(shape, dtype=torch.int64, device=self.device)
    engine, on_host = engine_for(self, generator)
    drawn = engine.multinomial(_host(self.detach()), num_samples, replacement)
    return _tensor(self, drawn, on_host)


# Factories: memory, then an in-place sampler.

_Given = Callable[..., tuple[Any, tuple[Any, ...]]]


def _factory(schema: str, sampler: str, given: _Given, doc: str) -> None:
    """``given(*arguments)``: the size of what is made, and the sampler's arguments."""

    def body(*values):  # type: ignore[no-untyped-def]
        *own, generator, dtype, layout, device, _pin_memory, requires_grad = values
        size, args = given(*own)
        if dtype is None and sampler == "random_":
            dtype = torch.int64
        made = torch.empty(size, dtype=dtype, layout=layout, device=device)
        getattr(made, sampler)(*args, generator=generator)
        return finish(made, requires_grad)

    _declare(schema.format(options=_DRAWN), body, "factory random out", doc)


def _like(schema: str, sampler: str, given: Any, doc: str) -> None:
    """As :func:`_factory`, in the shape of another tensor."""

    def body(self, *values):  # type: ignore[no-untyped-def]
        *own, generator, dtype, layout, device, _pin, requires_grad, order = values
        made = torch.empty_like(
            self, dtype=dtype, layout=layout, device=device, memory_format=order
        )
        getattr(made, sampler)(*given(*own), generator=generator)
        return finish(made, requires_grad)

    _declare(schema.format(options=_DRAWN_LIKE), body, "random", doc)


def _declare(schema: str, body: Any, tags: str, doc: str) -> None:
    body.__doc__ = doc
    op = operator(f"{schema} -> Tensor", tags=tags, variants="function")(body)
    nondifferentiable(op)


for _name, _method, _what in (
    ("rand", "uniform_", "Numbers uniform in [0, 1)"),
    ("randn", "normal_", "Normally distributed numbers"),
):
    _factory(
        f"{_name}(int[] size, {{options}})",
        _method,
        lambda size: (size, ()),
        f"{_what}.",
    )
    _like(
        f"{_name}_like(Tensor self, {{options}})",
        _method,
        lambda: (),
        f"{_what}, in the shape of another tensor.",
    )
_factory(
    "randint(int high, int[] size, {options})",
    "random_",
    lambda high, size: (size, (0, high)),
    "Integers uniform in [0, high).",
)
_factory(
    "randint.low(int low, int high, int[] size, {options})",
    "random_",
    lambda low, high, size: (size, (low, high)),
    "Integers uniform in [low, high).",
)
_like(
    "randint_like(Tensor self, int high, {options})",
    "random_",
    lambda high: (0, high),
    "Integers uniform in [0, high), in the shape of another tensor.",
)
_like(
    "randint_like.low_dtype(Tensor self, int low, int high, {options})",
    "random_",
    lambda low, high: (low, high),
    "Integers uniform in [low, high), in the shape of another tensor.",
)


@operator(
    f"randperm(int n, {_DRAWN}) -> Tensor",
    tags="factory random out",
    variants="function",
)
def randperm(n, generator, dtype, layout, device, pin_memory, requires_grad):
    """A random permutation of 0 … n-1."""
    from dispatchtorch.random import engine_for

    found = torch.int64 if dtype is None else as_dtype(dtype)
    like = torch.empty((0,), dtype=found, layout=layout, device=device)
    if like._backend.device_type == "meta":
        return torch.empty((n,), dtype=found, device=device)
    engine, on_host = engine_for(like, generator)
    return finish(_tensor(like, engine.randperm(n, found.host), on_host), requires_grad)


nondifferentiable(randperm)

# Normal numbers of means and deviations.


def _normal(overload: str, parameters: str, names: str, node: int, doc: str) -> None:
    """Declares an overload of ``normal`` whose ``names`` are tensors."""

    def body(mean, std, generator):  # type: ignore[no-untyped-def]
        tensors = [t for t in (mean, std) if hasattr(t, "_keys")]
        _check_deviation(std)
        shape = broadcast_shapes([t._shape for t in tensors])
        like = tensors[0]
        made = torch.empty(shape, dtype=like.dtype, device=like.device)
        spread = 1 if hasattr(std, "_keys") else std
        made.normal_(0, spread, generator=generator)
        if hasattr(std, "_keys"):
            made.mul_(std)
        return made.add_(mean)

    body.__doc__ = doc
    op = operator(
        f"normal.{overload}({parameters}, *, {_G}) -> Tensor",
        tags="random out",
        variants="function",
    )(body)
    _no_gradient(op, *names.split(), node=f"NormalBackward{node}")


def _check_deviation(std: Any) -> None:
    if not hasattr(std, "_keys"):
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
        return
    if std.is_complex():
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if std.numel() and std._backend.device_type != "meta":
        if not bool((std >= 0).all().item()):
            raise RuntimeError("normal expects all elements of std >= 0.0")


_normal(
    "Tensor_Tensor",
    "Tensor mean, Tensor std",
    "mean std",
    3,
    "Normally distributed numbers of given means and deviations.",
)
_normal(
    "Tensor_float",
    "Tensor mean, float std=1",
    "mean",
    1,
    "Normally distributed numbers of given means.",
)
_normal(
    "float_Tensor",
    "float mean, Tensor std",
    "std",
    2,
    "Normally distributed numbers of given deviations.",
)
_factory(
    "normal.float_float(float mean, float std, int[] size, {options})",
    "normal_",
    lambda mean, std, size: (size, (mean, std)),
    "Normally distributed numbers of one mean and deviation.",
)
