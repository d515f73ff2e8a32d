"""How rows that lie in one piece are divided among threads."""

from __future__ import annotations

__all__ = ["row_plan"]

#: The most packs of a row that a thread keeps in registers.
_MOST_ITEMS = 4


def row_plan(
    rows: int, length: int, itemsize: int, most_threads: int = 1024
) -> tuple[int, int, tuple[int, int], tuple[int, int]]:
    """(pack, packs kept in registers, grid, block) for rows of ``length`` elements.

    A pack has up to 16 bytes; none is kept of rows that are too long for registers.
    A block of 32 threads in x has several rows, one a warp.
    """
    pack = max(1, 16 // itemsize)
    while length % pack:
        pack //= 2
    packs = length // pack
    if packs <= 32 * _MOST_ITEMS:
        items = _power(-(-packs // 32))
        return pack, items, (-(-rows // 4), 1), (32, 4)
    threads = min(most_threads, -(-packs // 64) * 32)
    threads = max(threads, 64)
    items = _power(-(-packs // threads))
    if items > _MOST_ITEMS:
        items = 0
    return pack, items, (rows, 1), (threads, 1)


def _power(n: int) -> int:
    """The power of two that isn't less."""
    return 1 << max(n - 1, 0).bit_length()
