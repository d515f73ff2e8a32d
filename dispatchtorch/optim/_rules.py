"""What optimizers share: an update rule, and the machinery that runs it on a group.

An optimizer that treats each parameter by itself is a class with

* ``_rule(options, lr)``: reads a group's options once and returns
  ``update(param, grad, state, step)``, which changes ``param`` and ``state`` in place;
* ``_new_state(param, group)``: the state that a parameter starts with;
* the flags below, which say what else goes around the rule.

Weight decay, ``maximize``, counting steps, complex parameters, ``foreach`` and
``differentiable`` are dealt with here, for methods and for functional forms alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import dispatchtorch as torch
from dispatchtorch.dispatch.keys import INFERENCE, LAZY, SPARSE
from dispatchtorch.dispatch.state import tls
from dispatchtorch.ops.foreach_formula import apply_formula_

from ._recording import Recorded, Recording
from ._tensor_list import TensorList, elementwise, has_list_kernels
from .optimizer import Optimizer, ParamsT

__all__ = [
    "RuleOptimizer",
    "add_product_",
    "add_quotient_",
    "add_scaled_",
    "check",
    "check_betas",
    "check_lr",
    "mix_",
    "number",
    "ones_like",
    "run_functional",
    "scalar_dtype",
    "zeros",
]

State = dict[str, Any]
Row = tuple[Any, Any, State]
Update = Callable[[Any, Any, State, Any], None]


# Options.


def check_lr(lr: Any, message: str = "Invalid learning rate: {}") -> None:
    """Raises ValueError unless ``lr`` is a non-negative number or 1-element tensor."""
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(message.format(lr))


def check(**values: Any) -> None:
    """Raises ValueError for the first value that is not at least zero."""
    for name, value in values.items():
        if not 0.0 <= value:
            name = "epsilon" if name == "eps" else name
            raise ValueError(f"Invalid {name} value: {value}")


def check_betas(betas: Sequence[Any]) -> None:
    """Raises ValueError for the first coefficient outside of [0, 1)."""
    for i in range(2):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def ones_like(value: Any) -> Any:
    """Ones where ``value`` has elements."""
    if type(value) is Recorded:
        return value.fill(1)
    return elementwise(torch.ones_like, value)


def number(value: Any) -> Any:
    """A Python number: ``value``, or its one element (of a list, the first's)."""
    if type(value) is TensorList:
        value = value.tensors[0]
    return value.item() if isinstance(value, torch.Tensor) else value


# Arithmetic that rules are made of. For one tensor it is spelled out in basic
# operators, which every device has as kernels of their own; for lists in those that do
# more at once. Factors may be numbers, tensors, or one tensor for each in a list.


def add_scaled_(self: Any, other: Any, scale: Any) -> None:
    """``self += scale * other``."""
    if type(self) is TensorList and isinstance(scale, (float, int)):
        self.add_(other, alpha=scale)
    elif type(scale) in (float, int) and scale == 1:
        self.add_(other)
    else:
        self.add_(other * scale)


def add_product_(self: Any, one: Any, other: Any, scale: float) -> None:
    """``self += scale * one * other``."""
    if type(self) is TensorList:
        self.addcmul_(one, other, value=scale)
    else:
        self.add_((one * other).mul_(scale))


def add_quotient_(self: Any, one: Any, other: Any, scale: Any) -> None:
    """``self += scale * one / other``."""
    if type(self) is TensorList and isinstance(scale, (float, int)):
        self.addcdiv_(one, other, value=scale)
    elif isinstance(scale, (float, int)):
        self.add_((one / other).mul_(scale))
    else:
        self.add_(one / other * scale)


def mix_(self: Any, other: Any, share: float) -> None:
    """``self += share * (other - self)``, exact for a share of 1."""
    if type(self) is TensorList or share >= 0.5:
        self.lerp_(other, share)
    else:
        self.add_((other - self).mul_(share))


# New state.


def scalar_dtype() -> Any:
    """The dtype of step counts and the like."""
    double = torch.get_default_dtype() == torch.float64
    return torch.float64 if double else torch.float32


def zeros(param: Any) -> Any:
    """State of zeros, shaped and laid out like ``param``."""
    return torch.zeros_like(param)


class RuleOptimizer(Optimizer):
    """The base of optimizers that update each parameter by a rule of its own."""

    _counted: ClassVar[bool] = True  # keeps a "step" in the state
    _decays: ClassVar[bool] = True  # leaves weight decay to this class
    _real: ClassVar[bool] = True  # needs complex numbers as pairs of real ones
    _elementwise: ClassVar[bool] = True  # treats each element by itself
    _scalars: ClassVar[
        tuple[str, ...]
    ] = ()  # state, besides "step", of one number each
    _late_options: ClassVar[State] = {}  # options that old files don't have

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        raise NotImplementedError

    @staticmethod
    def _begins(options: Mapping[str, Any], state: State) -> bool:
        """Whether the rule is about to add to a parameter's state."""
        return False

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        return {}

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        if defaults.get("fused"):
            if defaults.get("differentiable"):
                raise RuntimeError("`fused` does not support `differentiable`")
            if defaults.get("foreach"):
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
            # Gradient scalers leave unscaling and skipping to optimizers that say so.
            self._step_supports_amp_scaling = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._late_options.items():
                group.setdefault(name, value)
            if not self._counted:
                continue
            on_device = group.get("capturable") or group.get("fused")
            for param in group["params"]:
                known = self.state.get(param)
                if not known:
                    continue
                for name in ("step", *self._scalars):
                    if not isinstance(known[name], torch.Tensor):
                        known[name] = torch.tensor(
                            float(known[name]),
                            dtype=scalar_dtype(),
                            device=param.device if on_device else None,
                        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Does one optimization step.

        Args:
            closure: evaluates the model again and returns the loss.

        Returns:
            What ``closure`` returned, or None.
        """
        recorded = self.defaults.get("differentiable")
        with torch.enable_grad() if recorded else torch.no_grad():
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            for group in self.param_groups:
                self._update_group(group)
            return loss

    def _stateful(self, group: Mapping[str, Any]) -> bool:
        """Whether the rule keeps anything about a parameter."""
        return True

    def _update_group(self, group: dict[str, Any]) -> None:
        state = self.state if self._stateful(group) else None
        rows: list[Row] = []
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            if grad._keys & SPARSE and grad.is_sparse:
                self._check_sparse(group)
            if state is None:
                rows.append((param, grad, {}))
                continue
            mine = state[param]
            if not mine:
                self._fill_state(mine, param, group)
            rows.append((param, grad, mine))
        if not rows:
            return
        if group.get("fused"):
            # What a gradient scaler leaves with the optimizer for the time of a step.
            scale = getattr(self, "grad_scale", None)
            run(type(self), group, rows, scale, getattr(self, "found_inf", None))
        else:
            run(type(self), group, rows)

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        """Raises RuntimeError where the rule is no good for a sparse gradient."""
        raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def _fill_state(self, state: State, param: Any, group: Mapping[str, Any]) -> None:
        if self._counted:
            fused = group.get("fused")
            on_device = group.get("capturable") or fused
            state["step"] = torch.zeros(
                (),
                dtype=torch.float32 if fused else scalar_dtype(),
                device=param.device if on_device else None,
            )
        state.update(self._new_state(param, group))


# Running a rule.


def run(
    cls: type[RuleOptimizer],
    options: Mapping[str, Any],
    rows: list[Row],
    grad_scale: Any = None,
    found_inf: Any = None,
) -> None:
    """Updates the parameters of ``rows``, which have the same options."""
    get = options.get
    fused = get("fused")
    if fused:
        if not all(param.is_floating_point() for param, _, _ in rows):
            raise RuntimeError(
                "`fused=True` requires all the params to be floating point Tensors"
            )
        if found_inf is not None and found_inf.item():
            return
        if grad_scale is not None:
            for _, grad, _ in rows:
                grad.div_(grad_scale)
    update = bind(cls, options)
    if get("differentiable"):
        # A step's state stays as it was for the backward pass through several steps.
        for _, _, state in rows:
            for name, value in state.items():
                if name != "step" and value is not None:
                    state[name] = value.clone()
    if cls._real:
        rows = [_as_real(row) if row[0].is_complex() else row for row in rows]
    on_device = get("capturable")
    if (
        cls._elementwise
        and not on_device
        and not get("differentiable")
        and not tls.include  # modes and profilers watch operators of tensors
        # Rules with little state have so few operators that small tensors gain nothing,
        # where calling one costs little.
        and (
            len(rows[0][2]) > 1
            or not rows[0][0]._backend.is_host
            or any(row[0].numel() > _SMALL for row in rows)
        )
    ):
        rows = _run_formulas(cls, options, update, rows)
        if not rows:
            return
    lists = fused or get("foreach")
    if lists is None and not get("differentiable"):
        lists = all(has_list_kernels(param) for param, _, _ in rows)
    if lists and not any(g.is_sparse for _, g, _ in rows):
        if cls._counted and get("differentiable"):
            raise AssertionError("_foreach ops don't support autograd")
        _run_lists(cls, update, rows, on_device)
        return
    if not cls._counted:
        for param, grad, state in rows:
            update(param, grad, state, None)
    elif on_device:
        for param, grad, state in rows:
            update(param, grad, state, state["step"].add_(1))
    else:
        for param, grad, state in rows:
            update(param, grad, state, state["step"].add_(1).item())


def bind(cls: type[RuleOptimizer], options: Mapping[str, Any]) -> Update:
    """The rule for one group's options, with what is shared by all rules around it."""
    get = options.get
    lr = options["lr"]
    decay = get("weight_decay", 0)
    differentiable = get("differentiable")
    if not (differentiable or get("capturable")):
        if type(lr) is not float:
            lr = number(lr)
        if type(decay) is not int:
            decay = number(decay)
    elif isinstance(lr, torch.Tensor) and lr.dim():
        lr = lr.squeeze()
    update = cls._rule(options, lr)
    if cls._decays and (isinstance(decay, torch.Tensor) or decay != 0):
        if get("decoupled_weight_decay"):
            update = _shrunk(update, 1 - lr * decay)
        else:
            update = _pulled(update, decay)
    if get("maximize"):
        update = _ascending(update)
    return update


def _shrunk(update: Update, factor: Any) -> Update:
    """Decoupled weight decay: the parameter itself shrinks."""

    def shrink(param: Any, grad: Any, state: State, step: Any) -> None:
        param.mul_(factor)
        update(param, grad, state, step)

    return shrink


def _pulled(update: Update, decay: Any) -> Update:
    """Weight decay as a penalty: a part of the gradient."""

    def pull(param: Any, grad: Any, state: State, step: Any) -> None:
        # The parameter changes in place, but the derivative for a tensor needs it.
        if isinstance(decay, (float, int)):
            part = param * decay
            promoted = type(part) is TensorList or part.dtype is not grad.dtype
            grad = grad + part if promoted else part.add_(grad)
        else:
            grad = grad + param.clone() * decay
        update(param, grad, state, step)

    return pull


def _ascending(update: Update) -> Update:
    def ascend(param: Any, grad: Any, state: State, step: Any) -> None:
        update(param, -grad, state, step)

    return ascend


_SMALL = 1 << 10
_PLAIN = (torch.nn.Parameter, torch.Tensor)


def _run_formulas(
    cls: type[RuleOptimizer],
    options: Mapping[str, Any],
    update: Update,
    rows: list[Row],
) -> list[Row]:
    """Updates rows that one formula can be written for; returns the others.

    The rule is run once for all rows with the same numbers, on names of tensors.
    """
    lists: dict[Any, list[Row]] = {}
    for row in rows:
        param, grad, state = row
        names = tuple([n for n in state if state[n] is not None]) if state else ()
        kind = (type(param), param._keys, type(grad), grad._keys, names)
        lists.setdefault(kind, []).append(row)
    others: list[Row] = []
    for (*_, names), alike in lists.items():
        param, grad, state = alike[0]
        if (
            type(param) not in _PLAIN
            or type(grad) is not torch.Tensor
            or "_foreach_formula_" not in param._backend.kernels
            or param._keys & INFERENCE
            or grad._keys & (LAZY | SPARSE)
            or cls._begins(options, state)
        ):
            others += alike
        elif cls._counted:
            counted: dict[Any, list[Row]] = {}
            for row in alike:
                state = row[2]
                numbers = [state["step"].add_(1).item()]
                numbers += [state[name].item() for name in cls._scalars]
                counted.setdefault(tuple(numbers), []).append(row)
            for numbers, same in counted.items():
                _run_formula(cls, update, same, names, numbers[0])
        else:
            _run_formula(cls, update, alike, names, None)
    return others


def _run_formula(
    cls: type[RuleOptimizer],
    update: Update,
    rows: list[Row],
    names: tuple[str, ...],
    step: float | None,
) -> None:
    kept = [name for name in names if name != "step" and name not in cls._scalars]
    recording = Recording()
    param, grad, *columns = recording.tensors(2 + len(kept))
    state: State = dict(zip(kept, columns, strict=True))
    for name in cls._scalars:
        state[name] = TensorList([mine[name] for _, _, mine in rows])
    update(param, grad, state, step)
    tensors: list[Any] = []
    for one, its_grad, mine in rows:
        tensors += (one, its_grad)
        for name in kept:
            tensors.append(mine[name])
    count = 2 + len(kept)
    apply_formula_(tensors, "\n".join(recording.lines), count, recording.numbers)


def _as_real(row: Row) -> Row:
    """A row with views of its complex tensors as pairs of real numbers."""
    param, grad, state = row
    real = torch.view_as_real
    return (
        real(param),
        real(grad) if grad.is_complex() else grad,
        {k: real(v) if v.is_complex() else v for k, v in state.items()},
    )


def _run_lists(
    cls: type[RuleOptimizer], update: Update, rows: list[Row], on_device: Any
) -> None:
    """Updates lists of tensors of one kind at a time, by operators over lists."""
    counts = [state["step"] for _, _, state in rows] if cls._counted else []
    if counts:
        TensorList(counts).add_(1)
    lists: dict[Any, list[Row]] = {}
    for row in rows:
        param, grad, state = row
        # Numbers are shared by a list, so they are part of what makes rows alike.
        numbers = () if on_device or not counts else ("step", *cls._scalars)
        kind = (
            param.device,
            param.dtype,
            grad.dtype,
            tuple(name for name, value in state.items() if value is not None),
            tuple(state[name].item() for name in numbers),
        )
        lists.setdefault(kind, []).append(row)
    for alike in lists.values():
        params, grads, states = zip(*alike, strict=True)
        state = {
            name: None if value is None else TensorList([s[name] for s in states])
            for name, value in states[0].items()
        }
        before = dict(state)
        step: Any = None
        if counts:
            step = state["step"] if on_device else number(state["step"])
        update(TensorList(params), TensorList(grads), state, step)
        for name, value in state.items():
            if value is not before.get(name):
                for mine, tensor in zip(states, value, strict=True):
                    mine[name] = tensor


def run_functional(
    cls: type[RuleOptimizer],
    given: Mapping[str, Any],
    columns: Mapping[str, list[Any]],
    **more: Any,
) -> None:
    """Updates parameters whose state lies in lists, one list for each name.

    Args:
        cls: whose rule it is.
        given: the arguments of a functional form: parameters, gradients and options.
        columns: the lists; empty ones belong to state that the options don't ask for.
        more: options that have other names as arguments.
    """
    options = {**given, **more}
    if "beta1" in given:
        options["betas"] = (given["beta1"], given["beta2"])
    params, grads = options["params"], options["grads"]
    grad_scale, found_inf = given.get("grad_scale"), given.get("found_inf")
    steps = columns.get("step", ())
    if not all(isinstance(step, torch.Tensor) for step in steps):
        raise RuntimeError(
            "API has changed, `state_steps` argument must contain a list of singleton "
            "tensors"
        )
    if (grad_scale is not None or found_inf is not None) and not options.get("fused"):
        raise AssertionError("grad_scale and found_inf are for fused=True")
    used = {name: column for name, column in columns.items() if column}
    rows = [
        (param, grad, {name: column[i] for name, column in used.items()})
        for i, (param, grad) in enumerate(zip(params, grads, strict=True))
    ]
    run(cls, options, rows, grad_scale, found_inf)
    for name, column in used.items():
        for i, (_, _, state) in enumerate(rows):
            column[i] = state[name]
