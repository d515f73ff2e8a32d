"""Products with Jacobians and Hessians of a function, and the matrices themselves.

All in reverse mode. What is naturally computed in forward mode uses the double
backward trick: ``g -> v J(x)`` is linear in ``v``, so its own backward pass gives
``J(x) u``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dispatchtorch as torch

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Any, ...]

_NOT_STRICT = "This is not allowed in strict mode"

# Of each computation's last pass: what doesn't depend on an input where strict mode
# finds no gradient, and where it finds one without the graph create_graph asks for.
_STRICT: dict[str, tuple[str, str]] = {
    "vjp": ("output", "jacobian"),
    "jvp": ("output", "jacobian"),
    "vhp": ("jacobian", "hessian"),
    "hvp": ("hessian", "hessian"),
}

# What strict mode says of an intermediate result without a graph.
_UNCONNECTED: dict[str, str] = {
    "outputs": (
        "Output {i} of the user-provided function does not require gradients. The "
        "outputs must be computed in a differentiable manner from the input when "
        "running in strict mode."
    ),
    "grad_inputs": (
        "The gradient with respect to input {i} does not require gradients. "
        f"{_NOT_STRICT}."
    ),
    "jacobian": (
        "While computing the hessian, found that the jacobian of the user-provided "
        "function with respect to input {i} is independent of the input. "
        f"{_NOT_STRICT}. You should ensure that your function is twice "
        "differentiable and that the jacobian depends on the inputs (this would be "
        "violated by a linear function for example)."
    ),
    "hessian": (
        "While computing the hessian, found that the hessian of the user-provided "
        "function with respect to input {i} is independent of the input. "
        f"{_NOT_STRICT}."
    ),
}


def _independent(what: str, i: int, tail: str = "") -> RuntimeError:
    return RuntimeError(
        f"The {what} of the user-provided function is independent of input {i}. "
        f"{_NOT_STRICT}{tail}."
    )


def _check_grad(grad: Any, i: int, step: str, create_graph: bool) -> None:
    """Strict mode's view of the gradient of input ``i``."""
    missing, fixed = _STRICT[step]
    if grad is None:
        raise _independent(missing, i)
    if create_graph and not grad.requires_grad:
        raise _independent(fixed, i, " when create_graph=True")


# --- arguments -------------------------------------------------------------


def _as_tuple(value: Any, what: str, api: str) -> tuple[bool, Tensors]:
    """Whether ``value`` is a tuple, and it as one."""
    rule = f"The {what} given to {api} must be either a Tensor or a tuple of Tensors"
    given = isinstance(value, tuple)
    items = value if given else (value,)
    for i, item in enumerate(items):
        if not isinstance(item, torch.Tensor):
            which = f"value at index {i}" if given else f"given {what}"
            raise TypeError(f"{rule} but the {which} has type {type(item)}.")
    return given, items


def _like(result: Any, was_tuple: bool) -> Any:
    """A tuple of results in the structure the user gave."""
    return result if was_tuple else result[0]


def _enter(tensors: Tensors, create_graph: bool, requires_grad: bool) -> Tensors:
    """New tensors of the same values, to differentiate with respect to."""
    return tuple(
        t.view_as(t)
        if create_graph and t.requires_grad
        else t.detach().requires_grad_(requires_grad)
        for t in tensors
    )


def _leave(result: Any, create_graph: bool) -> Any:
    """Results cut from the graph unless the user wants it; nested tuples are kept."""
    if isinstance(result, tuple):
        return tuple(_leave(r, create_graph) for r in result)
    return result if create_graph else result.detach()


