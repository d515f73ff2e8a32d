"""PyTorch's own sample inputs, run on PyTorch and on dispatchtorch side by side.

The installed oracle carries generators of inputs for every operator
(``torch.testing._internal``). They are used where they lie: nothing of them is kept
here. ``python -m tests.oracle.samples [REGEX] [--dtypes a,b] [--limit N]`` prints what
differs; ``test_samples.py`` runs the same as tests.
"""

from __future__ import annotations

import argparse
import functools
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import dispatchtorch as dt

__all__ = ["check_errors", "check_sample", "infos", "main", "ours", "translate"]

_TOLERANCE = {
    "float16": (2e-3, 2e-3),
    "bfloat16": (2e-2, 2e-2),
    "float32": (2e-5, 1e-5),
    "float64": (1e-9, 1e-10),
    "complex64": (3e-5, 2e-5),
    "complex128": (1e-9, 1e-10),
}


def infos() -> list[Any]:
    """All of PyTorch's operator descriptions, in its order."""
    from torch.testing._internal.common_methods_invocations import op_db

    return list(op_db)


def full_name(info: Any) -> str:
    variant = info.variant_test_name
    return f"{info.name}.{variant}" if variant else str(info.name)


# ---------------------------------------------------------------- translation


def translate(value: Any, tensors: dict[int, Any]) -> Any:
    """The same value in dispatchtorch's types; tensors keep strides and sharing."""
    import torch

    if isinstance(value, torch.Tensor):
        if id(value) not in tensors:
            tensors[id(value)] = _tensor(value, tensors)
        return tensors[id(value)]
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        return getattr(dt, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return dt.device(str(value))
    if isinstance(value, torch.Size):
        return dt.Size(value)
    if isinstance(value, torch.Generator):
        generator = dt.Generator()
        generator.set_state(_tensor(value.get_state()))
        return generator
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(translate(v, tensors) for v in value)
    if isinstance(value, list):
        return [translate(v, tensors) for v in value]
    if isinstance(value, dict):
        return {k: translate(v, tensors) for k, v in value.items()}
    if isinstance(value, types.FunctionType):
        return _function(value)
    if isinstance(value, torch.nn.Module):
        made = getattr(dt.nn, type(value).__name__)()
        for name in getattr(value, "__constants__", ()):
            setattr(made, name, getattr(value, name))
        return made
    return value


def _tensor(t: Any, tensors: dict[int, Any] | None = None) -> Any:
    """The same tensor: memory, sharing of memory, strides and view-ness."""
    import torch

    if t.layout is not torch.strided:
        return _sparse(t)
    flat = t.detach()
    if t.is_conj() or t.is_neg():
        flat = flat.resolve_conj().resolve_neg()
    storage = flat.untyped_storage()
    cache = {} if tensors is None else tensors
    memory, _ = cache.get(-storage.data_ptr() or None, (None, None))
    if memory is None:
        raw = torch.empty(0, dtype=torch.uint8).set_(storage)
        memory = bytearray(raw.clone().numpy().tobytes() or bytes(16))
        if storage.data_ptr():  # held, so that no other tensor gets its address
            cache[-storage.data_ptr()] = memory, storage
    dtype = translate(t.dtype, {})
    whole = len(memory) // dtype.itemsize
    base = dt.frombuffer(memory, dtype=dtype, count=whole)
    result = base.as_strided(
        tuple(t.shape), tuple(flat.stride()), flat.storage_offset()
    )
    if t.is_conj():
        result = result.conj().resolve_conj().conj()
    result = result.detach()
    if t._base is None:  # a tensor of its own, as far as anybody can tell
        result._base = result._ver = None
    return result.requires_grad_(t.requires_grad)


def _sparse(t: Any) -> Any:
    import torch

    plain = t.detach()
    shape = tuple(t.shape)
    if t.layout is torch.sparse_coo:
        parts = [_tensor(plain._indices()), _tensor(plain._values())]
        made = dt.sparse_coo_tensor(*parts, shape, is_coalesced=t.is_coalesced())
    else:
        by_row = t.layout in (torch.sparse_csr, torch.sparse_bsr)
        names = ("crow", "col") if by_row else ("ccol", "row")
        parts = [_tensor(getattr(plain, f"{n}_indices")()) for n in names]
        layout = translate(t.layout, {})
        made = dt.sparse_compressed_tensor(
            *parts, _tensor(plain.values()), shape, layout=layout
        )
    return made.detach().requires_grad_(t.requires_grad)


def _function(fn: types.FunctionType) -> Callable[..., Any]:
    """A Python function of PyTorch's tests with ``torch`` meaning dispatchtorch."""
    names = {**fn.__globals__, **_helpers_of(fn), "torch": dt}
    closure = fn.__closure__
    if closure:
        closure = tuple(types.CellType(_resolve(c.cell_contents)) for c in closure)
    made = types.FunctionType(fn.__code__, names, fn.__name__, fn.__defaults__, closure)
    made.__kwdefaults__ = fn.__kwdefaults__
    return made


def _helpers_of(fn: types.FunctionType) -> dict[str, Any]:
    """The functions of PyTorch's tests that a function calls by name, such as
    the one that seeds the generator first."""
    found = {}
    for name in fn.__code__.co_names:
        value = fn.__globals__.get(name)
        if isinstance(value, types.FunctionType) and value is not fn:
            if "torch/testing" in value.__code__.co_filename.replace("\\", "/"):
                found[name] = _function(value)
    return found


def _resolve(value: Any) -> Any:
    import torch

    if callable(value) and not isinstance(value, type):
        name = getattr(value, "__name__", "")
        for theirs, mine in (
            (torch, dt),
            (torch.Tensor, dt.Tensor),
            (torch.nn.functional, dt.nn.functional),
        ):
            if getattr(theirs, name, None) is value:
                return getattr(mine, name)
    if isinstance(value, types.FunctionType):
        return _function(value)
    return translate(value, {})


# -------------------------------------------------------------------- layouts


def _reversed(t: Any) -> Any:
    order = tuple(range(t.ndim))[::-1]
    return t.permute(order).contiguous().permute(order)


def _stepped(t: Any) -> Any:
    if not t.ndim:
        return t
    wide = t.new_zeros((*t.shape[:-1], 2 * t.shape[-1] + 1))
    wide[..., 1::2] = t
    return wide[..., 1::2]


def _swapped(t: Any) -> Any:
    return t.transpose(0, 1).contiguous().transpose(0, 1) if t.ndim > 1 else t


def _channels_last(t: Any) -> Any:
    import torch

    form = {4: torch.channels_last, 5: torch.channels_last_3d}.get(t.ndim)
    return t if form is None else t.contiguous(memory_format=form)


def _expanded(t: Any) -> Any:
    return t[:1].expand_as(t) if t.ndim and t.shape[0] > 1 else t


#: The same values (but for the last, which repeats some) laid out otherwise in memory.
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "reversed": _reversed,
    "swapped": _swapped,
    "stepped": _stepped,
    "channels_last": _channels_last,
    "expanded": _expanded,
}


