"""Wrong calls of every operator, on PyTorch and on dispatchtorch side by side.

PyTorch's own sample calls (see ``samples.py``) are spoiled one argument at a time: an
argument of another type, dtype, shape or device, too many or too few of them, a dim out
of range, an unknown keyword, an ``out`` that doesn't fit, a leaf written in place.
``python -m tests.oracle.badcalls [REGEX]`` prints where the class or the wording of the
errors differs, grouped by operator; ``--summary`` prints the counts alone. The calls are
the same in each run.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures.process
import multiprocessing
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import dispatchtorch as dt
from dispatchtorch.dispatch.operator import packets
from tests.oracle.samples import _text, full_name, infos, ours, translate

__all__ = ["BadCall", "Outcome", "bad_calls", "compare", "main"]

Spoil = Callable[[Any, Any], Any]
"""(module, valid argument) -> the argument to give instead."""


class BadCall(NamedTuple):
    """One wrong call: what is called, on what, and how it was spoiled."""

    name: str
    label: str
    theirs: Callable[[], Any]
    ours: Callable[[], Any]
    operands: list[Any]


class Outcome(NamedTuple):
    """What differs: "class", "text", "written" or "" for nothing."""

    kind: str
    theirs: str
    ours: str


# ------------------------------------------------------------- spoilt arguments


def _cut(m: Any, t: Any) -> Any:
    return t[..., :-1] if t.ndim else t.reshape(1).expand(3)


def _grown(m: Any, t: Any) -> Any:
    return m.cat([t, t, t[:1]]) if t.ndim else t.reshape(1).expand(2)


def _expanded(m: Any, t: Any) -> Any:
    return t.reshape(-1)[:1].expand(tuple(t.shape)) if t.numel() else t


_TENSOR: dict[str, Spoil] = {
    "None": lambda m, t: None,
    "str": lambda m, t: "a",
    "number": lambda m, t: 1.5,
    "list": lambda m, t: [t],
    "object": lambda m, t: {},
    "array": lambda m, t: np.ones(2),
    "int64": lambda m, t: t.detach().to(m.int64),
    "bool": lambda m, t: t.detach().to(m.bool),
    "complex64": lambda m, t: t.detach().to(m.complex64),
    "float16": lambda m, t: t.detach().to(m.float16),
    "float64": lambda m, t: t.detach().to(m.float64),
    "uint8": lambda m, t: t.detach().to(m.uint8),
    "cut": _cut,
    "grown": _grown,
    "0-d": lambda m, t: t.detach().reshape(-1)[0] if t.numel() else t[..., None],
    "one dim less": lambda m, t: t[0] if t.ndim and t.shape[0] else t[None],
    "one dim more": lambda m, t: t[None],
    "two dims more": lambda m, t: t[None, None],
    "empty": lambda m, t: t.detach().reshape(-1)[:0],
    "no rows": lambda m, t: t[:0] if t.ndim else t[None][:0],
    "meta": lambda m, t: t.detach().to("meta"),
}
_INT: dict[str, Spoil] = {
    "str": lambda m, v: "a",
    "float": lambda m, v: 1.5,
    "None": lambda m, v: None,
    "100": lambda m, v: 100,
    "-100": lambda m, v: -100,
    "list": lambda m, v: [v],
    "list of str": lambda m, v: ["a"],
    "bool": lambda m, v: True,
    "tensor": lambda m, v: m.ones(2),
    "-1": lambda m, v: -1,
    "0": lambda m, v: 0,
}
_FLOAT: dict[str, Spoil] = {
    "str": lambda m, v: "a",
    "None": lambda m, v: None,
    "list": lambda m, v: [1.0],
    "complex": lambda m, v: 1j,
    "tensor": lambda m, v: m.ones(2),
    "-1": lambda m, v: -1.0,
}
_BOOL: dict[str, Spoil] = {
    "str": lambda m, v: "a",
    "None": lambda m, v: None,
    "int": lambda m, v: 2,
    "list": lambda m, v: [v],
}
_STR: dict[str, Spoil] = {
    "other": lambda m, v: "nonsense",
    "int": lambda m, v: 1,
    "None": lambda m, v: None,
    "list": lambda m, v: [v],
}
_DTYPE: dict[str, Spoil] = {
    "str": lambda m, v: "float32",
    "int": lambda m, v: 1,
    "int64": lambda m, v: m.int64,
    "bool": lambda m, v: m.bool,
    "complex64": lambda m, v: m.complex64,
}
_LIST: dict[str, Spoil] = {
    "str": lambda m, v: "a",
    "None": lambda m, v: None,
    "empty": lambda m, v: type(v)(),
    "longer": lambda m, v: type(v)([*v, *v[-1:]]),
    "shorter": lambda m, v: type(v)(v[:-1]),
    "str inside": lambda m, v: type(v)([*v[:-1], "a"]),
    "None inside": lambda m, v: type(v)([*v[:-1], None]),
    "float": lambda m, v: 1.5,
    "tensor": lambda m, v: m.ones(2),
}
_INTS: dict[str, Spoil] = {
    **_LIST,
    "out of range": lambda m, v: type(v)([*v[:-1], 100]),
    "negative": lambda m, v: type(v)([*v[:-1], -100]),
    "float inside": lambda m, v: type(v)([*v[:-1], 1.5]),
}
_TENSORS: dict[str, Spoil] = {
    **_LIST,
    "another shape": lambda m, v: type(v)([*v[:-1], _cut(m, v[-1])]),
    "another rank": lambda m, v: type(v)([*v[:-1], v[-1][None]]),
    "another dtype": lambda m, v: type(v)([*v[:-1], v[-1].detach().to(m.bool)]),
    "another device": lambda m, v: type(v)([*v[:-1], v[-1].detach().to("meta")]),
}


def _spoils(value: Any) -> dict[str, Spoil]:
    """The ways to spoil an argument, by its type."""
    import torch

    if isinstance(value, torch.Tensor):
        return _TENSOR
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, int):
        return _INT
    if isinstance(value, float):
        return _FLOAT
    if isinstance(value, str):
        return _STR
    if isinstance(value, torch.dtype):
        return _DTYPE
    if isinstance(value, (list, tuple)) and value:
        if all(isinstance(v, torch.Tensor) for v in value):
            return _TENSORS
        if all(isinstance(v, int) for v in value):
            return _INTS
        return _LIST
    return {}


# ---------------------------------------------------------------- spoilt calls

Arguments = tuple[list[Any], dict[str, Any]]


def _variants(args: Arguments, form: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """(label, (module, arguments) -> arguments) of every way to spoil a call."""
    positional, keywords = args

    def at(key: Any, spoil: Spoil) -> Callable[..., Any]:
        def apply(m: Any, given: Arguments) -> Arguments:
            values, named = list(given[0]), dict(given[1])
            target: Any = values if isinstance(key, int) else named
            target[key] = spoil(m, target[key])
            return values, named

        return apply

    start = 1 if form != "function" else 0
    for i, value in enumerate(positional):
        for label, spoil in _spoils(value).items():
            if i >= start or label not in _NO_TENSOR:
                yield f"{i}={label}", at(i, spoil)
    for name, value in keywords.items():
        for label, spoil in _spoils(value).items():
            yield f"{name}={label}", at(name, spoil)
    for count in range(start, len(positional)):
        yield f"{count} arguments", lambda m, g, c=count: (g[0][:c], g[1])
    yield "one more", lambda m, g: ([*g[0], 1], g[1])
    yield "one more str", lambda m, g: ([*g[0], "z"], g[1])
    yield "nine more", lambda m, g: ([*g[0], *[1] * 9], g[1])
    yield "unknown keyword", lambda m, g: (g[0], {**g[1], "nonsense": 1})
    if form == "function":
        yield "input twice", lambda m, g: (g[0], {**g[1], "input": g[0][0]})
        yield "by position only", lambda m, g: ([*g[0], *g[1].values()], {})


_NO_TENSOR = frozenset("None str number list object array".split())
_OUTS: dict[str, Callable[[Any, Any], Any]] = {
    "str": lambda m, like: "a",
    "int64": lambda m, like: m.zeros(tuple(like.shape), dtype=m.int64),
    "bool": lambda m, like: m.zeros(tuple(like.shape), dtype=m.bool),
    "float16": lambda m, like: m.zeros(tuple(like.shape), dtype=m.float16),
    "complex64": lambda m, like: m.zeros(tuple(like.shape), dtype=m.complex64),
    "meta": lambda m, like: m.zeros(tuple(like.shape), dtype=like.dtype, device="meta"),
    "grad": lambda m, like: m.zeros(tuple(like.shape), requires_grad=True),
    "tuple": lambda m, like: (like, like),
    "expanded": lambda m, like: m.zeros((), dtype=like.dtype).expand(tuple(like.shape)),
}
_LEAVES: dict[str, Spoil] = {
    "leaf": lambda m, t: t.detach().clone().requires_grad_(),
    "view of a leaf": lambda m, t: t.detach().clone()[None].requires_grad_()[0],
    "expanded": _expanded,
}


def bad_calls(info: Any, samples: int = 2) -> Iterator[BadCall]:
    """The wrong calls of one operator: its function, method and in-place forms."""
    import torch

    dtype = next(
        (
            d
            for d in (torch.float32, torch.complex64, torch.int64, torch.bool)
            if d in info.dtypes
        ),
        None,
    )
    if dtype is None:
        return
    forms = [("function", info.op, None)]
    for form, variant in (
        ("method", info.method_variant),
        ("in-place", info.inplace_variant),
    ):
        if variant is not None and variant is not info.op:
            forms.append((form, variant, variant))
    torch.manual_seed(0)
    try:
        found = list(info.sample_inputs("cpu", dtype, requires_grad=False))
    except Exception:
        return
    chosen = {0: None, len(found) // 2: None, len(found) - 1: None}
    for form, theirs, variant in forms:
        mine = ours(info, variant)
        for index in list(chosen)[:samples]:
            if not found:
                break
            sample = found[index]
            given = ([sample.input, *sample.args], dict(sample.kwargs))
            ways = list(_variants(given, form))
            if form == "in-place" and isinstance(sample.input, torch.Tensor):
                ways += [(f"self {k}", _first(s)) for k, s in _LEAVES.items()]
            if form == "function" and info.supports_out:
                ways += [(f"out={k}", _with_out(s)) for k, s in _OUTS.items()]
            for label, spoil in ways:
                made = _call(info, theirs, mine, given, spoil)
                if made is not None:
                    name = f"{full_name(info)} {form} #{index}"
                    yield BadCall(name, label, *made)


def _first(spoil: Spoil) -> Callable[..., Any]:
    return lambda m, g: ([spoil(m, g[0][0]), *g[0][1:]], g[1])


def _with_out(make: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(m: Any, given: Arguments) -> Arguments:
        first = given[0][0]
        tensor = first[0] if isinstance(first, (list, tuple)) else first
        return given[0], {**given[1], "out": make(m, tensor)}

    return apply


def _call(info: Any, theirs: Any, mine: Any, given: Arguments, spoil: Any) -> Any:
    """The two calls and our operands; None where the call can't be spoiled so."""
    import torch

    try:
        a, k = spoil(torch, _copied(given))
        b, n = spoil(dt, translate(([*given[0]], given[1]), {}))
    except Exception:
        return None
    operands = [t for t in _flat((b, list(n.values()))) if isinstance(t, dt.Tensor)]
    return (lambda: theirs(*a, **k)), (lambda: mine(*b, **n)), operands


