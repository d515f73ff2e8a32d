"""Muon: momentum whose matrices are made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import dispatchtorch as torch

from ._rules import RuleOptimizer, State, Update, check_lr, zeros
from .optimizer import ParamsT

__all__ = ["Muon"]

_ADJUSTMENTS = {
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
}


class Muon(RuleOptimizer):
    """`Muon: An optimizer for hidden layers in neural networks`_.

    For the matrices of hidden layers; leave biases and embeddings to another optimizer.

    Args:
        params: matrices, named or not, or groups of them.
        lr: learning rate.
        weight_decay: how much parameters shrink each step, times ``lr``.
        momentum: how much of the running average is kept each step.
        nesterov: looks ahead.
        ns_coefficients: of the quintic polynomial of the Newton-Schulz iteration.
        eps: the least norm that a matrix is divided by.
        ns_steps: the number of iterations.
        adjust_lr_fn: how the learning rate follows the shape. ``"original"`` (also if
            None) is the author's; ``"match_rms_adamw"`` gives updates as large as
            AdamW's, from `Muon is Scalable for LLM Training`_.

    .. _Muon\\: An optimizer for hidden layers in neural networks:
        https://kellerjordan.github.io/posts/muon/
    .. _Muon is Scalable for LLM Training: https://arxiv.org/abs/2502.16982
    """

    _counted = False
    _decays = False
    _real = False
    _elementwise = False

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        for name, value in (("momentum", momentum), ("weight decay", weight_decay)):
            if not 0.0 <= value:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn is not None and adjust_lr_fn not in _ADJUSTMENTS:
            raise ValueError(
                f"Adjust learning rate function {adjust_lr_fn} is not supported"
            )
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter "
                        f"with size: {param.size()}"
                    )

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": zeros(param)}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        momentum, nesterov = options["momentum"], options["nesterov"]
        coefficients, steps = options["ns_coefficients"], options["ns_steps"]
        eps = options["eps"]
        adjusted = _ADJUSTMENTS[options["adjust_lr_fn"] or "original"]
        kept = 1 - lr * options["weight_decay"]

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            buffer = state["momentum_buffer"]
            buffer.lerp_(grad, 1 - momentum)
            change = grad.lerp(buffer, momentum) if nesterov else buffer
            change = _orthogonalized(change, coefficients, steps, eps)
            param.mul_(kept)
            scale = -lr * adjusted(*param.shape)
            param.add_(change.to(param.dtype), alpha=scale)

        return update


def _orthogonalized(
    matrix: Any, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Any:
    """An orthogonal matrix near ``matrix``, by Newton-Schulz iterations in bfloat16."""
    if steps >= 100:
        raise ValueError(
            "Number of steps must be less than 100 for computational efficiency"
        )
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    x = _rounded(matrix.T if tall else matrix)
    # A spectral norm of at most one, which the iteration needs to converge.
    x = _rounded(x / _rounded(x.norm()).clamp(min=eps))
    for _ in range(steps):
        # Sums of products are rounded to bfloat16 as a whole.
        gram = _rounded(x @ x.T)
        gram = _rounded(torch.addmm(gram, gram, gram, beta=b, alpha=c))
        x = _rounded(torch.addmm(x, gram, x, beta=a))
    x = x.bfloat16()
    return x.T if tall else x


def _rounded(tensor: Any) -> Any:
    """In float32, the values that bfloat16 has for those of ``tensor``."""
    return tensor.bfloat16().float()
