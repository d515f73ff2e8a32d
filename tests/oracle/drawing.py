"""What the random configurations of modules are drawn with."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Drawer", "Drawn", "FAMILIES", "Packed", "Source", "called", "dims_of", "family",
]  # fmt: skip


class Drawer(random.Random):
    """Draws arguments and inputs."""

    def one(self, *choices: Any) -> Any:
        return self.choice(choices)

    def rarely(self, wrong: Any, right: Any, chance: float = 0.04) -> Any:
        return wrong if self.random() < chance else right

    def sizes(self, dims: int, low: int = 1, high: int = 9) -> tuple[int, ...]:
        return tuple(self.randint(low, high) for _ in range(dims))

    def each(self, dims: int, *choices: Any) -> Any:
        """An argument that is given once or for each dimension."""
        if self.random() < 0.5:
            return self.choice(choices)
        dims = self.rarely(dims + 1, dims, 0.02)
        made = tuple(self.choice(choices) for _ in range(dims))
        return list(made) if self.random() < 0.1 else made

    def some(self, **choices: list[Any]) -> dict[str, Any]:
        """Keyword arguments, of which each is left out in half of the draws."""
        return {
            name: self.choice(values)
            for name, values in choices.items()
            if self.random() < 0.5
        }

    def normal(self, *shape: int) -> np.ndarray:
        made = np.random.RandomState(self.getrandbits(30)).standard_normal(shape)
        return np.asarray(made)

    def unit(self, *shape: int) -> np.ndarray:
        made = np.random.RandomState(self.getrandbits(30)).random_sample(shape)
        return np.asarray(made * 0.98 + 0.01)

    def integers(self, high: int, *shape: int) -> np.ndarray:
        made = np.random.RandomState(self.getrandbits(30)).randint(0, high, shape)
        return np.asarray(made)

    def signs(self, *shape: int) -> np.ndarray:
        return np.where(self.normal(*shape) > 0, 1.0, -1.0)

    def batched(self, *shape: int) -> tuple[int, ...]:
        """A shape without or with a batch dimension, which may be empty."""
        kind = self.random()
        if kind < 0.2:
            return shape
        if kind < 0.25:
            return (0, *shape)
        if kind < 0.28:
            return (1, 2, *shape)
        return (self.randint(1, 3), *shape)


def called(name: str, *args: Any, **kwargs: Any) -> str:
    shown = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    return f"nn.{name}({', '.join(shown)})"


class Source(str):
    """An argument given as source text."""

    def __repr__(self) -> str:
        return str(self)


Drawn = tuple[str, list[Any]] | tuple[str, list[Any], dict[str, Any]]
FAMILIES: dict[str, Callable[[Drawer], Drawn]] = {}


def family(*names: str) -> Callable[[Callable[[Drawer, str], Drawn]], None]:
    def register(drawn: Callable[[Drawer, str], Drawn]) -> None:
        for name in names:
            FAMILIES[name] = lambda r, name=name: drawn(r, name)

    return register


def dims_of(name: str) -> int:
    found = re.search(r"(\d)d$", name)
    assert found
    return int(found[1])


class Packed(NamedTuple):
    array: np.ndarray
    lengths: list[int]
    batch_first: bool