def _copied(given: Arguments) -> Arguments:
    import torch

    def copy(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            if value.layout is not torch.strided:
                return value.clone()
            storage = value.untyped_storage().clone()
            made = torch.empty(0, dtype=value.dtype).set_(
                storage, value.storage_offset(), value.shape, value.stride()
            )
            made = made.conj() if value.is_conj() else made
            return made._neg_view() if value.is_neg() else made
        if type(value) in (list, tuple):
            return type(value)(map(copy, value))
        return value

    return [copy(v) for v in given[0]], {k: copy(v) for k, v in given[1].items()}


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _flat(each)
    else:
        yield value


# ------------------------------------------------------------------ comparison


# Where PyTorch forgets to look at devices, it returns memory that nobody wrote.
_UNCHECKED = "is not on the expected device"


def _outcome(call: Callable[[], Any], module: Any) -> Exception | None:
    module.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except Exception as error:
        return error
    return None


def _state(operands: list[Any]) -> list[Any]:
    """What a failed call must leave as it was."""
    found = []
    for t in operands:
        values = None
        if str(t.layout) == "torch.strided" and str(t.device) != "meta":
            flat = t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
            values = flat.numpy(force=True).tobytes()
        found.append((tuple(t.shape), str(t.dtype), t._version, values))
    return found


def compare(call: BadCall, written: bool = False) -> Outcome | None:
    """How the two outcomes differ; None where neither raises.

    ``written``: whether our operands are looked at, which a failed call must not change.
    """
    import torch

    wanted = _outcome(call.theirs, torch)
    before = _state(call.operands) if written else []
    found = _outcome(call.ours, dt)
    if wanted is None and (found is None or _UNCHECKED in str(found)):
        return None
    said = [
        "no error" if e is None else f"{type(e).__name__}: {_text(e)}"
        for e in (wanted, found)
    ]
    if written and found is not None and _state(call.operands) != before:
        return Outcome("written", said[0], said[1])
    if wanted is None or found is None:
        return Outcome("class", *said)
    same = (
        isinstance(found, type(wanted)) or type(found).__name__ == type(wanted).__name__
    )
    if not same:
        return Outcome("class", *said)
    return Outcome(
        "" if said[0].partition(":")[2] == said[1].partition(":")[2] else "text", *said
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.badcalls")
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--only", default="", help="labels of calls that match")
    parser.add_argument("--kind", default="", help="class, text or written")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--summary", action="store_true", help="the counts alone")
    parser.add_argument("--written", action="store_true", help="look at the operands")
    parser.add_argument("--width", type=int, default=300)
    options = parser.parse_args(argv)
    counts: collections.Counter[str] = collections.Counter()
    len(packets)  # imports all operators once, not in each process
    for info in infos():
        if re.search(options.pattern, full_name(info)):
            counts.update(_apart(_run, info, options))
    print(", ".join(f"{n} {k}" for k, n in counts.items()))
    return counts["class"] + counts["text"] + counts["written"] > 0


def _apart(function: Any, info: Any, options: Any) -> collections.Counter[str]:
    """The result of a function run in a process of its own: wrong calls may crash."""
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
        try:
            found: collections.Counter[str]
            found = pool.submit(function, full_name(info), options).result()
            return found
        except concurrent.futures.process.BrokenProcessPool:
            print(f"{full_name(info)} runner: the process died", flush=True)
            return collections.Counter(crashes=1)


def _run(name: str, options: Any) -> collections.Counter[str]:
    """Prints what differs for the operators of a name, and counts it."""
    counts: collections.Counter[str] = collections.Counter()
    for info in infos():
        if full_name(info) != name:
            continue
        try:
            calls = bad_calls(info, options.samples)
            for call in calls:
                if re.search(options.only, call.label):
                    _report(call, compare(call, options.written), options, counts)
        except Exception as error:
            print(f"{name} runner: {type(error).__name__}: {error}", flush=True)
    return counts


def _report(
    call: BadCall,
    outcome: Outcome | None,
    options: Any,
    counts: collections.Counter[str],
) -> None:
    counts["calls"] += 1
    if outcome is None:
        return
    counts["errors"] += 1
    counts[outcome.kind or "same"] += 1
    if not outcome.kind or options.summary:
        return
    if options.kind in ("", outcome.kind):
        print(f"{call.name} [{call.label}] {outcome.kind}")
        print(f"    PyTorch {outcome.theirs[: options.width]}")
        print(f"    here    {outcome.ours[: options.width]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
