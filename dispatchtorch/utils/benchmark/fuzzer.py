"""Random sizes and layouts of tensors to time an operator on.

Follows torch.utils.benchmark.Fuzzer. A seed repeats its own draws; they come from
``torch.Generator`` and aren't the ones that PyTorch takes from NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Generator, Tensor

__all__ = ["FuzzedParameter", "FuzzedTensor", "Fuzzer", "ParameterAlias"]

_TRIES = 1000


def _unit(state: Generator) -> float:
    return float(torch.rand((), dtype=torch.float64, generator=state).item())


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise AssertionError(problem)


class ParameterAlias:
    """In a distribution: the value of another parameter of the same draw."""

    def __init__(self, alias_to: str) -> None:
        self.alias_to = alias_to

    def __repr__(self) -> str:
        return f"ParameterAlias[alias_to: {self.alias_to}]"


class FuzzedParameter:
    """A number drawn for each case.

    Args:
        name: what sizes, steps and constraints call it.
        minval, maxval: the ends of a ``"uniform"`` or ``"loguniform"`` distribution;
            integers where both are.
        distribution: one of the two, or a dict of values (or aliases) and their
            probabilities.
        strict: kept; without effect, as in PyTorch.
    """

    def __init__(
        self,
        name: str,
        minval: int | float | None = None,
        maxval: int | float | None = None,
        distribution: str | dict[Any, float] | None = None,
        strict: bool = False,
    ) -> None:
        self._name = name
        self._minval = minval
        self._maxval = maxval
        self._distribution = self._check_distribution(distribution)
        self.strict = strict

    @property
    def name(self) -> str:
        return self._name

    def _check_distribution(self, distribution: Any) -> Any:
        if isinstance(distribution, dict):
            _check(
                abs(sum(distribution.values()) - 1) <= 1e-5,
                "Distribution is not normalized",
            )
            _check(
                self._minval is None and self._maxval is None,
                "minval and maxval must be None for custom distributions",
            )
            return distribution
        _check(
            distribution in ("uniform", "loguniform"),
            f"Unknown distribution: {distribution}",
        )
        _check(
            self._minval is not None and self._maxval is not None,
            f"minval and maxval must be set for distribution {distribution}",
        )
        return distribution

    def sample(self, state: Generator) -> Any:
        """A value drawn with a generator."""
        if isinstance(self._distribution, dict):
            left = _unit(state)
            for value, share in self._distribution.items():
                left -= share
                if left < 0:
                    return value
            return value
        low, high = self._minval, self._maxval
        assert low is not None and high is not None
        whole = isinstance(low, int) and isinstance(high, int)
        if self._distribution == "uniform":
            if whole:
                return low + int(_unit(state) * (high - low + 1))
            return low + _unit(state) * (high - low)
        start, end = math.log2(low), math.log2(high)
        drawn = 2.0 ** (start + _unit(state) * (end - start))
        return round(drawn) if whole else drawn


class FuzzedTensor:
    """A tensor made for each case, of a drawn size, strides and order of dims.

    Args:
        name: under which a case has it.
        size: ints and names of parameters, one a dim.
        steps: likewise, how far apart neighbours lie; dims are cut from larger ones.
        probability_contiguous: how often the memory is contiguous; else dims are
            permuted.
        min_elements, max_elements, max_allocation_bytes: cases outside are drawn anew.
        dim_parameter: a parameter with the number of dims to keep of ``size``.
        roll_parameter: kept; without effect, as in PyTorch.
        dtype, cuda, tensor_constructor: what the tensors are made of and by.
    """

    def __init__(
        self,
        name: str,
        size: tuple[str | int, ...],
        steps: tuple[str | int, ...] | None = None,
        probability_contiguous: float = 0.5,
        min_elements: int | None = None,
        max_elements: int | None = None,
        max_allocation_bytes: int | None = None,
        dim_parameter: str | None = None,
        roll_parameter: str | None = None,
        dtype: Any = torch.float32,
        cuda: bool = False,
        tensor_constructor: Callable[..., Tensor] | None = None,
    ) -> None:
        self._name = name
        self._size = size
        self._steps = steps
        self._probability_contiguous = probability_contiguous
        self._min_elements = min_elements
        self._max_elements = max_elements
        self._max_allocation_bytes = max_allocation_bytes
        self._dim_parameter = dim_parameter
        self._roll_parameter = roll_parameter
        self._dtype = dtype
        self._cuda = cuda
        self._tensor_constructor = tensor_constructor

    @property
    def name(self) -> str:
        return self._name

    @staticmethod
    def default_tensor_constructor(size: Any, dtype: Any, **kwargs: Any) -> Tensor:
        """Uniform numbers, or integers of 1 to 126."""
        if dtype.is_floating_point or dtype.is_complex:
            return torch.rand(size=size, dtype=dtype, device="cpu")
        return torch.randint(1, 127, size=size, dtype=dtype, device="cpu")

    def _make_tensor(
        self, params: dict[str, Any], state: Generator
    ) -> tuple[Tensor, dict[str, Any]]:
        size, steps, allocation = self._get_size_and_steps(params)
        construct = self._tensor_constructor or self.default_tensor_constructor
        raw = construct(size=allocation, dtype=self._dtype, **params)
        if self._cuda:
            raw = raw.cuda()
        dim = len(size)
        order = list(range(dim))
        if dim > 1 and _unit(state) > self._probability_contiguous:
            while order == list(range(dim)):
                order = torch.randperm(dim, generator=state).tolist()
        back = sorted(range(dim), key=order.__getitem__)
        raw = raw.permute(order).contiguous().permute(back)
        whole = raw[tuple(slice(0, n * step, step) for n, step in zip(size, steps))]
        return whole, {
            "numel": int(whole.numel()),
            "order": order,
            "steps": steps,
            "is_contiguous": whole.is_contiguous(),
            "dtype": str(self._dtype),
        }

    def _get_size_and_steps(
        self, params: dict[str, Any]
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        dim = len(self._size)
        if self._dim_parameter is not None:
            dim = params[self._dim_parameter]

        named: dict[Any, Any] = params

        def resolve(values: Sequence[str | int], default: int) -> list[int]:
            found = [int(named.get(v, v)) for v in values]
            return (found + [default] * dim)[:dim]

        size = resolve(self._size, 1)
        steps = resolve(self._steps or (), 1)
        allocation = [n * step for n, step in zip(size, steps)]
        return tuple(size), tuple(steps), tuple(allocation)

    def satisfies_constraints(self, params: dict[str, Any]) -> bool:
        """Whether a draw's tensor is neither too small nor too large."""
        size, _, allocation = self._get_size_and_steps(params)
        numel = math.prod(size)
        if self._min_elements is not None and numel < self._min_elements:
            return False
        if self._max_elements is not None and numel > self._max_elements:
            return False
        most = self._max_allocation_bytes
        return most is None or math.prod(allocation) * self._dtype.itemsize <= most


