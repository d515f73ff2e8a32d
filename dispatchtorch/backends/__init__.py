"""``torch.backends``: questions about, and switches of, libraries behind PyTorch.

Programs ask which of them there are and switch their options before they do anything
else. None of those libraries is here, so that the questions are answered with no and the
switches keep what they are set to without effect; devices come from plugins, which
``dispatchtorch doctor`` lists.
"""

from __future__ import annotations

from dispatchtorch.backends import (
    cpu,
    cuda,
    cudnn,
    cusparselt,
    kleidiai,
    mha,
    mkl,
    mkldnn,
    mps,
    nnpack,
    openmp,
    opt_einsum,
    quantized,
)

__all__ = [
    "cpu",
    "cuda",
    "cudnn",
    "cusparselt",
    "kleidiai",
    "mha",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
]