def relaid(value: Any, how: str) -> Any:
    """A sample's arguments with every strided tensor laid out as ``how`` says."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided:
            return value
        made = LAYOUTS[how](value.detach()).data
        return made.requires_grad_(value.requires_grad)
    if type(value) in (tuple, list):
        return type(value)(relaid(each, how) for each in value)
    if isinstance(value, dict):
        return {key: relaid(each, how) for key, each in value.items()}
    return value


class NotSame(Exception):
    """What differs, in a line."""


def ours(info: Any, variant: Any = None) -> Callable[..., Any]:
    """dispatchtorch's function for what an operator description calls."""
    import torch

    theirs = info.op if variant is None else variant
    if isinstance(theirs, functools.partial):
        inner = ours(info, theirs.func)
        return functools.partial(inner, *theirs.args, **theirs.keywords)
    if isinstance(theirs, types.FunctionType) and "torch/testing" in (
        theirs.__code__.co_filename.replace("\\", "/")
    ):
        return _function(theirs)
    if "OpOverload" in type(theirs).__name__:
        named = str(theirs).removeprefix("torch.ops.")
        mine = _walk(dt, "ops." + named)
        if mine is None:
            raise NotSame(f"torch.ops.{named} is missing")
        return mine
    for prefix in ("", "nn.functional.", "linalg.", "fft.", "special.", "Tensor."):
        path = prefix + info.name
        found, mine = _walk(torch, path), _walk(dt, path)
        if found is theirs or (found is not None and found == theirs):
            if mine is None:
                raise NotSame(f"torch.{path} is missing")
            return mine
    name = getattr(theirs, "__name__", "?")
    for path in (f"Tensor.{name}", name, f"nn.functional.{name}", f"_C._nn.{name}"):
        found, mine = _walk(torch, path), _walk(dt, path)
        if found is not None and found == theirs:
            if mine is None:
                raise NotSame(f"torch.{path} is missing")
            return mine
    if isinstance(theirs, types.FunctionType):
        return _function(theirs)
    raise NotSame(f"no counterpart found for {theirs!r}")


