"""Random operators: in-place samplers, and the factories made of them.

On ``cpu`` a seed gives the numbers of PyTorch's CPU generator.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import Operator, operator
from dispatchtorch.ops._common import scalar_type_name, torch
from dispatchtorch.ops.copy import _write, is_contiguous
from dispatchtorch.ops.creation import _LIKE, _OPTIONS, as_dtype, finish
from dispatchtorch.tensor import Tensor, wrap

_G = "Generator? generator=None"


def fill(self: Tensor, generator: Any, method: str, *args: Any) -> Tensor:
    """Writes what an engine's sampler draws, in the order of memory as PyTorch does."""
    from dispatchtorch.random import engine_for

    if self._backend.device_type == "meta":
        return self
    engine, on_host = engine_for(self, generator)
    sample = getattr(engine, method)
    host = self.dtype.host
    arguments = (*args, host) if method == "bernoulli_scalar" else (host, *args)
    if is_contiguous(self):
        drawn = sample(self._shape, *arguments)
        return _write(self, _tensor(self, drawn, on_host))
    shape, strides = self._shape, self.stride()
    order = sorted(range(len(shape)), key=lambda d: -strides[d])
    # Scattered memory takes PyTorch's serial path, which differs for normals alone.
    options = {"contiguous": False} if method == "normal" else {}
    drawn = sample(tuple(shape[d] for d in order), *arguments, **options)
    back = sorted(range(len(shape)), key=order.__getitem__)
    return _write(self, _tensor(self, drawn, on_host).permute(back))


def _tensor(like: Tensor, drawn: Any, on_host: bool) -> Tensor:
    backend = like._backend
    if on_host and not backend.is_host:
        drawn = backend.from_host(drawn, backend.index(like._data))
    return wrap(drawn, backend)


def _host(t: Tensor) -> Any:
    return t._backend.to_host(t._data)


def _sampler(schema: str, body: Any, doc: str) -> Operator:
    body.__doc__ = doc
    op = operator(f"{schema} -> Tensor(a!)", tags="inplace random", variants="method")(
        body
    )
    derive(op, self=lambda grad: grad.new_zeros(grad._shape))
    return op


def _uniform_(self, from_, to, *, generator):
    if not self._keys & dtypes.DIFFERENTIABLE_MASK:
        raise RuntimeError(
            f'"check_uniform_bounds" not implemented for '
            f"'{scalar_type_name(self.dtype)}'"
        )
    if from_ > to:
        raise RuntimeError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={from_:g} > to={to:g}"
        )
    return fill(self, generator, "uniform", from_, to)


uniform_ = _sampler(
    f"uniform_(Tensor(a!) self, float from=0, float to=1, *, {_G})",
    _uniform_,
    "Writes numbers uniform in [from, to).",
)


def _normal_(self, mean, std, *, generator):
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if not self._keys & dtypes.DIFFERENTIABLE_MASK:
        raise NotImplementedError(
            f"\"normal_kernel_cpu\" not implemented for '{scalar_type_name(self.dtype)}'"
        )
    return fill(self, generator, "normal", mean, std)


normal_ = _sampler(
    f"normal_(Tensor(a!) self, float mean=0, float std=1, *, {_G})",
    _normal_,
    "Writes normally distributed numbers.",
)


def _log_normal_(self, mean, std, *, generator):
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    return fill(self, generator, "log_normal", mean, std)


_sampler(
    f"log_normal_(Tensor(a!) self, float mean=1, float std=2, *, {_G})",
    _log_normal_,
    "Writes numbers whose logarithm is normally distributed.",
)


def _cauchy_(self, median, sigma, *, generator):
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    return fill(self, generator, "cauchy", median, sigma)


_sampler(
    f"cauchy_(Tensor(a!) self, float median=0, float sigma=1, *, {_G})",
    _cauchy_,
    "Writes Cauchy distributed numbers.",
)


def _exponential_(self, lambd, *, generator):
    if lambd <= 0:
        raise RuntimeError(
            f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}"
        )
    return fill(self, generator, "exponential", lambd)


