"""Sobol sequences: points that fill a cube more evenly than random ones.

The direction numbers are those of Joe and Kuo (2008), which SciPy ships; scrambling is
Matousek's (1998) random linear matrix with a digital shift.
"""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor

__all__ = ["SobolEngine"]


class SobolEngine:
    """Draws the points of a Sobol sequence in order, the same as PyTorch's.

    Args:
        dimension: of the cube, 1 to 21201.
        scramble: permutes the points at random and keeps their evenness.
        seed: of the scrambling; another one each time unless given.

    The numbers of a sequence have 30 bits. Raises ImportError without SciPy.
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(
        self, dimension: int, scramble: bool = False, seed: int | None = None
    ) -> None:
        if dimension > self.MAXDIM or dimension < 1:
            raise ValueError(
                "Supported range of dimensionality for SobolEngine is "
                f"[1, {self.MAXDIM}]"
            )
        self.seed = seed
        self.scramble = scramble
        self.dimension = dimension
        # (dimension, bits): the directions, which points are exclusive ors of.
        self.sobolstate = _directions(dimension, self.MAXBIT)
        self.shift = torch.zeros(dimension, dtype=torch.long)
        if scramble:
            self._scramble()
        self.quasi = self.shift.clone()
        # In the dtype that was the default then, whatever `draw` is asked for.
        self._first_point = (self.quasi / 2**self.MAXBIT).reshape(1, -1)
        self.num_generated = 0

    def draw(
        self, n: int = 1, out: Tensor | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """The next ``n`` points, a tensor of shape (n, dimension)."""
        dtype = torch.get_default_dtype() if dtype is None else dtype
        points = self._points(self.num_generated, n)
        made = points.to(dtype) * 2.0**-self.MAXBIT
        if self.num_generated == 0 and n:
            made[:1] = self._first_point
        self.fast_forward(n)
        if out is None:
            return made
        out.resize_(made.shape).copy_(made)
        return out

    def draw_base2(
        self, m: int, out: Tensor | None = None, dtype: torch.dtype | None = None
    ) -> Tensor:
        """The next ``2**m`` points; ValueError where that loses the balance of the
        sequence, which has to have as many points as a power of 2."""
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. If you still want to do this, "
                "please use 'SobolEngine.draw()' instead."
            )
        return self.draw(n=n, out=out, dtype=dtype)

    def reset(self) -> SobolEngine:
        """Goes back to the first point."""
        self.quasi.copy_(self.shift)
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Leaves out the next ``n`` points."""
        self.num_generated += n
        if self.num_generated:
            self.quasi = self._points(self.num_generated - 1, 1)[0]
        return self

    def _points(self, first: int, n: int) -> Tensor:
        """The points numbered from ``first`` on, as integers of ``MAXBIT`` bits."""
        numbers = torch.arange(first, first + n)
        gray = (numbers ^ (numbers >> 1)).unsqueeze(1)
        points = self.shift.expand(n, -1)
        for bit in range((first + n).bit_length()):
            points = points ^ ((gray >> bit & 1) * self.sobolstate[:, bit])
        return points

    def _scramble(self) -> None:
        generator: Any = None
        if self.seed is not None:
            generator = torch.Generator()
            generator.manual_seed(self.seed)
        bits, dim = self.MAXBIT, self.dimension
        digits = torch.randint(2, (dim, bits), generator=generator)
        self.shift = (digits * 2 ** torch.arange(bits)).sum(1)
        matrices = torch.randint(2, (dim, bits, bits), generator=generator).tril()
        matrices.diagonal(dim1=1, dim2=2).fill_(1)
        places = torch.arange(bits - 1, -1, -1)  # the first row is the highest bit's
        vectors = self.sobolstate.unsqueeze(2) >> places & 1
        product = (vectors.unsqueeze(2) * matrices.unsqueeze(1)).sum(3) % 2
        self.sobolstate = (product << places).sum(2)

    def __repr__(self) -> str:
        options = [f"dimension={self.dimension}"]
        if self.scramble:
            options.append("scramble=True")
        if self.seed is not None:
            options.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(options)})"


def _directions(dimension: int, bits: int) -> Tensor:
    """(dimension, bits) direction numbers."""
    try:
        from scipy.stats import qmc
    except ImportError as error:
        raise ImportError(
            "SobolEngine needs SciPy's direction numbers: pip install scipy"
        ) from error
    engine: Any = qmc.Sobol(dimension, scramble=False, bits=bits)
    return torch.from_numpy(engine._sv.astype("int64"))