def _vector(
    v: Any, like: Tensors, is_tuple: bool, api: str, create_graph: bool, source: str
) -> Tensors | None:
    """Check ``v`` against the tensors it multiplies; None where it may be left out."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {source} a single Tensor with a "
                "single element."
            )
        return None
    vectors = _enter(_as_tuple(v, "v", api)[1], create_graph, requires_grad=False)
    if len(vectors) != len(like):
        if not is_tuple:
            raise RuntimeError("The given v should contain a single Tensor.")
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got "
            f"{len(vectors)}."
        )
    for i, (one, other) in enumerate(zip(vectors, like, strict=True)):
        if one.size() != other.size():
            entry = f"Entry {i} in v" if is_tuple else "v"
            raise RuntimeError(
                f"{entry} has invalid size: should be {other.size()} but got "
                f"{one.size()}."
            )
    return vectors


_FROM_INPUT = "the input to the user-provided function is"
_FROM_OUTPUT = "the user-provided function returns"


# --- steps -----------------------------------------------------------------


def _call(
    func: Callable[..., Any], inputs: Tensors, api: str, strict: bool
) -> tuple[bool, Tensors]:
    what = "outputs of the user-provided function"
    was_tuple, outputs = _as_tuple(func(*inputs), what, api)
    _need_graph(outputs, "outputs", strict)
    return was_tuple, outputs


def _call_scalar(
    func: Callable[..., Any], inputs: Tensors, api: str, strict: bool
) -> Tensors:
    """Call a function that must return one element."""
    was_tuple, outputs = _call(func, inputs, api, strict)
    if was_tuple:
        raise RuntimeError(f"The function given to {api} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {api} should contain a "
            "single element"
        )
    return outputs


def _need_graph(tensors: tuple[Any, ...], what: str, strict: bool) -> None:
    if not strict:
        return
    for i, t in enumerate(tensors):
        if t is None:
            raise _independent("output", i)
        if not t.requires_grad:
            raise RuntimeError(_UNCONNECTED[what].format(i=i))


def _grad(
    outputs: tuple[Any, ...],
    inputs: Tensors,
    vectors: Tensors | None,
    create_graph: bool = False,
) -> tuple[Any, ...]:
    """``torch.autograd.grad`` of those outputs that have a graph; None: no gradient."""
    if vectors is None:
        vectors = (None,) * len(outputs)
    pairs = [
        (o, v)
        for o, v in zip(outputs, vectors, strict=True)
        if o is not None and o.requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    connected, weights = zip(*pairs, strict=True)
    return torch.autograd.grad(
        connected, inputs, weights, create_graph=create_graph, allow_unused=True
    )


def _fill(
    grads: tuple[Any, ...], like: Tensors, step: str, strict: bool, create_graph: bool
) -> Tensors:
    """Zeros for the gradients that don't exist; in strict mode an error."""
    if strict:
        for i, grad in enumerate(grads):
            _check_grad(grad, i, step, create_graph)
    return tuple(
        torch.zeros_like(t) if g is None else g
        for g, t in zip(grads, like, strict=True)
    )


def _final_grad(
    outputs: tuple[Any, ...],
    inputs: Tensors,
    vectors: Tensors | None,
    step: str,
    strict: bool,
    create_graph: bool,
) -> Tensors:
    """The last pass of a computation, whose graph only ``create_graph`` keeps."""
    with torch.set_grad_enabled(create_graph or torch.is_grad_enabled()):
        grads = _grad(outputs, inputs, vectors, create_graph)
        return _fill(grads, inputs, step, strict, create_graph)