class Fuzzer:
    """Cases of parameters and tensors, drawn until all constraints hold.

    Args:
        parameters, tensors: fuzzed ones, or lists of them.
        constraints: functions of the parameters by name, true for what is wanted.
        seed: of the draws; from the system's entropy if None.
    """

    def __init__(
        self,
        parameters: list[Any],
        tensors: list[Any],
        constraints: list[Callable[..., bool]] | None = None,
        seed: int | None = None,
    ) -> None:
        self._seed = Generator().seed() % 2**32 if seed is None else seed
        self._parameters = self._unpack(parameters, FuzzedParameter)
        self._tensors = self._unpack(tensors, FuzzedTensor)
        self._constraints = constraints or ()
        names = [p.name for p in self._parameters]
        both = {t.name for t in self._tensors}.intersection(names)
        if both:
            raise ValueError(f"Duplicate names in parameters and tensors: {both}")
        self._rejections = 0
        self._total_generated = 0

    @staticmethod
    def _unpack(values: list[Any], cls: type) -> tuple[Any, ...]:
        return tuple(
            each
            for value in values
            for each in ([value] if isinstance(value, cls) else value)
        )

    def take(self, n: int) -> Iterator[tuple[dict[str, Tensor], Any, dict[str, Any]]]:
        """`n` cases: tensors by name, what was drawn of them, the parameters."""
        state = Generator().manual_seed(self._seed)
        for _ in range(n):
            params = self._generate(state)
            tensors, properties = {}, {}
            for each in self._tensors:
                made = each._make_tensor(params, state)
                tensors[each.name], properties[each.name] = made
            yield tensors, properties, params

    @property
    def rejection_rate(self) -> float:
        """The share of draws that a constraint refused."""
        if not self._total_generated:
            return 0.0
        return self._rejections / self._total_generated

    def _generate(self, state: Generator) -> dict[str, Any]:
        for _ in range(_TRIES):
            drawn = {p.name: p.sample(state) for p in self._parameters}
            found = {name: self._resolve(drawn, name) for name in drawn}
            self._total_generated += 1
            if all(f(found) for f in self._constraints) and all(
                t.satisfies_constraints(found) for t in self._tensors
            ):
                return found
            self._rejections += 1
        raise ValueError("Failed to generate a set of valid parameters.")

    @staticmethod
    def _resolve(drawn: dict[str, Any], name: str) -> Any:
        value, seen = drawn[name], {name}
        while isinstance(value, ParameterAlias):
            if value.alias_to in seen:
                raise ValueError("ParameterAlias cycle detected")
            seen.add(value.alias_to)
            value = drawn[value.alias_to]
        return value
