"""``torch.backends.cuda``: switches of its matrix products and attention.

They are kept for the devices that read them, and change nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from dispatchtorch.backends._common import has_device

__all__ = [
    "SDPAParams",
    "allow_fp16_bf16_reduction_math_sdp",
    "can_use_cudnn_attention",
    "can_use_efficient_attention",
    "can_use_flash_attention",
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "fp16_bf16_reduction_math_sdp_allowed",
    "is_built",
    "is_ck_sdpa_available",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "preferred_blas_library",
    "preferred_linalg_library",
    "sdp_kernel",
]

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
)


def is_built() -> bool:
    """Whether a plugin provides the device."""
    return has_device("cuda")


# Which kernels attention may use.

_switches = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def _switch(name: str) -> tuple[Any, Any]:
    def enabled() -> bool:
        return _switches[name]

    def enable(enabled: bool) -> None:
        _switches[name] = bool(enabled)

    enabled.__name__ = enabled.__qualname__ = f"{name}_sdp_enabled"
    enable.__name__ = enable.__qualname__ = f"enable_{name}_sdp"
    enabled.__doc__ = f"Whether attention may use kernels of the kind {name!r}."
    enable.__doc__ = f"Allows attention kernels of the kind {name!r}, or forbids them."
    return enabled, enable


flash_sdp_enabled, enable_flash_sdp = _switch("flash")
mem_efficient_sdp_enabled, enable_mem_efficient_sdp = _switch("mem_efficient")
math_sdp_enabled, enable_math_sdp = _switch("math")
cudnn_sdp_enabled, enable_cudnn_sdp = _switch("cudnn")
_reduced_sums = False


def allow_fp16_bf16_reduction_math_sdp(enabled: bool) -> None:
    """Whether attention without a fused kernel may sum in half precision."""
    global _reduced_sums
    _reduced_sums = bool(enabled)


def fp16_bf16_reduction_math_sdp_allowed() -> bool:
    """What ``allow_fp16_bf16_reduction_math_sdp`` set."""
    return _reduced_sums


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[dict[Any, Any]]:
    """A block in which attention may use the kernels that are enabled."""
    before = dict(_switches)
    _switches.update(
        flash=enable_flash,
        math=enable_math,
        mem_efficient=enable_mem_efficient,
        cudnn=enable_cudnn,
    )
    try:
        yield {}
    finally:
        _switches.update(before)


class SDPAParams:
    """The operands of an attention call, to ask which kernels could run it."""

    def __init__(
        self,
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any,
        dropout: float,
        is_causal: bool,
        enable_gqa: bool,
    ) -> None:
        self.query, self.key, self.value = query, key, value
        self.attn_mask = attn_mask
        self.dropout = dropout
        self.is_causal = is_causal
        self.enable_gqa = enable_gqa


def is_flash_attention_available() -> bool:
    """False: no kernel goes by this name; plugins have fused kernels of their own."""
    return False


def is_ck_sdpa_available() -> bool:
    """False: no kernel goes by this name."""
    return False


def can_use_flash_attention(params: SDPAParams, debug: bool = False) -> bool:
    """False: see ``is_flash_attention_available``."""
    return False


def can_use_efficient_attention(params: SDPAParams, debug: bool = False) -> bool:
    """False: see ``is_flash_attention_available``."""
    return False


def can_use_cudnn_attention(params: SDPAParams, debug: bool = False) -> bool:
    """False: see ``is_flash_attention_available``."""
    return False


# Which libraries are preferred, where a plugin has a choice.


class _Choice:
    """A preference with a fixed set of names; called, it is set or told."""

    def __init__(self, title: str, names: str) -> None:
        self.title = title
        self.names = names.split()
        self.value = "default"

    def __call__(self, backend: str | None = None) -> str:
        if backend is not None:
            if backend not in self.names:
                raise RuntimeError(
                    f"Unknown input value. Choose from: {', '.join(self.names)}."
                )
            self.value = backend
        return self.value


preferred_linalg_library = _Choice("linalg", "default cusolver magma")
preferred_blas_library = _Choice("blas", "default cublas hipblas cublaslt hipblaslt ck")
