"""The bit stream under the CPU generator: seeding, state, raw words and uniforms.

PyTorch's CPU generator is one MT19937 stream plus the second half of the last
Box-Muller pair. NumPy's MT19937 yields the same 32-bit words, so this room maps
PyTorch's seeds and its 5056-byte state onto it and turns words into uniforms.
Nothing here takes the lock; :class:`~dispatchtorch_numpy.random.CPUGenerator` does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from itertools import chain
from operator import index, length_hint
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "DEFAULT_SEED",
    "STATE_BYTES",
    "MT19937Stream",
    "checked_seed",
    "entropy_seed",
]

T = TypeVar("T")

DEFAULT_SEED = 67280421310721
_KEY_WORDS = 624
# seed, words left in the block, seeded flag, next word's index
_HEAD = struct.Struct("<QiiQ")
# unused, cached double normal, unused, is it valid, then a float cache never filled
_TAIL = struct.Struct("<dddi4xf?3x")
STATE_BYTES = _HEAD.size + 8 * _KEY_WORDS + _TAIL.size

_MASK24 = np.uint32(2**24 - 1)
_MASK53 = np.uint64(2**53 - 1)
_SCALE24 = np.float32(2.0**-24)
_SCALE53 = 2.0**-53
_HALF_WORD = np.uint64(32)
# Below this many words NumPy's scalar filler has less overhead than its bulk one.
_BULK = 1024
_TAPE_FROM = 32
_TAPE_MAX = 1 << 15


def checked_seed(seed: Any) -> int:
    """`seed` as the unsigned 64-bit number that PyTorch would keep for it."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        name = type(seed).__name__
        raise RuntimeError(f"manual_seed expected a long, but got {name}")
    number: int = index(seed)
    if not -(2**63) <= number < 2**64:
        raise ValueError("Overflow when unpacking long long")
    return number & (2**64 - 1)