# --- the interface ---------------------------------------------------------


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), v^T J)``: the product of a vector and the Jacobian.

    Args:
        func: takes tensors, returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of tensors.
        v: of the shapes of the outputs; may be left out for a single element.
        create_graph: make the results differentiable.
        strict: raise where an output doesn't depend on an input, instead of
            returning zeros.

    See https://pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html
    """
    with torch.enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "vjp")
        inputs = _enter(inputs, create_graph, requires_grad=True)
        out_tuple, outputs = _call(func, inputs, "vjp", strict)
        vectors = _vector(v, outputs, out_tuple, "vjp", create_graph, _FROM_OUTPUT)
    grads = _final_grad(outputs, inputs, vectors, "vjp", strict, create_graph)
    return (
        _like(_leave(outputs, create_graph), out_tuple),
        _like(_leave(grads, create_graph), is_tuple),
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), J v)``: the product of the Jacobian and a vector.

    Takes two backward passes. ``v`` has the shapes of the inputs; the other
    arguments are those of :func:`vjp`.

    See https://pytorch.org/docs/stable/generated/torch.autograd.functional.jvp.html
    """
    with torch.enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "jvp")
        inputs = _enter(inputs, create_graph, requires_grad=True)
        vectors = _vector(v, inputs, is_tuple, "jvp", create_graph, _FROM_INPUT)
        out_tuple, outputs = _call(func, inputs, "jvp", strict)
        weights = tuple(torch.zeros_like(o, requires_grad=True) for o in outputs)
        linear = _grad(outputs, inputs, weights, create_graph=True)
        _need_graph(linear, "grad_inputs", strict)
    grads = _final_grad(linear, weights, vectors, "jvp", strict, create_graph)
    return (
        _like(_leave(outputs, create_graph), out_tuple),
        _like(_leave(grads, create_graph), out_tuple),
    )


def _check_strategy(
    strategy: str, create_graph: bool, strict: bool, hint: str = ""
) -> None:
    """Refuse what forward mode can't do in PyTorch either."""
    name = "torch.autograd.functional.jacobian"
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            f'Expected strategy to be either "forward-mode" or "reverse-mode".{hint}'
        )
    if strategy == "reverse-mode":
        return
    if create_graph:
        raise NotImplementedError(
            f'{name}: `create_graph=True` and `strategy="forward-mode"` are not '
            "supported together (yet). Please either set `create_graph=False` or "
            '`strategy="reverse-mode"`.'
        )
    if strict:
        raise RuntimeError(
            f'{name}: `strict=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `strict=False` or `strategy="reverse-'
            'mode"`.'
        )