_sampler(
    f"exponential_(Tensor(a!) self, float lambd=1, *, {_G})",
    _exponential_,
    "Writes exponentially distributed numbers.",
)


def _geometric_(self, p, *, generator):
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return fill(self, generator, "geometric", p)


_sampler(
    f"geometric_(Tensor(a!) self, float p, *, {_G})",
    _geometric_,
    "Writes geometrically distributed numbers.",
)


def _random_(self, *, generator):
    return fill(self, generator, "random_full")


def _random_to_(self, to, *, generator):
    return _random_from_(self, 0, to, generator=generator)


_LARGEST = {"float16": 2**11, "bfloat16": 2**8, "float32": 2**24, "float64": 2**53}


def _random_from_(self, from_, to, *, generator):
    low = int(from_)
    if to is None:
        d = self.dtype
        if d.is_floating_point:
            to = _LARGEST[d.name] + 1
        elif d is dtypes.bool:
            to = 2
        else:
            to = int(dtypes.iinfo(d).max) + 1
    high = int(to)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= "
            f"to={high}"
        )
    _check_bounds(self.dtype, low, high)
    return fill(self, generator, "random_from_to", low, high)


def _check_bounds(d: dtypes.dtype, low: int, high: int) -> None:
    if d.is_floating_point:
        return
    if d is dtypes.bool:
        least, most = 0, 1
    else:
        info = dtypes.iinfo(d)
        least, most = info.min, info.max
    name = {
        "bool": "bool",
        "uint8": "unsigned char",
        "int8": "signed char",
        "int16": "short",
        "int32": "int",
        "int64": "long",
    }.get(d.name, d.name)
    for label, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value <= most:
            raise RuntimeError(f"{label} is out of bounds for {name}")


_sampler(
    f"random_(Tensor(a!) self, *, {_G})",
    _random_,
    "Writes integers from the whole range of the dtype.",
)
_sampler(
    f"random_.to(Tensor(a!) self, int to, *, {_G})",
    _random_to_,
    "Writes integers in [0, to).",
)
_sampler(
    f"random_.from(Tensor(a!) self, int from, int? to, *, {_G})",
    _random_from_,
    "Writes integers in [from, to).",
)


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


def _bernoulli_(self, p, *, generator):
    _check_probability(p)
    return fill(self, generator, "bernoulli_scalar", p)


def _bernoulli_tensor_(self, p, *, generator):
    return _write(self, _bernoulli_drawn(p.expand(self._shape), self.dtype, generator))


def _bernoulli_drawn(p: Tensor, dtype: dtypes.dtype, generator: Any) -> Tensor:
    from dispatchtorch.random import engine_for

    if not p.is_floating_point():
        raise RuntimeError(
            "expected probabilities tensor to have floating type, got "
            f"{scalar_type_name(p.dtype)}"
        )
    if p._backend.device_type == "meta":
        return torch.empty(p._shape, dtype=dtype, device=p.device)
    engine, on_host = engine_for(p, generator)
    values = _host(p.detach())
    if values.size and not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    return _tensor(p, engine.bernoulli_tensor(values, dtype.host), on_host)


bernoulli_ = _sampler(
    f"bernoulli_.float(Tensor(a!) self, float p=0.5, *, {_G})",
    _bernoulli_,
    "Writes ones with probability p.",
)
_sampler(
    f"bernoulli_.Tensor(Tensor(a!) self, Tensor p, *, {_G})",
    _bernoulli_tensor_,
    "Writes ones with the probabilities of a tensor.",
)


@operator(f"bernoulli(Tensor self, *, {_G}) -> Tensor", tags="random out")
def bernoulli(self, *, generator):
    """Ones with the probabilities that the tensor holds."""
    return _bernoulli_drawn(self, self.dtype, generator)


derive(bernoulli, self=lambda grad: grad.new_zeros(grad._shape))


@operator(f"bernoulli.p(Tensor self, float p, *, {_G}) -> Tensor", tags="random")
def bernoulli_p(self, p, *, generator):
    """Ones with probability p, in the shape of the tensor."""
    return torch.empty_like(self).bernoulli_(p, generator=generator)


nondifferentiable(bernoulli_p)