class MT19937Stream:
    """PyTorch's CPU bit stream: words, uniforms and state, without locking."""

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        # The bit generator is made at the first draw: importing numpy.random is slow.
        self._bits: Any = None
        self._reseed(checked_seed(seed))

    def _reseed(self, seed: int) -> None:
        self._seed = seed
        self._spare: float | None = None
        # Where the state says the next word is while a block is used up: 0 after
        # seeding, 624 after drawing. Both mean the same, the bytes differ.
        self._exhausted_at = 0
        if self._bits is not None:
            self._legacy.seed(seed & 0xFFFFFFFF)

    def _boot(self) -> None:
        from numpy.random import MT19937, Generator, RandomState

        self._bits = MT19937(0)
        self._raw: Callable[[int | None], Any] = self._bits.random_raw
        self._integers: Callable[..., np.ndarray] = Generator(self._bits).integers
        self._legacy = RandomState(self._bits)
        self._legacy.seed(self._seed & 0xFFFFFFFF)

    # ------------------------------------------------------------------ words

    def words(self, n: int) -> np.ndarray:
        """The next `n` words, uint32."""
        if self._bits is None:
            self._boot()
        if n:
            self._exhausted_at = _KEY_WORDS
        if n < _BULK:
            few: np.ndarray = self._raw(n)
            return few.astype(np.uint32)
        return self._integers(0, 2**32, n, np.uint32)

    def words64(self, n: int) -> np.ndarray:
        """The next `n` pairs of words, the first of a pair on top, uint64."""
        if self._bits is None:
            self._boot()
        if n:
            self._exhausted_at = _KEY_WORDS
        if n < _BULK:
            pairs: np.ndarray = self._raw(2 * n)
            few: np.ndarray = (pairs[::2] << _HALF_WORD) | pairs[1::2]
            return few
        return self._integers(0, 2**64 - 1, n, np.uint64, True)

    def floats(self, n: int) -> np.ndarray:
        """`n` float32 uniforms in [0, 1) of 24 bits, one word each."""
        words = self.words(n)
        words &= _MASK24
        out: np.ndarray = np.multiply(
            words, _SCALE24, dtype=np.float32, casting="unsafe"
        )
        return out

    def doubles(self, n: int) -> np.ndarray:
        """`n` float64 uniforms in [0, 1) of 53 bits, two words each."""
        words = self.words64(n)
        words &= _MASK53
        return words * _SCALE53

    def skip(self, n: int) -> None:
        """Pass over `n` words."""
        while n > 0:
            step = min(n, _TAPE_MAX)
            self.words(step)
            n -= step

    # ------------------------------------------------- scalars, one at a time

    def _double(self) -> float:
        self._exhausted_at = _KEY_WORDS
        raw = self._raw
        high, low = int(raw(None)), int(raw(None))
        return (((high << 32) | low) & 0x1FFFFFFFFFFFFF) * _SCALE53

    def serially(self, run: Callable[[Callable[[], float]], T], draws: int) -> T:
        """Call `run` with a source of float64 uniforms whose use it alone knows.

        Rejection samplers read as many uniforms as chance has it. For many `draws`
        they read from lists made in bulk, and the stream is then set to exactly
        behind the last one used.
        """
        if self._bits is None:
            self._boot()
        if draws <= _TAPE_FROM:
            return run(self._double)
        start, exhausted_at = self._bits.state, self._exhausted_at
        fetched = 0
        current: Iterator[float] = iter(())

        def tape() -> Iterator[Iterator[float]]:
            nonlocal fetched, current
            size = min(2 * draws, _TAPE_MAX)
            while True:
                fetched += size
                current = iter(self.doubles(size).tolist())
                yield current

        result = run(chain.from_iterable(tape()).__next__)
        self._bits.state, self._exhausted_at = start, exhausted_at
        self.skip(2 * (fetched - length_hint(current)))
        return result

    # ------------------------------------------------------------------ state

    def _dump(self) -> np.ndarray:
        if self._bits is None:
            self._boot()
        state = self._bits.state["state"]
        position: int = state["pos"]
        used_up = position == _KEY_WORDS
        out = np.zeros(STATE_BYTES, np.uint8)
        out[: _HEAD.size] = np.frombuffer(
            _HEAD.pack(
                self._seed,
                1 if used_up else _KEY_WORDS + 1 - position,
                1,
                self._exhausted_at if used_up else position,
            ),
            np.uint8,
        )
        out[_HEAD.size : -_TAIL.size].view("<u8")[:] = state["key"]
        valid = self._spare is not None
        tail = _TAIL.pack(0.0, self._spare or 0.0, 0.0, valid, 0.0, False)
        out[-_TAIL.size :] = np.frombuffer(tail, np.uint8)
        return out

    def _load(self, state: Any) -> None:
        if getattr(state, "dtype", None) != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != STATE_BYTES:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found "
                f"the input RNG state size to be {state.size}"
            )
        data = state.tobytes()
        seed, left, seeded, position = _HEAD.unpack_from(data)
        used_up = left == 1
        consistent = position <= _KEY_WORDS if used_up else left + position == 625
        if not (seeded and 0 < left <= _KEY_WORDS and consistent):
            raise RuntimeError("Invalid mt19937 state")
        key = np.frombuffer(data, "<u8", _KEY_WORDS, _HEAD.size).astype(np.uint32)
        _, spare, _, valid, _, _ = _TAIL.unpack_from(data, STATE_BYTES - _TAIL.size)
        if self._bits is None:
            self._boot()
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": _KEY_WORDS if used_up else position},
        }
        self._seed = seed
        self._exhausted_at = position if used_up else _KEY_WORDS
        self._spare = spare if valid else None


def entropy_seed() -> int:
    """A seed of 53 bits from the operating system, as PyTorch's `seed()` takes."""
    return int.from_bytes(os.urandom(8), "little") & (2**53 - 1)
