"""Writes ``docs/operators.md``: ``python -m dispatchtorch._docs [--check]``.

Everything in the page is read off the registry: what each operator is on ``cpu`` and
``meta``, and how it is differentiated. ``docs/absent.toml`` says what PyTorch has besides.
Nothing imports this module at run time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from dispatchtorch.backend import Backend, get_backend
from dispatchtorch.dispatch.codegen import has_out
from dispatchtorch.dispatch.operator import Operator, Packet, all_operators, packets

__all__ = ["absent_names", "main", "page"]

_DOCS = Path(__file__).parent.parent / "docs"

_INTRO = """\
# Operators

Written by `python -m dispatchtorch._docs`; don't edit it by hand.

{operators} operators under {names} names, of which {primitives} are primitives: the
functions that a device must supply. The others are made of them, and a device may have
its own, faster kernel for any of them ("fused" below says that `cpu` has one).

| column | |
|---|---|
| name | as `function`, `method` of Tensor, `nn.functional`; `_` in place, `out` with `out=` |
| cpu | `primitive`, `fused` (a kernel of its own), `decomposed`, or `view` (shares memory) |
| meta | `yes`: shapes without values follow, by a rule or through the decomposition |
| derivative | the node in the graph; `through` the operators that it is made of; `none` |
"""


def _kernel(op: Operator, backend: Backend) -> bool:
    return backend.kernels.get(op.full_name) is not None


def _kind(op: Operator, backend: Backend) -> str:
    if "view" in op.tags:
        return "view"
    if op.is_primitive:
        return "primitive" if _kernel(op, backend) else "missing"
    if _kernel(op, backend):
        return "fused"
    return "decomposed"


def _derivative(op: Operator) -> str:
    if op.derivative is not None:
        return f"`{op.derivative.node_name(op)}`"
    if "nondifferentiable" in op.tags or "factory" in op.tags:
        return "none"
    return "through" if op.body is not None else "none"


def _meta(op: Operator, meta: Backend) -> str:
    made = op.body is not None or op.functional is not None or "view" in op.tags
    return "yes" if made or _kernel(op, meta) else "no"


def _joined(values: Iterator[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _row(packet: Packet, cpu: Backend, meta: Backend) -> str:
    operators = packet.overloads
    forms = [
        word
        for word, variant in (
            ("function", "function"),
            ("method", "method"),
            ("nn", "nn"),
        )
        if variant in packet.variants
    ]
    if packet.name + "_" in packets:
        forms.append("`_`")
    if any(has_out(op, "function") for op in operators):
        forms.append("out")
    name = packet.name.replace("_", "\\_")
    cells = [
        name if not packet.name.startswith("_") else f"*{name}*",
        " ".join(forms) or "internal",
        _joined(_kind(op, cpu) for op in operators),
        _joined(_meta(op, meta) for op in operators),
        _joined(_derivative(op) for op in operators),
    ]
    return f"| {' | '.join(cells)} |"


def _families() -> dict[str, list[Packet]]:
    """Packets by the module that declares them; in-place twins go with their function."""
    found: dict[str, list[Packet]] = {}
    for name in sorted(packets):
        packet = packets[name]
        first = packet.overloads[0]
        origin = first.functional or first
        if "::" in name or (first.functional is not None and name[:-1] in packets):
            continue
        home = origin.home or origin.module
        if not home.startswith("dispatchtorch.ops."):
            continue
        found.setdefault(home.removeprefix("dispatchtorch.ops."), []).append(packet)
    return dict(sorted(found.items()))


def _title(family: str) -> str:
    module = import_module(f"dispatchtorch.ops.{family}")
    first = (module.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(first.split()).rstrip(".")


def absent_names() -> list[tuple[str, str, list[str]]]:
    """(reason, namespace, names) of what PyTorch has and this doesn't."""
    import tomllib

    with open(_DOCS / "absent.toml", "rb") as file:
        entries = tomllib.load(file)["absent"]
    found = []
    for entry in entries:
        for namespace, names in entry.items():
            if namespace == "reason":
                continue
            missing = [n for n in names.split() if not _exists(namespace, n)]
            if missing:
                found.append((entry["reason"], namespace, missing))
    return found


def _exists(namespace: str, name: str) -> bool:
    import dispatchtorch

    value: Any = dispatchtorch
    for part in [*namespace.split(".")[1:], name]:
        try:
            value = getattr(value, part)
        except AttributeError:
            return False
    return True


def page() -> str:
    """The text of the page."""
    cpu, meta = get_backend("cpu"), get_backend("meta")
    families = _families()
    operators = [op for op in all_operators().values() if "::" not in op.name]
    lines = [
        _INTRO.format(
            operators=len(operators),
            names=len({op.name for op in operators}),
            primitives=sum(op.is_primitive for op in operators),
        )
    ]
    for family, members in families.items():
        lines += [
            f"## {family}",
            "",
            f"{_title(family)} (`dispatchtorch/ops/{family}.py`).",
            "",
            "| name | forms | cpu | meta | derivative |",
            "|---|---|---|---|---|",
            *[_row(packet, cpu, meta) for packet in members],
            "",
        ]
    lines += ["## What PyTorch has besides", ""]
    reason = ""
    for why, namespace, names in absent_names():
        if why != reason:
            lines += [f"**{why}**", ""]
            reason = why
        listed = ", ".join(f"`{name}`" for name in sorted(names, key=str.casefold))
        lines += [f"`{namespace}`: {listed}", ""]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """Writes the page, or (``--check``) says whether it is in step."""
    path = _DOCS / "operators.md"
    text = page()
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    if "--check" in arguments:
        if old != text:
            print("docs/operators.md is out of step; run python -m dispatchtorch._docs")
        return int(old != text)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