def _walk(root: Any, path: str) -> Any:
    for part in path.split("."):
        root = getattr(root, part, None)
        if root is None:
            return None
    return root


# ----------------------------------------------------------------- comparison


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for v in value:
            yield from _flat(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from _flat(v)
    else:
        yield value


def _numpy(t: Any) -> np.ndarray:
    t = t.detach()
    if hasattr(t, "to_dense") and str(t.layout) != "torch.strided":
        t = t.to_dense()
    if t.is_conj() or t.is_neg():
        t = t.resolve_conj().resolve_neg()
    name = str(t.dtype)
    if name in ("torch.bfloat16", "torch.float16") or "float8" in name:
        t = t.float()
    return np.asarray(t.numpy(force=True))


def _same(
    found: Any,
    wanted: Any,
    what: str,
    strides: bool,
    loose: float,
    values: bool = True,
) -> None:
    import torch

    if not isinstance(wanted, torch.Tensor):
        if isinstance(wanted, torch.Size | torch.dtype | torch.device):
            wanted = translate(wanted, {})
        if isinstance(wanted, float) and isinstance(found, float):
            if not np.isclose(found, wanted, equal_nan=True, rtol=1e-5):
                raise NotSame(f"{what}: {found!r}, PyTorch gives {wanted!r}")
            return
        if found != wanted and str(found) != str(wanted):
            raise NotSame(f"{what}: {found!r}, PyTorch gives {wanted!r}")
        return
    if not isinstance(found, dt.Tensor):
        raise NotSame(f"{what}: a {type(found).__name__}, PyTorch gives a tensor")
    if str(found.dtype) != str(wanted.dtype):
        raise NotSame(f"{what}: dtype {found.dtype}, PyTorch gives {wanted.dtype}")
    if tuple(found.shape) != tuple(wanted.shape):
        raise NotSame(
            f"{what}: shape {tuple(found.shape)}, PyTorch gives {tuple(wanted.shape)}"
        )
    if found.requires_grad != wanted.requires_grad:
        raise NotSame(f"{what}: requires_grad {found.requires_grad}")
    if str(found.layout) != str(wanted.layout):
        raise NotSame(f"{what}: layout {found.layout}, PyTorch gives {wanted.layout}")
    if strides and str(wanted.layout) == "torch.strided":
        if tuple(found.stride()) != tuple(wanted.stride()) and wanted.numel() > 1:
            raise NotSame(
                f"{what}: strides {tuple(found.stride())}, PyTorch gives "
                f"{tuple(wanted.stride())} for shape {tuple(wanted.shape)}"
            )
        if (found.grad_fn is None) != (wanted.grad_fn is None):
            raise NotSame(f"{what}: grad_fn {found.grad_fn}, PyTorch {wanted.grad_fn}")
        if found.is_conj() != wanted.is_conj():
            raise NotSame(f"{what}: is_conj() is {found.is_conj()}")
        if (found._base is None) != (wanted._base is None):
            raise NotSame(
                f"{what}: {'no ' if found._base is None else ''}view, unlike PyTorch's"
            )
    if not values:
        return
    rtol, atol = _TOLERANCE.get(str(wanted.dtype).removeprefix("torch."), (0.0, 0.0))
    a, b = _numpy(found), _numpy(wanted)
    scale = float(np.max(np.abs(b[np.isfinite(b)]), initial=0.0)) if b.size else 0.0
    with np.errstate(all="ignore"):
        close = np.isclose(
            a, b, rtol=rtol * loose, atol=atol * loose * max(1.0, scale), equal_nan=True
        )
    if not close.all():
        i = tuple(int(v) for v in np.argwhere(~close)[0])
        raise NotSame(
            f"{what}: {a[i]!r}, PyTorch gives {b[i]!r} at {i} of {b.shape}"
            f" ({int((~close).sum())} of {b.size} differ)"
        )


def _text(error: BaseException) -> str:
    text = str(error)
    for cut in ("\nException raised from", "\nC++ CapturedTraceback"):
        at = text.find(cut)
        text = text if at < 0 else text[:at]
    return text.strip()


def _leaves(value: Any) -> list[Any]:
    return [t for t in _flat(value) if hasattr(t, "requires_grad") and t.requires_grad]


def _weights(outputs: list[Any], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = []
    for t in outputs:
        shape = tuple(t.shape)
        w = rng.standard_normal(shape)
        if "complex" in str(t.dtype):
            w = w + 1j * rng.standard_normal(shape)
        made.append(np.asarray(w))
    return made


def _tensors_of(module: Any, arrays: list[np.ndarray], outputs: list[Any]) -> list[Any]:
    return [
        module.as_tensor(w).to(t.dtype) for w, t in zip(arrays, outputs, strict=True)
    ]


def _run(fn: Callable[..., Any], module: Any, args: Any, kwargs: Any) -> Any:
    module.manual_seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fn(*args, **kwargs), None
    except Exception as error:
        return None, error


def check_sample(
    info: Any,
    sample: Any,
    variant: Any = None,
    grad: bool = True,
    gradgrad: bool = False,
    post: Callable[[Any], Any] | None = None,
) -> None:
    """Raises :class:`NotSame` with what differs first; returns where all agrees."""
    import torch

    theirs_fn = info.op if variant is None else variant
    ours_fn = ours(info, variant)
    tensors: dict[int, Any] = {}
    args = translate((sample.input, *sample.args), tensors)
    kwargs = translate(sample.kwargs, tensors)
    if variant is not None:
        args = (_not_leaf(args[0]), *args[1:])
        theirs_args = (_not_leaf(sample.input), *sample.args)
    else:
        theirs_args = (sample.input, *sample.args)
    wanted, their_error = _run(theirs_fn, torch, theirs_args, sample.kwargs)
    found, our_error = _run(ours_fn, dt, args, kwargs)
    if their_error is not None or our_error is not None:
        _compare_errors(our_error, their_error)
        return
    if info.name.split(".")[-1] in _UNDEFINED or "empty" in info.name:
        return
    process = sample.output_process_fn_grad
    free = info.name in _GAUGE
    a, b = list(_flat(found)), list(_flat(wanted))
    if len(a) != len(b):
        raise NotSame(f"{len(a)} results, PyTorch gives {len(b)}")
    if type(wanted).__name__ != type(found).__name__:
        raise NotSame(f"a {type(found).__name__}, PyTorch {type(wanted).__name__}")
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        what = "result" if len(a) == 1 else f"result {i}"
        _same(x, y, what, True, 1.0, values=not free)
    if free and process is not None:
        a, b = _flat(_function(process)(found)), _flat(process(wanted))
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            _same(x, y, f"processed result {i}", False, 1.0)
    if not grad:
        return
    try:
        if process is not None:
            wanted = process(wanted)
            found = _function(process)(found)
    except Exception:
        return
    ours_out, theirs_out = _leaves(found), _leaves(wanted)
    mine = _leaves((args, list(kwargs.values())))
    its = _leaves((theirs_args, list(sample.kwargs.values())))
    if not theirs_out or not its:
        return
    weights = _weights(theirs_out, 1)
    g1, e1 = _grads(torch, theirs_out, its, weights, gradgrad)
    g2, e2 = _grads(dt, ours_out, mine, weights, gradgrad)
    if e1 is not None or e2 is not None:
        _compare_errors(e2, e1, "backward: ")
        return
    for i, (x, y) in enumerate(zip(g2, g1, strict=True)):
        if (x is None) != (y is None):
            raise NotSame(f"gradient {i}: {x}, PyTorch gives {y}")
        if y is not None:
            _same(x.detach(), y.detach(), f"gradient {i}", False, 10.0)
    if not gradgrad:
        return
    o1 = [g for g in g1 if g is not None and g.requires_grad]
    o2 = [g for g in g2 if g is not None and g.requires_grad]
    if len(o1) != len(o2):
        raise NotSame(f"{len(o2)} gradients have history, PyTorch's {len(o1)}")
    if not o1:
        return
    weights = _weights(o1, 2)
    h1, e1 = _grads(torch, o1, its, weights, False)
    h2, e2 = _grads(dt, o2, mine, weights, False)
    if e1 is not None or e2 is not None:
        _compare_errors(e2, e1, "second backward: ")
        return
    for i, (x, y) in enumerate(zip(h2, h1, strict=True)):
        zero = [t is None or not np.any(_numpy(t)) for t in (x, y)]
        if zero[0] and zero[1]:
            continue
        if x is None or y is None:
            raise NotSame(f"second gradient {i}: {x}, PyTorch gives {y}")
        _same(x.detach(), y.detach(), f"second gradient {i}", False, 100.0)


# Results of these are right up to signs and phases, which LAPACKs choose freely.
_GAUGE = {
    "linalg.eig",
    "linalg.eigh",
    "linalg.svd",
    "svd",
    "svd_lowrank",
    "pca_lowrank",
}
_UNDEFINED = {
    "empty",
    "empty_like",
    "empty_strided",
    "empty_permuted",
    "new_empty",
    "new_empty_strided",
}


def _not_leaf(value: Any) -> Any:
    return value.clone() if hasattr(value, "clone") else value


def _grads(
    module: Any, outputs: list[Any], leaves: list[Any], weights: list[Any], graph: bool
) -> Any:
    cotangents = _tensors_of(module, weights, outputs)

    def run(*_: Any) -> Any:
        return module.autograd.grad(
            outputs, leaves, cotangents, create_graph=graph, allow_unused=True
        )

    return _run(run, module, (), {})


def _compare_errors(found: Any, wanted: Any, what: str = "") -> None:
    if wanted is None:
        raise NotSame(
            f"{what}we raise {type(found).__name__}: {_text(found)[:300]}"
        ) from found
    if found is None:
        raise NotSame(
            f"{what}no error, PyTorch raises {type(wanted).__name__}: {_text(wanted)[:300]}"
        )
    related = isinstance(found, type(wanted)) or isinstance(wanted, type(found))
    related = related or type(found).__name__ == type(wanted).__name__
    if not related or _text(found) != _text(wanted):
        raise NotSame(
            f"{what}error {type(found).__name__}: {_text(found)[:300]}\n"
            f"        PyTorch's {type(wanted).__name__}: {_text(wanted)[:300]}"
        ) from found


def check_errors(info: Any, each: Any) -> None:
    """One of PyTorch's inputs that must raise: class and wording are compared."""
    import torch

    sample = each.sample_input
    tensors: dict[int, Any] = {}
    args = translate((sample.input, *sample.args), tensors)
    kwargs = translate(sample.kwargs, tensors)
    _, wanted = _run(info.op, torch, (sample.input, *sample.args), sample.kwargs)
    _, found = _run(ours(info), dt, args, kwargs)
    if wanted is not None or found is not None:
        _compare_errors(found, wanted, "bad input: ")


def dtypes_of(info: Any, names: list[str]) -> Iterator[Any]:
    import torch

    for name in names:
        dtype = getattr(torch, name)
        if dtype in info.dtypes:
            yield dtype


def problems(
    info: Any, names: list[str], limit: int, errors: bool = True, layout: str = ""
) -> Iterator[str]:
    """What differs for one operator: a line for each kind of difference."""
    import torch

    seen: set[str] = set()

    def laid(sample: Any) -> Any:
        if layout:
            sample.input = relaid(sample.input, layout)
            sample.args = relaid(sample.args, layout)
            sample.kwargs = relaid(sample.kwargs, layout)
        return sample

    def report(where: str, error: Exception) -> Iterator[str]:
        kind = re.sub(r"[\d.e+-]+", "#", str(error))[:90]
        if kind not in seen:
            seen.add(kind)
            yield f"{full_name(info)} [{where}] {error}"

    for dtype in dtypes_of(info, names):
        floating = dtype.is_floating_point or dtype.is_complex
        differentiable = floating and info.supports_autograd
        wide = dtype in (torch.float64, torch.complex128)
        torch.manual_seed(0)
        samples = info.sample_inputs("cpu", dtype, requires_grad=differentiable)
        for i, sample in enumerate(samples):
            if i >= limit:
                break
            try:
                check_sample(
                    info,
                    laid(sample),
                    grad=differentiable,
                    gradgrad=wide and info.supports_gradgrad,
                )
            except Exception as error:
                where = f"{str(dtype)[6:]} #{i}"
                if not isinstance(error, NotSame):
                    error = NotSame(f"runner: {type(error).__name__}: {error}")
                yield from report(where, error)
        inplace = info.inplace_variant
        if inplace is not None:
            samples = info.sample_inputs("cpu", dtype, requires_grad=False)
            for i, sample in enumerate(samples):
                if i >= min(limit, 4):
                    break
                if sample.broadcasts_input:
                    continue
                try:
                    check_sample(info, laid(sample), variant=inplace, grad=False)
                except Exception as error:
                    if not isinstance(error, NotSame):
                        error = NotSame(f"runner: {type(error).__name__}: {error}")
                    yield from report(f"{str(dtype)[6:]} in-place #{i}", error)
    if errors and info.error_inputs_func is not None:
        try:
            for i, each in enumerate(info.error_inputs("cpu")):
                try:
                    check_errors(info, each)
                except Exception as error:
                    yield from report(f"errors #{i}", error)
        except Exception as error:
            yield f"{full_name(info)} [errors] runner: {error}"


DTYPES = (
    "float32",
    "float64",
    "complex64",
    "int64",
    "bool",
    "bfloat16",
    "uint8",
    "float16",
    "complex128",
    "int32",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.samples")
    parser.add_argument("pattern", nargs="?", default="")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--layout", choices=["", *LAYOUTS], default="")
    parser.add_argument("--no-errors", action="store_true", help="leave bad inputs out")
    parser.add_argument("--brief", action="store_true", help="one line an operator")
    options = parser.parse_args(argv)
    names = options.dtypes.split(",")
    good = bad = 0
    for info in infos():
        if not re.search(options.pattern, full_name(info)):
            continue
        lines = []
        try:
            for line in problems(
                info, names, options.limit, not options.no_errors, options.layout
            ):
                lines.append(line)
                if options.brief:
                    break
        except Exception as error:
            lines.append(f"{full_name(info)} runner: {type(error).__name__}: {error}")
        for line in lines:
            print(line, flush=True)
        good, bad = good + (not lines), bad + bool(lines)
    print(f"{good} operators agree, {bad} differ")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
