"""Attention whose scores a Python function changes (Dong et al. 2024), and block masks.

``score_mod`` and ``mask_mod`` are called once, with index tensors that broadcast against
each other, so they may use whatever broadcasts: arithmetic, comparisons, ``where``,
indexing of other tensors. Attention itself is made of plain operators: it works on every
device, and gradients flow through it and through what the functions use. A block mask is
what a kernel can skip by; here its ``mask_mod`` says all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

import dispatchtorch as torch
from dispatchtorch import Tensor

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

Mod = Callable[..., Tensor]
_BLOCK = 128


class AuxRequest(NamedTuple):
    """What ``flex_attention`` should return besides its result."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for: (batch, heads, queries) each, or None."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


class FlexKernelOptions(TypedDict, total=False):
    """Options of generated kernels, by name. There is none that reads them here."""


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Tensor:
    """Allows every key to every query."""
    return batch.new_ones((), dtype=torch.bool)  # type: ignore[no-any-return]


def _combined(name: str, start: bool, mods: tuple[Mod, ...]) -> Mod:
    if not all(callable(mod) for mod in mods):
        raise RuntimeError(f"All inputs should be callable mask_mods: {mods}")

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Tensor:
        result = torch.full((), start, dtype=torch.bool, device=b.device)
        for mod in mods:
            found = mod(b, h, q_idx, kv_idx)
            result = result & found if start else result | found
        return result  # type: ignore[no-any-return]

    mask_mod.__name__ = name
    return mask_mod


def or_masks(*mask_mods: Mod) -> Mod:
    """A mask that allows what any of the masks allows."""
    return _combined("or_mask", False, mask_mods)


def and_masks(*mask_mods: Mod) -> Mod:
    """A mask that allows what all of the masks allow."""
    return _combined("and_mask", True, mask_mods)


def _indices(shape: Any, device: Any) -> tuple[Tensor, ...]:
    """Index tensors of the four dims, which broadcast to all of them."""
    return tuple(
        torch.arange(n, device=device).view(*(-1 if d == dim else 1 for d in range(4)))
        for dim, n in enumerate(shape)
    )


def create_mask(
    mod_fn: Mod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
) -> Tensor:
    """The (B, H, Q_LEN, KV_LEN) mask of a ``mask_mod``, or of a ``score_mod``: False
    where it makes a score of 0 infinitely low. ``None`` for B or H means 1."""
    shape = (B or 1, H or 1, Q_LEN, KV_LEN)
    device = _default_device() if device is None else device
    indices = _indices(shape, device)
    if _takes_score(mod_fn):
        scores = mod_fn(torch.zeros(shape, device=device), *indices)
        return torch.broadcast_to(scores, shape).isneginf().logical_not()  # type: ignore[no-any-return]
    mask = mod_fn(*indices)
    if mask.dtype is not torch.bool:
        raise AssertionError(f"mask.dtype must be torch.bool, got {mask.dtype}")
    return torch.broadcast_to(mask, shape).clone()  # type: ignore[no-any-return]


def _default_device() -> Any:
    found = torch.accelerator.current_accelerator()
    return "cpu" if found is None else found


def _takes_score(mod: Mod) -> bool:
    """Whether a function takes a score before the four indices."""
    import inspect

    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(mod).parameters.values()
    count = sum(p.kind in kinds and p.default is p.empty for p in parameters)
    if count not in (4, 5):
        raise AssertionError(
            f"a mask_mod takes 4 arguments and a score_mod 5, {mod!r} takes {count}"
        )
    return count == 5


# Block masks.


def _ordered(dense: Tensor) -> tuple[Tensor, Tensor]:
    """(number, indices) of the blocks that each row has, those first."""
    dense = dense.to(torch.int32)
    order = torch.argsort(dense, dim=-1, descending=True, stable=True)
    return dense.sum(-1).to(torch.int32), order.to(torch.int32)


def _dense(number: Tensor, indices: Tensor, columns: int) -> Tensor:
    """The inverse of ``_ordered``: 1 where a row has a block."""
    rank = torch.arange(indices.shape[-1], device=indices.device)
    present = (rank < number.unsqueeze(-1)).to(torch.int32)
    made = torch.zeros(
        *indices.shape[:-1], columns, dtype=torch.int32, device=indices.device
    )
    return made.scatter_add(-1, indices.long(), present)


