"""PyTorch's own inputs for optimizers, run on PyTorch and on dispatchtorch side by side.

The installed oracle carries options for every optimizer
(``torch.testing._internal.common_optimizers``). They are used where they lie: nothing
of them is kept here. ``python -m tests.oracle.optimizers [REGEX]`` prints what differs;
``test_optimizers.py`` runs the same as tests.

For each set of options, and ``foreach``, ``capturable``, ``differentiable``,
``maximize`` and ``fused`` where the optimizer has them, five steps are taken on the same
parameters, real and complex; compared are parameters, state and state dict after each,
and the error's class and wording where PyTorch raises one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import dispatchtorch as dt
from tests.oracle import samples
from tests.oracle.samples import NotSame

__all__ = ["check", "infos", "main", "problems"]

_SHAPES = ((3, 2), (4,), (2, 3, 2))
_STEPS = 5


def infos() -> list[Any]:
    """All of PyTorch's optimizer descriptions, in its order."""
    from torch.testing._internal.common_optimizers import optim_db

    return list(optim_db)


def ours(info: Any) -> Any:
    """dispatchtorch's class of an optimizer description."""
    mine = getattr(dt.optim, info.optim_cls.__name__, None)
    if mine is None:
        raise NotSame(f"torch.optim.{info.optim_cls.__name__} is missing")
    return mine


def _arrays(seed: int, shapes: Any, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = []
    for shape in shapes:
        value = rng.standard_normal(shape)
        if dtype.startswith("complex"):
            value = value + 1j * rng.standard_normal(shape)
        made.append(value.astype(dtype))
    return made


def _options(kwargs: dict[str, Any], which: int) -> dict[str, Any]:
    """Options for PyTorch (0) or dispatchtorch (1)."""
    if which == 0:
        import copy

        return copy.deepcopy(kwargs)
    return {k: samples.translate(v, {}) for k, v in kwargs.items()}


def _setting(module: Any, cls: Any, kwargs: Any, shapes: Any, dtype: str) -> Any:
    parameters = [
        module.nn.Parameter(module.from_numpy(a.copy()))
        for a in _arrays(0, shapes, dtype)
    ]
    return parameters, samples._run(cls, module, (parameters,), kwargs)


def check(info: Any, kwargs: dict[str, Any], dtype: str, sparse: bool) -> None:
    """Five steps with the same options; raises :class:`NotSame`."""
    import torch

    shapes = ((4, 2),) if info.name == "Muon" else _SHAPES
    made = []
    for which, (module, cls) in enumerate(((torch, info.optim_cls), (dt, ours(info)))):
        given = _options(kwargs, which)
        if which == 0 and given.get("capturable"):
            # PyTorch has it on some devices alone; here it works on all of them.
            given["capturable"] = False
        made.append(_setting(module, cls, given, shapes, dtype))
    (theirs_p, (theirs, wrong)), (mine_p, (mine, our_wrong)) = made
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "constructor: ")
        return
    if repr(mine) != repr(theirs) and not kwargs.get("capturable"):
        raise NotSame(f"repr {mine!r}, PyTorch's {theirs!r}")
    # Numbers that are kept in float32 show in the last digits of float64, and Muon's
    # steps, which are bfloat16, in the last half.
    loose = 100.0 if dtype == "float64" else 10.0
    if kwargs.get("capturable"):
        loose = 1e4
    if info.name == "Muon":
        loose = 1e6
    for step in range(_STEPS):
        outcomes = []
        for module, parameters, optimizer in (
            (torch, theirs_p, theirs),
            (dt, mine_p, mine),
        ):
            outcomes.append(_step(module, parameters, optimizer, step, dtype, sparse))
        (_, wrong), (_, our_wrong) = outcomes
        if wrong is not None or our_wrong is not None:
            samples._compare_errors(our_wrong, wrong, f"step {step + 1}: ")
            return
        for i, (x, y) in enumerate(zip(mine_p, theirs_p, strict=True)):
            samples._same(
                x.detach(), y.detach(), f"step {step + 1}: parameter {i}", False, loose
            )
        _compare_states(
            mine.state_dict(), theirs.state_dict(), f"step {step + 1}: ", loose
        )


def _step(
    module: Any, parameters: Any, optimizer: Any, seed: int, dtype: str, sparse: bool
) -> Any:
    shapes = [tuple(p.shape) for p in parameters]
    targets = [module.from_numpy(a) for a in _arrays(seed + 1, shapes, dtype)]

    def closure() -> Any:
        optimizer.zero_grad()
        loss = 0
        for p, target in zip(parameters, targets, strict=True):
            difference = p - target
            loss = loss + (difference * difference.conj()).abs().sum()
        loss.backward()
        if sparse:
            for p in parameters:
                p.grad = p.grad.to_sparse(1)
        return loss

    def run() -> Any:
        return optimizer.step(closure)

    return samples._run(run, module, (), {})