def _rows(
    output: Any,
    inputs: Tensors,
    index: int,
    strict: bool,
    create_graph: bool,
    basis_is_complex: bool,
) -> Tensors:
    """The Jacobians of one output, one backward pass for each element."""
    if output.is_complex() and not basis_is_complex:
        raise RuntimeError(
            "grad can be implicitly created only for real scalar outputs but got "
            f"{output.dtype}"
        )
    columns: list[list[Any]] = [[] for _ in inputs]
    for k in range(output.numel()):
        grads: tuple[Any, ...] = (None,) * len(inputs)
        if output.requires_grad:
            basis = torch.zeros_like(output).reshape(-1)
            basis[k] = 1
            grads = torch.autograd.grad(
                (output,),
                inputs,
                (basis.reshape(output.shape),),
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
            )
        for i, (grad, x) in enumerate(zip(grads, inputs, strict=True)):
            if strict and grad is None:
                raise RuntimeError(
                    f"Output {index} of the user-provided function is independent of "
                    f"input {i}. {_NOT_STRICT}."
                )
            if strict:
                _check_grad(grad, i, "vjp", create_graph)
            columns[i].append(torch.zeros_like(x) if grad is None else grad)
    shapes = [tuple(output.shape) + tuple(x.shape) for x in inputs]
    return tuple(
        torch.stack(rows).reshape(shape) if rows else x.new_zeros(shape)
        for rows, x, shape in zip(columns, inputs, shapes, strict=True)
    )


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of a function.

    Args:
        func: takes tensors, returns a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of tensors.
        create_graph: make the result differentiable.
        strict: raise where an output doesn't depend on an input, instead of
            returning zeros.
        vectorize: allowed for code that uses it; the passes run one by one here.
        strategy: ``"reverse-mode"`` or ``"forward-mode"``. The result of both is the
            same and computed in reverse mode; forward mode's restrictions hold.

    Returns:
        A tensor of shape ``(*output.shape, *input.shape)``; a tuple of them where
        either the outputs or the inputs are a tuple, and a tuple (outputs) of tuples
        (inputs) where both are.

    See https://pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html
    """
    hint = (
        " Hint: If your function has more outputs than inputs, "
        '"forward-mode" tends to be more performant. Otherwise, prefer to use '
        '"reverse-mode".'
    )
    _check_strategy(strategy, create_graph, strict, hint)
    is_tuple, inputs = _as_tuple(inputs, "inputs", "jacobian")
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is "
            "only implemented for `vectorize=True`."
        )
    with torch.enable_grad():
        inputs = _enter(inputs, create_graph, requires_grad=True)
        out_tuple, outputs = _call(func, inputs, "jacobian", strict)
        if strict and vectorize:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and "
                "`vectorized=True` are not supported together. Please either set "
                "`strict=False` or `vectorize=False`."
            )
        blocks = tuple(
            _rows(output, inputs, k, strict, create_graph, basis_is_complex=vectorize)
            for k, output in enumerate(outputs)
        )
    found = tuple(_like(_leave(block, create_graph), is_tuple) for block in blocks)
    return _like(found, out_tuple)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function that returns one element.

    Takes the Jacobian of the gradient. The arguments are those of :func:`jacobian`;
    ``outer_jacobian_strategy`` is the strategy of the second derivative.

    Returns:
        A tensor of shape ``(*input.shape, *input.shape)``, or for a tuple of inputs a
        tuple of tuples: ``hessian[i][j]`` belongs to inputs ``i`` and ``j``.

    See https://pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html
    """
    is_tuple, inputs = _as_tuple(inputs, "inputs", "hessian")
    _check_strategy(outer_jacobian_strategy, create_graph=False, strict=False)

    def scalar(*args: Any) -> Any:
        return _call_scalar(func, args, "hessian", strict)[0].squeeze()

    def gradient(*args: Any) -> Tensors:
        found = jacobian(scalar, args, create_graph=True)
        _need_graph(found, "jacobian", strict)
        return found

    blocks = jacobian(
        gradient,
        inputs,
        create_graph=create_graph,
        strict=strict,
        vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )
    return _like(tuple(_like(row, is_tuple) for row in blocks), is_tuple)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), v^T H)``: the product of a vector and the Hessian.

    ``func`` returns one element and ``v`` has the shapes of the inputs; the other
    arguments are those of :func:`vjp`.

    See https://pytorch.org/docs/stable/generated/torch.autograd.functional.vhp.html
    """
    with torch.enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "vhp")
        inputs = _enter(inputs, create_graph, requires_grad=True)
        vectors = _vector(v, inputs, is_tuple, "vhp", create_graph, _FROM_INPUT)
        outputs = _call_scalar(func, inputs, "vhp", strict)
        gradient = _grad(outputs, inputs, None, create_graph=True)
        _need_graph(gradient, "jacobian", strict)
    grads = _final_grad(gradient, inputs, vectors, "vhp", strict, create_graph)
    return (
        _leave(outputs[0], create_graph),
        _like(_leave(grads, create_graph), is_tuple),
    )


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """``(func(*inputs), H v)``: the product of the Hessian and a vector.

    As :func:`vhp`, which gives the same for a symmetric Hessian with one pass less.

    See https://pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html
    """
    with torch.enable_grad():
        is_tuple, inputs = _as_tuple(inputs, "inputs", "hvp")
        inputs = _enter(inputs, create_graph, requires_grad=True)
        vectors = _vector(v, inputs, is_tuple, "hvp", create_graph, _FROM_INPUT)
        outputs = _call_scalar(func, inputs, "hvp", strict)
        gradient = _grad(outputs, inputs, None, create_graph=True)
        _need_graph(gradient, "jacobian", strict)
        weights = tuple(torch.zeros_like(x, requires_grad=True) for x in inputs)
        linear = _grad(gradient, inputs, weights, create_graph=True)
        _need_graph(linear, "hessian", strict)
    grads = _final_grad(linear, weights, vectors, "hvp", strict, create_graph)
    return (
        _leave(outputs[0], create_graph),
        _like(_leave(grads, create_graph), is_tuple),
    )