class BlockMask:
    """Which blocks of a score matrix are to be computed, and the mask inside of them.

    ``kv_num_blocks`` (B, H, rows) and ``kv_indices`` (B, H, rows, columns) list for each
    row of blocks the columns that need the mask, ``full_…`` those that don't; ``q_…``
    are the same by columns. ``mask_mod`` is the mask.
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None,
        full_kv_indices: Tensor | None,
        q_num_blocks: Tensor | None,
        q_indices: Tensor | None,
        full_q_num_blocks: Tensor | None,
        full_q_indices: Tensor | None,
        BLOCK_SIZE: tuple[int, int] = (_BLOCK, _BLOCK),
        mask_mod: Mod = noop_mask,
        *,
        dq_write_order: Tensor | None = None,
        dq_write_order_full: Tensor | None = None,
        dq_kv_order: Tensor | None = None,
        dq_kv_order_spt: bool | None = None,
    ) -> None:
        if kv_indices.dim() < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        self.seq_lengths = seq_lengths
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks = full_kv_num_blocks
        self.full_kv_indices = full_kv_indices
        self.q_num_blocks, self.q_indices = q_num_blocks, q_indices
        self.full_q_num_blocks, self.full_q_indices = full_q_num_blocks, full_q_indices
        self.BLOCK_SIZE = BLOCK_SIZE
        self.mask_mod = mask_mod
        # The order in which a backward kernel may add; kept for those that ask.
        self.dq_write_order, self.dq_write_order_full = (
            dq_write_order,
            dq_write_order_full,
        )
        self.dq_kv_order, self.dq_kv_order_spt = dq_kv_order, dq_kv_order_spt

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = _BLOCK,
        mask_mod: Mod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
        **orders: Any,
    ) -> BlockMask:
        """A block mask of its rows; what it has by columns is computed."""
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError(
                "full_kv_num_blocks and full_kv_indices must be both provided or omitted"
            )
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        rows, columns = kv_indices.shape[-2:]
        if seq_lengths is None:
            seq_lengths = (rows * size[0], columns * size[1])

        def turned(number: Tensor | None, indices: Tensor | None) -> Any:
            if number is None or indices is None or not compute_q_blocks:
                return None, None
            return _ordered(_dense(number, indices, columns).transpose(-1, -2))

        by_column = turned(kv_num_blocks, kv_indices)
        full_by_column = turned(full_kv_num_blocks, full_kv_indices)
        return cls(
            seq_lengths,
            kv_num_blocks,
            kv_indices,
            full_kv_num_blocks,
            full_kv_indices,
            by_column[0],
            by_column[1],
            full_by_column[0],
            full_by_column[1],
            BLOCK_SIZE=size,
            mask_mod=noop_mask if mask_mod is None else mask_mod,
            **orders,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, queries, keys)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """The number of scores."""
        return math.prod(self.shape)

    def sparsity(self) -> float:
        """The part of the scores that need not be computed, in percent (whole blocks may
        reach over the ends, which makes it negative)."""
        count = int(self.kv_num_blocks.sum())
        if self.full_kv_num_blocks is not None:
            count += int(self.full_kv_num_blocks.sum())
        computed = count * self.BLOCK_SIZE[0] * self.BLOCK_SIZE[1]
        return 100 * (1 - computed / self.numel())

    def to_dense(self) -> Tensor:
        """(B, H, rows, columns): 1 for each block that is to be computed."""
        columns = self.kv_indices.shape[-1]
        dense = _dense(self.kv_num_blocks, self.kv_indices, columns)
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            dense = dense | _dense(
                self.full_kv_num_blocks, self.full_kv_indices, columns
            )
        return dense

    def _tensors(self, change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """The tensors by name, changed."""
        names = [
            f"{full}{side}_{what}"
            for side in ("kv", "q")
            for full in ("", "full_")
            for what in ("num_blocks", "indices")
        ]
        found = {name: getattr(self, name) for name in names}
        return {n: None if t is None else change(t) for n, t in found.items()}

    def to(self, device: Any) -> BlockMask:
        """The block mask on another device."""
        return BlockMask(
            self.seq_lengths,
            **self._tensors(lambda t: t.to(device)),
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=self.mask_mod,
        )

    def __getitem__(self, index: Any) -> BlockMask:
        """Some batches and heads; an integer leaves a dim of 1."""
        places = index if isinstance(index, tuple) else (index,)
        kept = tuple(
            slice(p, p + 1 or None) if isinstance(p, int) else p for p in places
        )
        if len(kept) > 2:
            raise IndexError("a BlockMask is indexed by batch and head")
        device, sizes = self.kv_indices.device, self.kv_indices.shape[:2]
        chosen = [
            torch.arange(n, device=device)[place]
            for n, place in zip(sizes, (*kept, slice(None), slice(None)), strict=False)
        ]
        whole = self.mask_mod

        def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Tensor:
            return whole(chosen[0][b], chosen[1][h], q_idx, kv_idx)

        return BlockMask(
            self.seq_lengths,
            **self._tensors(lambda t: t[kept]),
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=mask_mod,
        )

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """The block mask of other lengths: cut off, or without further blocks."""
        rows = -(-new_q_len // self.BLOCK_SIZE[0])
        columns = -(-new_kv_len // self.BLOCK_SIZE[1])

        def fitted(number: Tensor | None, indices: Tensor | None) -> Any:
            if number is None or indices is None:
                return None, None
            dense = _dense(number, indices, indices.shape[-1])[..., :rows, :columns]
            missing = [0, columns - dense.shape[-1], 0, rows - dense.shape[-2]]
            return _ordered(torch.nn.functional.pad(dense, missing))

        number, indices = fitted(self.kv_num_blocks, self.kv_indices)
        full = fitted(self.full_kv_num_blocks, self.full_kv_indices)
        return BlockMask.from_kv_blocks(
            number,
            indices,
            full[0],
            full[1],
            BLOCK_SIZE=self.BLOCK_SIZE,
            mask_mod=self.mask_mod,
            seq_lengths=(new_q_len, new_kv_len),
        )

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """What the block mask is made of; the two pairs of numbers one by one, if so
        wished."""
        pair, size = (self.seq_lengths,), (self.BLOCK_SIZE,)
        return (
            *(self.seq_lengths if flatten else pair),
            *self._tensors(lambda t: t).values(),
            *(self.BLOCK_SIZE if flatten else size),
            self.mask_mod,
            self.dq_write_order,
            self.dq_write_order_full,
            self.dq_kv_order,
            self.dq_kv_order_spt,
        )

    def to_string(
        self, grid_size: int | tuple[int, int] = (20, 20), limit: int = 4
    ) -> str:
        """A picture of the blocks of the first ``limit`` batches and heads."""
        high, wide = (grid_size,) * 2 if isinstance(grid_size, int) else grid_size
        dense = self.to_dense().cpu()
        pictures = []
        lead = dense.shape[:-2]
        flat = dense.reshape(-1, *dense.shape[-2:])
        for number, blocks in enumerate(flat[:limit]):
            head = [number // math.prod(lead[1:]) % lead[0], number % lead[-1]]
            pictures.append(f"{tuple(head)}\n{_picture(blocks, high, wide)}\n")
        if len(flat) > limit:
            pictures.append(
                "...\nTo print out more, set BlockMask.to_string(limit=N)\n"
                "You can also index (BlockMask[batch, head]) to choose a specific batch "
                "or head"
            )
        return "\n".join(pictures).strip()

    def __str__(self) -> str:
        return (
            f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%, \n"
            f"{self.to_string()}\n)"
        )

    def __repr__(self) -> str:
        lines = [
            f"    {name}={None if t is None else t.shape},"
            for name, t in self._tensors(lambda t: t).items()
        ]
        lines += [
            f"    BLOCK_SIZE={self.BLOCK_SIZE},",
            f"    shape={self.shape},",
            f"    sparsity={self.sparsity():.2f}%,",
            f"    mask_mod={getattr(self.mask_mod, '__name__', self.mask_mod)}",
        ]
        return "BlockMask(\n" + "\n".join(lines) + "\n)"


def _picture(blocks: Tensor, high: int, wide: int) -> str:
    """Blocks as characters, several of them in one where there are too many."""
    rows, columns = blocks.shape
    down, right = -(-rows // high), -(-columns // wide)
    pad = [0, -columns % right, 0, -rows % down]
    cells = torch.nn.functional.pad(blocks.float(), pad)
    cells = cells.unflatten(0, (-1, down)).unflatten(2, (-1, right)).mean((1, 3))
    signs = {0.0: "  ", 1.0: "██"}
    return "\n".join(
        "".join(signs.get(value, "░░") for value in row) for row in cells.tolist()
    )


def create_block_mask(
    mask_mod: Mod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _BLOCK,
    _compile: bool = False,
    separate_full_blocks: bool = True,
    compute_dq_write_order: bool = False,
    dq_kv_order: bool = True,
) -> BlockMask:
    """The block mask of a ``mask_mod(b, h, q_idx, kv_idx)``.

    ``None`` for B or H: the mask is the same for all. ``separate_full_blocks`` tells the
    blocks apart that need no mask. The order of a backward kernel's sums
    (``compute_dq_write_order``) isn't supported, as there is no such kernel.
    """
    if compute_dq_write_order:
        raise NotImplementedError("compute_dq_write_order isn't supported")
    if _takes_score(mask_mod):
        raise AssertionError(
            f"create-block_mask requires a mask_mod function! Got {mask_mod}"
        )
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    padded = torch.nn.functional.pad(
        mask.to(torch.int32), [0, -KV_LEN % size[1], 0, -Q_LEN % size[0]]
    )
    blocks = padded.unflatten(3, (-1, size[1])).unflatten(2, (-1, size[0]))
    counts = blocks.sum((3, 5))
    area = size[0] * size[1]
    if separate_full_blocks:
        partial = (counts > 0) & (counts < area)
        full: Any = _ordered(counts == area)
    else:
        partial, full = counts > 0, (None, None)
    number, indices = _ordered(partial)
    return BlockMask.from_kv_blocks(
        number,
        indices,
        full[0],
        full[1],
        BLOCK_SIZE=size,
        mask_mod=mask_mod,
        seq_lengths=(Q_LEN, KV_LEN),
    )


# Attention.


def _check(query: Tensor, key: Tensor, value: Tensor, gqa: bool, mask: Any) -> None:
    if not query.dim() == key.dim() == value.dim() == 4:
        raise NotImplementedError("NYI: query, key, and value must be 4D tensors")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            "Expect query and key/value to have the same embedding dimension but got "
            f"E={query.shape[-1]} and E={key.shape[-1]}."
        )
    batch, other = query.shape[0], key.shape[0]
    if batch != other and (other != 1 or mask is None):
        raise ValueError(
            "Expect query and key/value to have the same batch size, or non-none "
            f"block_mask, but got block_mask={mask}, Bq={batch}, and Bkv={other}."
        )
    heads, shared = query.shape[1], key.shape[1]
    if heads != shared and not gqa:
        raise ValueError(
            "Expect query and key/value to have the same number of heads but got "
            f"Hq={heads} and Hkv={shared}. Try setting enable_gqa=True for GQA."
        )
    if heads % shared:
        raise ValueError(
            "Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={heads} and Hkv={shared}."
        )
    if mask is None:
        return
    lengths = query.shape[-2], key.shape[-2]
    if mask.seq_lengths != lengths:
        raise ValueError(
            f"block_mask was created for block_mask.shape={mask.shape} but got "
            f"q_len={lengths[0]} and kv_len={lengths[1]}. Create a new block mask with "
            "the correct length, or call block_mask._adjust(q_len, kv_len)."
        )


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Mod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: FlexKernelOptions | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attention with ``score_mod(score, b, h, q_idx, kv_idx)`` applied to its scores.

    Args:
        query: (B, Hq, L, E). key, value: (B, Hkv, S, E) and (B, Hkv, S, Ev); with
            ``enable_gqa``, Hkv may divide Hq.
        block_mask: which scores count; a query without any gives zeros.
        scale: of the products, ``1/sqrt(E)`` by default.
        return_lse: returns (result, log-sum-exp of the scores). ``return_aux`` says
            what to return besides the result, as an ``AuxOutput``.
        kernel_options: for kernels made by a compiler; none reads them here.
    """
    if return_lse and return_aux is not None:
        raise ValueError(
            "Cannot specify both return_lse and return_aux. return_lse is deprecated, "
            "please use return_aux=AuxRequest(lse=True) instead."
        )
    _check(query, key, value, enable_gqa, block_mask)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (t.repeat_interleave(groups, 1) for t in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.transpose(-2, -1) * scale
    indices = _indices(scores.shape, query.device)
    if score_mod is not None:
        scores = score_mod(scores, *indices).to(scores.dtype)
    if block_mask is not None:
        allowed = block_mask.mask_mod(*indices)
        scores = scores.masked_fill(~allowed, -math.inf)
    wide = scores.float() if scores.dtype.itemsize < 4 else scores
    highest = wide.amax(-1, keepdim=True)
    # A query that may see nothing has no highest score to take away.
    finite = highest.masked_fill(highest.isneginf(), 0).detach()
    weights = (wide - finite).exp()
    total = weights.sum(-1, keepdim=True)
    weights = (weights / total.masked_fill(total == 0, 1)).to(query.dtype)
    result = weights.to(value.dtype) @ value
    result = result.to(query.dtype)
    if return_lse:
        return result, (total.log() + finite).squeeze(-1)
    if return_aux is None:
        return result
    return result, AuxOutput(
        lse=(total.log() + finite).squeeze(-1) if return_aux.lse else None,
        max_scores=highest.squeeze(-1) if return_aux.max_scores else None,
    )