def _counted(name: str, method: str, doc: str, check: Any = None) -> Operator:
    def body(self, generator=None):  # type: ignore[no-untyped-def]
        from dispatchtorch.random import engine_for

        if check is not None:
            check(self)
        if self._backend.device_type == "meta":
            return torch.empty_like(self)
        engine, on_host = engine_for(self, generator)
        return _tensor(self, getattr(engine, method)(_host(self.detach())), on_host)

    body.__doc__ = doc
    op = operator(
        f"{name}(Tensor self, {_G}) -> Tensor", tags="random", variants="function"
    )(body)
    derive(op, self=lambda grad: grad.new_zeros(grad._shape))
    return op


def _rates(self: Tensor) -> None:
    if not self.is_floating_point():
        raise NotImplementedError(
            f"\"poisson_cpu\" not implemented for '{scalar_type_name(self.dtype)}'"
        )
    if bool((self < 0).any()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")


_counted(
    "poisson", "poisson", "Poisson distributed numbers of the given rates.", _rates
)


@operator(
    f"multinomial(Tensor self, int num_samples, bool replacement=False, *, {_G}) "
    "-> Tensor",
    tags="random out nondifferentiable",
)
def multinomial(self, num_samples, replacement=False, *, generator):
    """Indices drawn with the weights of each row."""
    from dispatchtorch.random import engine_for

    if not 0 < self.ndim <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not self.is_floating_point():
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{scalar_type_name(self.dtype)}"
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > self._shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    weights = _host(self.detach())
    wide = weights.astype("float64")
    if wide.size:
        if not math.isfinite(float(abs(wide).max())) or float(wide.min()) < 0:
            raise RuntimeError(
                "probability tensor contains either `inf`, `nan` or element < 0"
            )
        if not (wide.sum(-1) > 0).all():
            raise RuntimeError(
                "invalid multinomial distribution (sum of probabilities <= 0)"
            )
    engine, on_host = engine_for(self, generator)
    return _tensor(self, engine.multinomial(weights, num_samples, replacement), on_host)


# Factories.

_SIZED = f"int[] size, *, {_G}, " + _OPTIONS.removeprefix("*, ")


def _factory(name: str, sampler: str) -> Operator:
    def body(size, *, generator, dtype, layout, device, pin_memory, requires_grad):  # type: ignore[no-untyped-def]
        made = torch.empty(size, dtype=dtype, layout=layout, device=device)
        getattr(made, sampler)(generator=generator)
        return finish(made, requires_grad)

    body.__doc__ = f"A tensor filled by ``{sampler}``."
    return operator(
        f"{name}({_SIZED}) -> Tensor", tags="factory random out", variants="function"
    )(body)


def _like(name: str, sampler: str) -> Operator:
    def body(self, *, dtype, layout, device, pin_memory, requires_grad, memory_format):  # type: ignore[no-untyped-def]
        made = torch.empty_like(
            self, dtype=dtype, layout=layout, device=device, memory_format=memory_format
        )
        return finish(getattr(made, sampler)(), requires_grad)

    body.__doc__ = f"A tensor in the shape of another, filled by ``{sampler}``."
    return operator(
        f"{name}(Tensor self, {_LIKE}) -> Tensor", tags="random", variants="function"
    )(body)


nondifferentiable(
    _factory("rand", "uniform_"),
    _factory("randn", "normal_"),
    _like("rand_like", "uniform_"),
    _like("randn_like", "normal_"),
)


def _randint(low, high, size, generator, dtype, layout, device, requires_grad):
    made = torch.empty(
        size,
        dtype=torch.int64 if dtype is None else as_dtype(dtype),
        layout=layout,
        device=device,
    )
    return finish(made.random_(low, high, generator=generator), requires_grad)


@operator(
    f"randint(int high, {_SIZED}) -> Tensor",
    tags="factory random out",
    variants="function",
)
def randint(high, size, *, generator, dtype, layout, device, pin_memory, requires_grad):
    """Integers uniform in [0, high)."""
    return _randint(0, high, size, generator, dtype, layout, device, requires_grad)


@operator(
    f"randint.low(int low, int high, {_SIZED}) -> Tensor",
    tags="factory random out",
    variants="function",
)
def randint_low(
    low, high, size, *, generator, dtype, layout, device, pin_memory, requires_grad
):
    """Integers uniform in [low, high)."""
    return _randint(low, high, size, generator, dtype, layout, device, requires_grad)


@operator(
    f"randint_like(Tensor self, int high, {_LIKE}) -> Tensor",
    tags="random",
    variants="function",
)
def randint_like(
    self, high, *, dtype, layout, device, pin_memory, requires_grad, memory_format
):
    """Integers uniform in [0, high), in the shape of another tensor."""
    made = torch.empty_like(
        self, dtype=dtype, device=device, memory_format=memory_format
    )
    return finish(made.random_(0, high), requires_grad)


@operator(
    f"randint_like.low_dtype(Tensor self, int low, int high, {_LIKE}) -> Tensor",
    tags="random",
    variants="function",
)
def randint_like_low(
    self, low, high, *, dtype, layout, device, pin_memory, requires_grad, memory_format
):
    """Integers uniform in [low, high), in the shape of another tensor."""
    made = torch.empty_like(
        self, dtype=dtype, device=device, memory_format=memory_format
    )
    return finish(made.random_(low, high), requires_grad)


@operator(
    f"randperm(int n, *, {_G}, " + _OPTIONS.removeprefix("*, ") + ") -> Tensor",
    tags="factory random out",
    variants="function",
)
def randperm(n, *, generator, dtype, layout, device, pin_memory, requires_grad):
    """A random permutation of 0 … n-1."""
    from dispatchtorch.random import engine_for

    if n < 0:
        raise RuntimeError(f"n must be non-negative, got{n}")
    found = torch.int64 if dtype is None else as_dtype(dtype)
    like = torch.empty((n,), dtype=found, device=device)
    if like._backend.device_type == "meta":
        return like
    engine, on_host = engine_for(like, generator)
    return finish(_tensor(like, engine.randperm(n, found.host), on_host), requires_grad)


nondifferentiable(randint, randint_low, randint_like, randint_like_low, randperm)


@operator(
    f"normal.float_float(float mean, float std, {_SIZED}) -> Tensor",
    tags="factory random out",
    variants="function",
)
def normal_sized(
    mean, std, size, *, generator, dtype, layout, device, pin_memory, requires_grad
):
    """Normally distributed numbers of one mean and deviation."""
    made = torch.empty(size, dtype=dtype, layout=layout, device=device)
    return finish(made.normal_(mean, std, generator=generator), requires_grad)


def _check_std(std: Tensor) -> None:
    if std.is_complex():
        raise RuntimeError("normal expects standard deviation to be non-complex")
    if std.numel() and bool((std.min() < 0).item()):
        raise RuntimeError("normal expects all elements of std >= 0.0")


@operator(
    f"normal.Tensor_Tensor(Tensor mean, Tensor std, *, {_G}) -> Tensor",
    tags="random out nondifferentiable",
    variants="function",
)
def normal_tensors(mean, std, *, generator):
    """Normally distributed numbers of given means and deviations."""
    _check_std(std)
    from dispatchtorch.lift import broadcast_shapes

    shape = broadcast_shapes([mean._shape, std._shape])
    made = torch.empty(shape, dtype=mean.dtype, device=mean.device)
    made.normal_(0, 1, generator=generator)
    return made * std + mean


@operator(
    f"normal.Tensor_float(Tensor mean, float std=1, *, {_G}) -> Tensor",
    tags="random out nondifferentiable",
    variants="function",
)
def normal_mean(mean, std=1, *, generator):
    """Normally distributed numbers of given means."""
    return torch.empty_like(mean).normal_(0, std, generator=generator) + mean


@operator(
    f"normal.float_Tensor(float mean, Tensor std, *, {_G}) -> Tensor",
    tags="random out nondifferentiable",
    variants="function",
)
def normal_std(mean, std, *, generator):
    """Normally distributed numbers of given deviations."""
    _check_std(std)
    return torch.empty_like(std).normal_(0, 1, generator=generator) * std + mean
