"""PyTorch's own inputs for modules, run on PyTorch and on dispatchtorch side by side.

The installed oracle carries constructor and forward inputs for every module
(``torch.testing._internal.common_modules``). They are used where they lie: nothing of
them is kept here. ``python -m tests.oracle.modules [REGEX] [--dtypes a,b] [--layouts a,b]
[--strides]`` prints what differs; ``test_modules.py`` runs the same as tests.

Compared are ``repr``, the state dict's keys, shapes and dtypes, and then with the same
parameters, in training and in evaluation: the result, the gradients of inputs and
parameters, and the buffers after it; for bad inputs, the error's class and wording.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import dispatchtorch as dt
from tests.oracle import samples
from tests.oracle.samples import NotSame

__all__ = ["LAYOUTS", "check", "infos", "main", "problems"]

# How the tensors of the inputs lie in memory.
LAYOUTS = ("contiguous", "noncontiguous", "channels_last")


def infos() -> list[Any]:
    """All of PyTorch's module descriptions, in its order."""
    from torch.testing._internal.common_modules import module_db

    return list(module_db)


def ours(info: Any) -> Any:
    """dispatchtorch's class of a module description."""
    cls = info.module_cls
    path = f"{cls.__module__}.{cls.__qualname__}".removeprefix("torch.")
    mine = samples._walk(dt, path) or samples._walk(dt, f"nn.{cls.__name__}")
    if mine is None:
        raise NotSame(f"torch.{path} is missing")
    return mine


def _translate(value: Any) -> Any:
    """As for operators; modules among the arguments are made anew."""
    import torch

    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return dt.nn.TransformerEncoderLayer(
            value.self_attn.embed_dim, value.self_attn.num_heads,
            value.linear1.out_features, value.dropout.p,
            samples._resolve(value.activation), value.norm1.eps,
            value.self_attn.batch_first, value.norm_first,
            value.linear1.bias is not None,
        )  # fmt: skip
    if isinstance(value, torch.nn.Module):
        mine = getattr(dt.nn, type(value).__name__)
        kept = {
            name: v
            for name in getattr(type(value), "__constants__", ())
            if (v := getattr(value, name, None)) is None or not callable(v)
        }
        made = mine.__new__(mine)
        dt.nn.Module.__init__(made)
        for name, v in kept.items():
            object.__setattr__(made, name, v)
        return made
    if isinstance(value, type) and value.__module__.startswith("torch"):
        return samples._walk(dt, f"nn.{value.__name__}") or value
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(_translate, value))
    if isinstance(value, dict):
        return {k: _translate(v) for k, v in value.items()}
    if callable(value):
        return samples._resolve(value)
    return samples.translate(value, {})


def _copy(mine: Any, theirs: Any) -> None:
    """Gives one module the parameters and buffers of the other."""
    state = {k: samples.translate(v.detach(), {}) for k, v in theirs.items()}
    mine.load_state_dict(state)


def _described(state: Any) -> list[tuple[str, tuple[int, ...], str]]:
    return [
        (k, tuple(getattr(v, "shape", ())), str(getattr(v, "dtype", None)))
        for k, v in state.items()
    ]


def _laid_out(value: Any, layout: str) -> Any:
    """The same inputs of PyTorch with their tensors laid out as ``layout`` says."""
    import torch

    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_laid_out(v, layout) for v in value)
    if isinstance(value, dict):
        return {k: _laid_out(v, layout) for k, v in value.items()}
    if not isinstance(value, torch.Tensor) or value.layout is not torch.strided:
        return value
    made = value.detach()
    if layout == "noncontiguous" and value.dim():
        made = torch.stack([made, made], -1).select(-1, 1).detach()
    elif layout == "channels_last" and value.dim() in (4, 5):
        form = torch.channels_last if value.dim() == 4 else torch.channels_last_3d
        made = made.contiguous(memory_format=form)
    else:
        return value
    return made.requires_grad_(value.requires_grad)