def _compare_states(found: Any, wanted: Any, where: str, loose: float) -> None:
    if list(found) != list(wanted):
        raise NotSame(f"{where}state dict keys {list(found)}, PyTorch's {list(wanted)}")
    for mine, its in zip(found["param_groups"], wanted["param_groups"], strict=True):
        if list(mine) != list(its):
            raise NotSame(f"{where}options {list(mine)}, PyTorch's {list(its)}")
        for name, value in its.items():
            if name == "capturable":
                continue
            a = list(samples._flat(mine[name]))
            b = list(samples._flat(value))
            for x, y in zip(a, b, strict=True):
                samples._same(x, y, f"{where}option {name}", False, 1.0)
    if list(found["state"]) != list(wanted["state"]):
        raise NotSame(f"{where}state of {list(found['state'])}")
    for key, its in wanted["state"].items():
        mine = found["state"][key]
        if list(mine) != list(its):
            raise NotSame(f"{where}state names {list(mine)}, PyTorch's {list(its)}")
        for name, value in its.items():
            a, b = list(samples._flat(mine[name])), list(samples._flat(value))
            for x, y in zip(a, b, strict=True):
                if hasattr(y, "detach"):
                    x, y = x.detach(), y.detach()
                samples._same(x, y, f"{where}state {name} of {key}", False, loose)


def check_error(info: Any, each: Any) -> None:
    """One of PyTorch's inputs that the constructor must refuse."""
    import torch

    inputs = each.optimizer_error_input
    params = inputs.params
    given = dict(inputs.kwargs)
    mine = _parameters(params, {})
    _, wrong = samples._run(info.optim_cls, torch, (params,), _options(given, 0))
    _, our_wrong = samples._run(ours(info), dt, (mine,), _options(given, 1))
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "bad input: ")


def _parameters(value: Any, known: dict[int, Any]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        if id(value) not in known:
            made = samples.translate(value.detach(), {})
            known[id(value)] = (
                dt.nn.Parameter(made) if isinstance(value, torch.nn.Parameter) else made
            )
        return known[id(value)]
    if isinstance(value, dict):
        return {k: _parameters(v, known) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_parameters(v, known) for v in value])
    return value


_FLAGS = ("foreach", "capturable", "differentiable", "maximize", "fused")


def variants(info: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """PyTorch's options, and each with one flag more where there is such a flag."""
    import inspect

    known = inspect.signature(info.optim_cls.__init__).parameters
    for inputs in info.optim_inputs_func(device="cpu"):
        yield inputs.desc, inputs.kwargs
        for flag in _FLAGS:
            if flag in known and flag not in inputs.kwargs:
                yield f"{inputs.desc}, {flag}", {**inputs.kwargs, flag: True}


def problems(info: Any) -> Iterator[str]:
    """What differs for one optimizer: a line for each kind of difference."""
    import torch

    seen: set[str] = set()

    def report(where: str, error: Exception) -> Iterator[str]:
        if not isinstance(error, NotSame):
            error = NotSame(f"runner: {type(error).__name__}: {error}")
        kind = re.sub(r"[\d.e+-]+", "#", str(error))[:90]
        if kind not in seen:
            seen.add(kind)
            yield f"{info.name} [{where}] {error}"

    sparse_only = info.only_supports_sparse_grads
    possible = not sparse_only or hasattr(dt.Tensor, "to_sparse")
    for where, kwargs in variants(info) if possible else ():
        for dtype in ("float64", "float32", "complex64"):
            if dtype == "complex64" and not info.supports_complex:
                continue
            # Errors whose words list PyTorch's devices, or which leaf was written to.
            if dtype == "complex64" and where.endswith(("fused", "differentiable")):
                continue
            # LBFGS's curvatures are quotients of what rounding leaves in float32.
            if dtype == "float32" and ("," in where or info.name == "LBFGS"):
                continue
            if dtype == "complex64" and info.name == "LBFGS":
                continue
            try:
                check(info, kwargs, dtype, sparse_only)
            except Exception as error:
                yield from report(f"{where or 'default'}, {dtype}", error)
    for i, each in enumerate(info.optim_error_inputs_func("cpu", torch.float64)):
        try:
            check_error(info, each)
        except NotSame as error:
            if "sparse sample" not in str(error):
                yield from report(f"errors #{i}", error)
        except Exception as error:
            yield from report(f"errors #{i}", error)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.optimizers")
    parser.add_argument("pattern", nargs="?", default="")
    options = parser.parse_args(argv)
    good = bad = 0
    for info in infos():
        if not re.search(options.pattern, info.name):
            continue
        lines = list(problems(info))
        for line in lines:
            print(line, flush=True)
        good, bad = good + (not lines), bad + bool(lines)
    print(f"{good} optimizers agree, {bad} differ")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
