"""``torch.backends.cuda``: switches of its matrix products, kept without effect."""

from __future__ import annotations

from types import SimpleNamespace

from dispatchtorch.backends._common import has_device

__all__ = ["is_built", "matmul"]

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
)


def is_built() -> bool:
    """Whether a plugin provides the device."""
    return has_device("cuda")