def check(
    info: Any,
    inputs: Any,
    training: bool,
    dtype: Any,
    layout: str = "contiguous",
    strides: bool = False,
) -> None:
    """Raises :class:`NotSame` with what differs first."""
    import torch

    cls, mine_cls = info.module_cls, ours(info)
    args, kwargs = inputs.constructor_input.args, inputs.constructor_input.kwargs
    given = {"dtype": dtype} if _takes_dtype(cls) and "dtype" not in kwargs else {}
    theirs, wrong = samples._run(cls, torch, args, {**kwargs, **given})
    mine, our_wrong = samples._run(
        mine_cls, dt, _translate(args), {**_translate(kwargs), **_translate(given)}
    )
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "constructor: ")
        return
    if not given:
        theirs, mine = theirs.to(dtype), mine.to(_translate(dtype))
    if repr(mine) != repr(theirs):
        raise NotSame(f"repr {mine!r}, PyTorch's {theirs!r}")
    theirs.train(training)
    mine.train(training)
    lazy = info.is_lazy
    if not lazy:
        if _described(mine.state_dict()) != _described(theirs.state_dict()):
            raise NotSame(
                f"state dict {_described(mine.state_dict())}, PyTorch's "
                f"{_described(theirs.state_dict())}"
            )
        _copy(mine, theirs.state_dict())
    forward = inputs.forward_input
    if forward is None:
        return
    their_args, their_kwargs = forward.args, forward.kwargs
    if layout != "contiguous":
        their_args = _laid_out(their_args, layout)
        their_kwargs = _laid_out(their_kwargs, layout)
    tensors: dict[int, Any] = {}
    in_args = _translate_inputs(their_args, tensors)
    in_kwargs = _translate_inputs(their_kwargs, tensors)
    if lazy:  # the first call makes the parameters
        samples._run(theirs, torch, their_args, their_kwargs)
        samples._run(mine, dt, in_args, in_kwargs)
        _copy(mine, theirs.state_dict())
    wanted, wrong = samples._run(theirs, torch, their_args, their_kwargs)
    found, our_wrong = samples._run(mine, dt, in_args, in_kwargs)
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "forward: ")
        return
    a, b = list(samples._flat(found)), list(samples._flat(wanted))
    if len(a) != len(b):
        raise NotSame(f"{len(a)} results, PyTorch gives {len(b)}")
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        samples._same(x, y, f"result {i}", strides, 2.0)
    for (name, x), y in zip(
        mine.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        samples._same(x, y, f"{name} after the call", False, 2.0)
    _check_gradients(
        found,
        wanted,
        [in_args, list(in_kwargs.values()), list(mine.parameters())],
        [their_args, list(their_kwargs.values()), list(theirs.parameters())],
    )


def _takes_dtype(cls: Any) -> bool:
    import inspect

    return "dtype" in inspect.signature(cls.__init__).parameters


def _translate_inputs(value: Any, tensors: dict[int, Any]) -> Any:
    return samples.translate(value, tensors)


def _check_gradients(found: Any, wanted: Any, mine: Any, its: Any) -> None:
    outputs = samples._leaves(wanted), samples._leaves(found)
    same_gradients(outputs, (samples._leaves(its), samples._leaves(mine)))


def same_gradients(outputs: tuple[Any, Any], leaves: tuple[Any, Any]) -> None:
    """Compares the gradients of leaves; PyTorch's come first in both pairs."""
    import torch

    if not outputs[0] or not leaves[0]:
        return
    weights = samples._weights(outputs[0], 1)
    g1, wrong = samples._grads(torch, outputs[0], leaves[0], weights, False)
    g2, our_wrong = samples._grads(dt, outputs[1], leaves[1], weights, False)
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "backward: ")
        return
    for i, (x, y) in enumerate(zip(g2, g1, strict=True)):
        if (x is None) != (y is None):
            raise NotSame(f"gradient {i}: {x}, PyTorch gives {y}")
        if y is not None:
            samples._same(x, y, f"gradient {i}", False, 10.0)


def check_error(info: Any, each: Any) -> None:
    """One of PyTorch's inputs that must raise, on construction or on the call."""
    import torch

    inputs = each.module_error_input
    args, kwargs = inputs.constructor_input.args, inputs.constructor_input.kwargs
    theirs, wrong = samples._run(info.module_cls, torch, args, kwargs)
    mine, our_wrong = samples._run(ours(info), dt, _translate(args), _translate(kwargs))
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "bad constructor: ")
        return
    forward = inputs.forward_input
    tensors: dict[int, Any] = {}
    _, wrong = samples._run(theirs, torch, forward.args, forward.kwargs)
    _, our_wrong = samples._run(
        mine,
        dt,
        _translate_inputs(forward.args, tensors),
        _translate_inputs(forward.kwargs, tensors),
    )
    if wrong is not None or our_wrong is not None:
        samples._compare_errors(our_wrong, wrong, "bad input: ")


def problems(
    info: Any,
    names: list[str],
    layouts: tuple[str, ...] = LAYOUTS[:1],
    strides: bool = False,
) -> Iterator[str]:
    """What differs for one module: a line for each kind of difference."""
    import torch

    seen: set[str] = set()

    def report(where: str, error: Exception) -> Iterator[str]:
        if not isinstance(error, NotSame):
            error = NotSame(f"runner: {type(error).__name__}: {error}")
        kind = re.sub(r"[\d.e+-]+", "#", str(error))[:90]
        if kind not in seen:
            seen.add(kind)
            yield f"{info.name} [{where}] {error}"

    for name in names:
        dtype = getattr(torch, name)
        half = dtype in (torch.float16, torch.bfloat16)
        if dtype not in info.dtypes and not (half and torch.float32 in info.dtypes):
            continue
        for training, layout in itertools.product((True, False), layouts):
            torch.manual_seed(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = info.module_inputs_func(
                    info, device="cpu", dtype=dtype, requires_grad=True,
                    training=training,
                )  # fmt: skip
            for i, inputs in enumerate(made):
                try:
                    check(info, inputs, training, dtype, layout, strides)
                except Exception as error:
                    mode = "train" if training else "eval"
                    yield from report(f"{name} {layout} {mode} #{i}", error)
    if info.module_error_inputs_func is not None:
        errors = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=True, training=True
        )
        for i, each in enumerate(errors):
            try:
                check_error(info, each)
            except Exception as error:
                yield from report(f"errors #{i}", error)


DTYPES = ("float64", "float32", "complex64")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.modules")
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--layouts", default=LAYOUTS[0])
    parser.add_argument("--strides", action="store_true")
    options = parser.parse_args(argv)
    good = bad = 0
    for info in infos():
        if not re.search(options.pattern, info.name):
            continue
        layouts = tuple(options.layouts.split(","))
        lines = list(
            problems(info, options.dtypes.split(","), layouts, options.strides)
        )
        for line in lines:
            print(line, flush=True)
        good, bad = good + (not lines), bad + bool(lines)
    print(f"{good} modules agree, {bad} differ")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
