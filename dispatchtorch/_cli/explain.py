"""``dispatchtorch explain``: the ladder of kernels, read aloud."""

from __future__ import annotations

from dispatchtorch import device_layer
from dispatchtorch.backend import get_backend
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.layer import layers_for
from dispatchtorch.dispatch.operator import Operator, all_operators, packets
from dispatchtorch.dtypes import DTYPES

__all__ = ["explain"]


def explain(name: str, device: str, grad: bool, dtype: str) -> str:
    """The bound chain of an operator (all its overloads): layers, kernel, the rest."""
    found = next((d for d in DTYPES if d.name == dtype.removeprefix("torch.")), None)
    if found is None:
        raise ValueError(f"unknown dtype {dtype!r}")
    backend = get_backend(device)
    keyset = backend.key | found.bit | (K.AUTOGRAD if grad else 0)
    return "\n\n".join(_explain(op, device, keyset) for op in _overloads(name))


def _overloads(name: str) -> list[Operator]:
    operators = all_operators()
    name = _full_name(name)
    if name in operators and name not in packets:
        return [operators[name]]
    if name in packets:
        return packets[name].overloads
    import difflib

    public = [packet for packet in packets if not packet.startswith("_")]
    near = difflib.get_close_matches(name, public, 3, 0.7)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise KeyError(f"no operator named {name!r}{hint}")


def _full_name(name: str) -> str:
    """The operator behind a public name: ``linalg_svd`` of ``torch.linalg.svd``."""
    operators = all_operators()
    plain = name.removeprefix("torch.").removeprefix("Tensor.")
    plain = plain.removeprefix("nn.functional.").removeprefix("F.")
    joined = plain.replace(".", "_", 1)
    for candidate in (name, plain, joined, plain.rpartition(".")[2]):
        if candidate in packets or candidate in operators:
            return candidate
    return plain


def _explain(op: Operator, device: str, keyset: int) -> str:
    backend = get_backend(device)
    lines = [op.text, f"  keyset: {', '.join(K.names(keyset))}"]
    op.bind(keyset)
    for layer in reversed(layers_for(keyset)):
        if layer.name == "device":
            continue
        words = layer.describe(op, keyset)
        if words != "-":
            lines.append(f"  layer {layer.name}: {words}")
    ladder = device_layer.candidates(op, backend)
    if not ladder:
        lines.append(f"  device {device}: no kernel, no decomposition, no fallback")
    for i, rung in enumerate(ladder):
        mark = f"  device {device}: " if i == 0 else "    if declined: "
        lines.append(f"{mark}{rung.kind} at {rung.where}")
        calls = device_layer.declined_counts().get((op.full_name, rung.where))
        if calls:
            lines.append(f"      declined {calls} call(s) in this process")
    return "\n".join(lines)
