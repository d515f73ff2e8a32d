"""What PyTorch has and dispatchtorch hasn't: what to say when a program asks for it."""

from __future__ import annotations

__all__ = ["explanation"]

_FUNCTIONAL = (
    "the transforms of torch.func (vmap, grad, jvp, …) aren't supported; "
    "torch.autograd.grad and torch.autograd.functional have gradients, Jacobians "
    "and Hessians"
)
_FORWARD = (
    "forward-mode differentiation isn't supported; torch.autograd.functional.jvp "
    "computes the product by two backward passes"
)
_GRAPH = "graphs of programs aren't captured here; programs run as they are written"
_QUANTISED = "quantised tensors aren't supported"

_ABSENT = {
    "vmap": _FUNCTIONAL,
    "func": _FUNCTIONAL,
    "_functorch": _FUNCTIONAL,
    "autograd.forward_ad": _FORWARD,
    "fx": _GRAPH,
    "export": _GRAPH,
    "onnx": _GRAPH,
    "_dynamo": _GRAPH,
    "_inductor": _GRAPH,
    "cond": _GRAPH,
    "while_loop": _GRAPH,
    "profiler": "the profiler isn't supported; torch.utils.benchmark measures times",
    "autograd.profiler": "the profiler isn't supported; torch.utils.benchmark "
    "measures times",
    "nested": "nested tensors aren't supported; torch.nn.utils.rnn.pad_sequence pads",
    "multiprocessing": "tensors aren't shared between processes; the workers of "
    "torch.utils.data.DataLoader are supported",
    "distributed": "distributed training isn't supported",
    "utils.cpp_extension": "extensions in C++ aren't built here; kernels of other "
    "libraries are registered with torch.library or as an overlay (docs/plugins.md)",
    "utils.mobile_optimizer": _GRAPH,
    "utils.bundled_inputs": _GRAPH,
    "utils.data.datapipes": "data pipes aren't supported; torch.utils.data has datasets, "
    "samplers and DataLoader",
    "cuda.tunable": "products of matrices aren't tuned from Python",
    "cuda.jiterator": "kernels in CUDA C++ come from the device's plugin",
    "ao": _QUANTISED,
    "quantization": _QUANTISED,
    "quantize_per_tensor": _QUANTISED,
    "quantize_per_channel": _QUANTISED,
    "quantize_per_tensor_dynamic": _QUANTISED,
}


def explanation(name: str) -> str:
    """``": why"`` for a name without its ``torch.``, by its longest known prefix, or ''."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        reason = _ABSENT.get(".".join(parts[:length]))
        if reason is not None:
            return f": {reason}"
    if "amp" in parts:  # torch.amp, torch.<device>.amp
        return ": mixed precision (autocast and GradScaler) isn't supported"
    return ""
