"""Random configurations of modules, made and called here and under PyTorch.

``python -m tests.oracle.configurations [REGEX] [--count N] [--seed S]`` draws N
configurations of every module whose name matches and prints what differs: constructor
arguments in all their forms, batched and unbatched inputs of odd sizes and layouts, and
now and then an argument that is wrong, so that errors are compared too.

A configuration is a text, ``nn.Conv2d(3, 4, (2, 3), padding="same")``, and inputs. A
family of modules is a function in ``layers`` or ``losses_and_sequences`` that draws one
of each.
"""

from __future__ import annotations

import argparse
import copy
import pickle
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import dispatchtorch as dt
from tests.oracle import layers, losses_and_sequences, modules, samples
from tests.oracle.drawing import FAMILIES, Drawer, Packed
from tests.oracle.samples import NotSame

__all__ = ["Case", "FAMILIES", "check", "draw", "main", "problem"]

ROOMS = (layers, losses_and_sequences)  # whose import registers the families

# (module, what differs, why that stays): where PyTorch fails, or is wrong.
QUIRKS = [
    ("MaxPool3d", "Unsupported memory format", "of unbatched inputs it takes few"),
    ("NLLLoss|CrossEntropy", "grad_input must be contiguous", "it fails"),
    ("MaxUnpool", "view size is not compatible", "its backward fails"),
    ("LPPool1d", "must be Tensor, not (tuple|list)", "a kernel size in a tuple fails"),
    ("LPPool", "too many values to unpack", "another class of error"),
    ("Adaptive", "'NoneType' has no len", "None alone fails"),
    ("CrossMapLRN2d", "gradient|start \\(1\\) . length", "its gradient fails gradcheck"),
    ("SoftMarginLoss", "is not differentiable with respect", "ours is by the target"),
    ("ReflectionPad3d", "gradient 0", "of an empty result it isn't initialised"),
    ("MultiMarginLoss", r"result 0: np.float..\(0.0\)", "an empty batch isn't either"),
    ("Linear", r"result 0: np.float..\(", "nor results of no features"),
    ("ConvTranspose", "Output size is too small|output padding must be|memory descr",
     "float32 goes past the checks of sizes"),
    ("Conv", "non-positive dilation|dilation should be", "the library's wording"),
    ("Conv", "padding_mode must be one of", "the order of a set"),
    ("Embedding", "too many indices for tensor of dimension 0", "it fails"),
    ("EmbeddingBag.*scale_grad_by_freq=True", "gradient 0",
     "it divides by how often the index before occurs"),
    ("Upsample", "adaptive_avg_pool3d_backward", "it fails"),
    ("Upsample.*scale_factor", "gradient 0", "the gradient isn't that of the result"),
    ("GroupNorm", r"result 0: np.float..\(0.0\), PyTorch gives np.float..\(-?\d.*e-",
     "groups of one element"),
    ("Bilinear", "cannot reshape tensor of 0 elements", "another shape in the words"),
    ("MultiLabelSoftMarginLoss", "Dimension specified as -1", "of two errors the other"),
]  # fmt: skip


class Case(NamedTuple):
    """A module as an expression over ``nn`` and ``torch``; what it is called with,
    arrays standing for tensors; whether it trains; its dtype."""

    made: str
    inputs: list[Any]
    kwargs: dict[str, Any]
    training: bool
    dtype: str


def draw(name: str, seed: int) -> Case:
    r = Drawer(f"{name} {seed}")
    made, inputs, *rest = FAMILIES[name](r)
    kwargs = rest[0] if rest else {}
    dtype = r.one("float64", "float64", "float32")
    return Case(made, inputs, kwargs, r.random() < 0.6, dtype)


def _tensors(value: Any, module: Any, case: Case, r: Drawer, leaves: list[Any]) -> Any:
    """The inputs as tensors of a framework; the same draws give the same layouts."""
    if isinstance(value, Packed):
        t = _tensors(value.array, module, case, r, leaves)
        return module.nn.utils.rnn.pack_padded_sequence(
            t, value.lengths, value.batch_first, enforce_sorted=False
        )
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return tuple(_tensors(v, module, case, r, leaves) for v in value)
    if not isinstance(value, np.ndarray):
        return value
    kind = r.random()
    t = module.tensor(value)
    if value.dtype == np.float64:
        t = t.to(getattr(module, case.dtype))
    if kind < 0.15 and t.dim():
        t = module.stack([t, t], -1).select(-1, 1).detach()
    elif kind < 0.3 and t.dim() == 4:
        t = t.contiguous(memory_format=module.channels_last)
    elif kind < 0.4 and t.dim() > 1:
        t = t.transpose(0, 1).contiguous().transpose(0, 1)
    if t.is_floating_point() and r.random() < 0.8:
        t = t.requires_grad_()
        leaves.append(t)
        if "inplace=True" in case.made:
            t = t.clone()
    return t


def _flat(value: Any) -> Iterator[Any]:
    """Results, packed sequences among them, as tensors."""
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from _flat(v)
    elif value is not None:
        yield value


