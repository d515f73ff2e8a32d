"""``dispatchtorch coverage``: what a device has, what it trains, and what to add next."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from dispatchtorch import device_layer
from dispatchtorch.backend import Backend, get_backend
from dispatchtorch.dispatch.operator import all_operators

__all__ = ["coverage", "programs"]


def programs() -> str:
    """The primitives that training a CNN and a transformer takes, measured."""
    from dispatchtorch.testing.programs import PROGRAMS, primitives_of

    lines, union = [], Counter[str]()
    for name, program in PROGRAMS.items():
        calls = primitives_of(program)
        union += calls
        lines.append(f"{name}: {len(calls)} primitives: {', '.join(sorted(calls))}")
    lines.append(f"both: {len(union)} primitives")
    rare = [n for n, _ in sorted(union.items(), key=lambda each: each[1])]
    calls_of = ", ".join(f"{name} {union[name]}" for name in rare)
    lines.append(f"calls in two steps of each: {calls_of}")
    return "\n".join(lines)


def coverage(device: str) -> str:
    """What a device has and lacks, which programs it trains, and what to add next."""
    backend = get_backend(device)
    operators = all_operators()
    primitives = sorted(n for n, op in operators.items() if op.is_primitive)
    own = {
        name
        for name, op in operators.items()
        if any(c.kernel is not None for c in device_layer.candidates(op, backend))
    }
    missing = [n for n in primitives if n not in own]
    faster = sorted(n for n in own if not operators[n].is_primitive)
    decomposed = len(operators) - len(primitives) - len(faster)
    lines = [
        f"device {device}: {len(primitives) - len(missing)} of {len(primitives)} "
        f"primitives, {len(faster)} operators with kernels of their own, "
        f"{decomposed} by decomposition",
        "primitives: " + ", ".join(n for n in primitives if n in own),
    ]
    if missing:
        lines.append("missing: " + ", ".join(missing))
    if faster:
        lines.append("own kernels: " + ", ".join(faster))
    on_host = sorted(
        n for n, op in operators.items() if "fallback" in op.tags and n not in own
    )
    if on_host:
        lines.append("on the host, which will do: " + ", ".join(on_host))
    lines += _trained(backend, own, set(missing))
    if missing:
        lines += _next(own, set(missing))
    return "\n".join(lines)


def _usable(own: Iterable[str]) -> set[str]:
    """The device's kernels that ``cpu`` has as well, to measure with."""
    return set(own) & set(get_backend("cpu").kernels)


def _trained(backend: Backend, own: set[str], missing: set[str]) -> list[str]:
    """A line for each program: whether it runs without crossing to the host."""
    from dispatchtorch.testing.programs import PROGRAMS, primitives_of

    lines = []
    for name, program in PROGRAMS.items():
        calls = primitives_of(program, _usable(own))
        lacking = sorted(missing & calls.keys())
        if lacking:
            lines.append(
                f"trains a {name}: with {len(lacking)} of {len(calls)} kernels on the "
                f"host, for lack of {', '.join(lacking)}"
            )
            continue
        lines.append(f"trains a {name}: yes, with {len(calls)} kernels")
    lines += _crossings(backend)
    return lines


def _crossings(backend: Backend) -> list[str]:
    """Runs the programs on the device itself and counts what falls back."""
    from dispatchtorch.testing.programs import PROGRAMS

    device = backend.device_type
    if not backend.is_available():
        return [f"not run: {backend.unavailable_reason()}"]
    if device == "meta":
        return []
    before = device_layer.fallback_counts()
    lines = []
    with _silent():
        for name, program in PROGRAMS.items():
            try:
                program(device)
            except Exception as error:
                lines.append(f"the {name} fails: {type(error).__name__}: {error}")
    counts: list[tuple[str, int, int]] = []
    for (name, where), (calls, size) in device_layer.fallback_counts().items():
        old_calls, old_size = before.get((name, where), (0, 0))
        if where == device and calls > old_calls:
            counts.append((name, calls - old_calls, size - old_size))
    for name, calls, size in sorted(counts, key=lambda each: -each[1]):
        lines.append(f"fell back: {name}, {calls} calls, {size} bytes")
    return lines


@contextmanager
def _silent() -> Iterator[None]:
    """A block without warnings, of crossings to the host and others."""
    policy = device_layer.get_fallback_policy()
    if policy == "warn":
        device_layer.set_fallback_policy("silent")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if policy == "warn":
            device_layer.set_fallback_policy(None)


def _next(own: set[str], missing: set[str]) -> list[str]:
    """The missing primitives, those first that set most operators free."""
    blocked = _blocked(own, missing)
    lines = ["implement next:"]
    left = dict(blocked)
    for place, (name, freed) in enumerate(_order(left, missing), 1):
        within = sum(name in needed for needed in blocked.values())
        shown = ", ".join(sorted(freed)[:6]) + (", …" if len(freed) > 6 else "")
        lines.append(
            f"  {place}. {name}: {within} operators need it"
            + (
                f"; with those above it sets {len(freed)} free: {shown}"
                if freed
                else ""
            )
        )
    return lines


def _blocked(own: set[str], missing: set[str]) -> dict[str, set[str]]:
    """The operators of the sample database that missing kernels keep on the host."""
    import dispatchtorch as torch
    from dispatchtorch.testing.programs import noting
    from dispatchtorch.testing.samples import database

    found: dict[str, set[str]] = {}
    with _silent(), noting(_usable(own)) as (device, calls):
        for row in database().values():
            function = row.find(torch)
            if function is None:
                continue
            calls.clear()
            for sample in row.samples(row.dtypes[0]):
                _run(function, sample, device, bool(row.grads))
            needed = missing & calls.keys()
            if needed:
                found[row.name] = needed
    return found


def _run(function: Any, sample: Any, device: str, grad: bool) -> None:
    """One call and its backward pass; errors are the samples' tests' affair."""
    import dispatchtorch as torch
    from dispatchtorch.testing._results import flat

    args, kwargs = sample.build(torch, device, grad=grad)
    try:
        results = [t for t in flat(function(*args, **kwargs)) if hasattr(t, "_keys")]
        total = [t for t in results if t.requires_grad]
        if total:
            torch.autograd.backward(total, [torch.ones_like(t) for t in total])
    except Exception:
        return


def _order(
    blocked: dict[str, set[str]], missing: set[str]
) -> Iterable[tuple[str, list[str]]]:
    """(primitive, the operators that it sets free after the ones before)."""
    left = {name: set(needed) for name, needed in blocked.items()}
    waiting = set(missing)
    while waiting:
        alone = Counter(next(iter(n)) for n in left.values() if len(n) == 1)
        anywhere = Counter(name for needed in left.values() for name in needed)
        best = min(waiting, key=lambda name: (-alone[name], -anywhere[name], name))
        waiting.discard(best)
        freed = [name for name, needed in left.items() if needed == {best}]
        for needed in left.values():
            needed.discard(best)
        left = {name: needed for name, needed in left.items() if needed}
        yield best, freed