class _Run:
    """One framework's part: the module, and what it gives for a case."""

    def __init__(self, case: Case, module: Any) -> None:
        scope = {"nn": module.nn, "torch": module, "DTYPE": getattr(module, case.dtype)}
        self.module = module
        self.case = case
        self.leaves: list[Any] = []
        self.net, self.error = samples._run(
            lambda: eval(case.made, scope).to(getattr(module, case.dtype)),
            module,
            (),
            {},
        )
        self.out: Any = None
        if self.error is None:
            self.net.train(case.training)

    def call(self, where: Callable[[Any], Any]) -> None:
        r = Drawer(self.case.made)
        net, case = where(self.net), self.case
        self.leaves.clear()

        def run() -> Any:
            args = [_tensors(v, self.module, case, r, self.leaves) for v in case.inputs]
            kwargs = {k: _tensors(v, self.module, case, r, self.leaves)
                      for k, v in case.kwargs.items()}  # fmt: skip
            self.module.manual_seed(1)
            return net(*args, **kwargs)

        self.out, self.error = samples._run(run, self.module, (), {})


def check(
    case: Case, where: Callable[[Any], Any] = lambda net: net, strides: bool = False
) -> None:
    """Raises :class:`NotSame` with what differs first."""
    import torch

    theirs, mine = _Run(case, torch), _Run(case, dt)
    if theirs.error is not None or mine.error is not None:
        samples._compare_errors(mine.error, theirs.error, "constructor: ")
        return
    if repr(mine.net) != repr(theirs.net):
        raise NotSame(f"repr {mine.net!r}, PyTorch's {theirs.net!r}")
    _same_state(mine, theirs, "made ")
    if not case.made.startswith("nn.Lazy"):
        mine.net.load_state_dict(
            {k: samples.translate(v, {}) for k, v in theirs.net.state_dict().items()}
        )
    for each in (theirs, mine):
        each.call(where)
    if theirs.error is not None or mine.error is not None:
        samples._compare_errors(mine.error, theirs.error, "forward: ")
        return
    a, b = list(_flat(mine.out)), list(_flat(theirs.out))
    if len(a) != len(b):
        raise NotSame(f"{len(a)} results, PyTorch gives {len(b)}")
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        samples._same(x, y, f"result {i}", False, 2.0)
        if strides and tuple(x.stride()) != tuple(y.stride()) and y.numel() > 1:
            raise NotSame(
                f"result {i}: strides {x.stride()}, PyTorch gives {y.stride()} for "
                f"shape {tuple(y.shape)}"
            )
    _same_state(mine, theirs, "after the call: ")
    outputs = samples._leaves(b), samples._leaves(a)
    leaves = (
        [*theirs.leaves, *(p for p in theirs.net.parameters() if p.requires_grad)],
        [*mine.leaves, *(p for p in mine.net.parameters() if p.requires_grad)],
    )
    modules.same_gradients(outputs, leaves)


def _same_state(mine: _Run, theirs: _Run, what: str) -> None:
    a, b = mine.net.state_dict(), theirs.net.state_dict()
    if list(a) != list(b):
        raise NotSame(f"{what}state dict {list(a)}, PyTorch's {list(b)}")
    for name in b:
        if "Uninitialized" in type(b[name]).__name__:
            continue
        loose = 2.0 if b[name].dtype.itemsize < 8 else 1e3  # made as float32
        samples._same(a[name], b[name], f"{what}{name}", False, loose)


def problem(
    name: str,
    seed: int,
    where: Callable[[Any], Any] = lambda net: net,
    strides: bool = False,
) -> str:
    """What differs in one configuration; empty where it agrees or it's a quirk."""
    case = draw(name, seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(case, where, strides)
    except Exception as error:
        text = str(error)
        if not isinstance(error, NotSame):
            text = f"runner: {type(error).__name__}: {error}"
        for module, known, _ in QUIRKS:
            if re.search(module, case.made) and re.search(known, text):
                return ""
        shapes = [getattr(v, "shape", v) for v in case.inputs]
        mode = "train" if case.training else "eval"
        return f"{case.made} #{seed} {mode} {case.dtype} {shapes}\n    {text}"
    return ""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.configurations")
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--copies", choices=["no", "pickle", "deepcopy"], default="no")
    parser.add_argument("--strides", action="store_true")
    options = parser.parse_args(argv)
    where: Any = {
        "no": lambda net: net,
        "pickle": lambda net: pickle.loads(pickle.dumps(net)),
        "deepcopy": copy.deepcopy,
    }[options.copies]
    good = bad = modules = 0
    for name in FAMILIES:
        if not re.search(options.pattern, name):
            continue
        seen: set[str] = set()
        for i in range(options.seed, options.seed + options.count):
            found = problem(name, i, where, options.strides)
            good, bad = good + (not found), bad + bool(found)
            kind = re.sub(r"[\d.e+-]+", "#", found.partition("\n")[2])[:60]
            if found and kind not in seen:
                print(found, flush=True)
                seen.add(kind)
        modules += not seen
    print(f"{good} configurations agree, {bad} differ; {modules} modules without one")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
