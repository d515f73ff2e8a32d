"""Activation checkpointing: memory saved by computing a part of the forward twice.

Two variants. The re-entrant one is an autograd function that runs the part without a
graph, and again with one inside its backward. The other runs the part as usual and
only leaves a placeholder wherever a tensor would be saved; the first placeholder that
backward opens runs the part again to fill all of them.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from enum import Enum
from typing import Any

import dispatchtorch as torch

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "DefaultDeviceType",
    "GraphExecGroup",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]

_Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]

_debug_everywhere: bool | None = None
_stop_early_everywhere: bool | None = None

_UNSAID = (
    "use_reentrant=False is recommended, but if you need to preserve the current "
    "default behavior, you can pass use_reentrant=True. Refer to docs for more details "
    "on the differences between the two variants."
)
_TIP = """

Tip: To see a more detailed error message, either pass `debug=True` to
`torch.utils.checkpoint.checkpoint(...)` or wrap the code block
with `with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):` to
enable checkpoint-debug mode globally.
"""


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function did not do what the first one did."""


class _StopRecomputation(BaseException):
    """All that backward needs has been computed. No handler of a user's must see it."""


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Overrides the ``debug`` argument of every checkpoint within; None: does not."""
    global _debug_everywhere
    before, _debug_everywhere = _debug_everywhere, enabled
    try:
        yield
    finally:
        _debug_everywhere = before


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Overrides ``early_stop`` of every non-reentrant checkpoint made within."""
    global _stop_early_everywhere
    before, _stop_early_everywhere = _stop_early_everywhere, enable
    try:
        yield
    finally:
        _stop_early_everywhere = before


class GraphExecGroup:
    """Marks backward calls over disjoint parts of a graph as belonging together.

    What one of them recomputes and leaves unused serves the others. Here recomputed
    tensors are always kept until they are used, so the group changes nothing.
    """

    _current: GraphExecGroup | None = None

    def __enter__(self) -> GraphExecGroup:
        if GraphExecGroup._current is not None:
            raise RuntimeError(
                "GraphExecGroup contexts cannot be nested. "
                f"Already inside group {GraphExecGroup._current}"
            )
        GraphExecGroup._current = self
        return self

    def __exit__(self, *args: object) -> None:
        GraphExecGroup._current = None

    @classmethod
    def _get_current_group(cls) -> GraphExecGroup | None:
        return cls._current


# State that a second run must find as the first one did ---------------------------


class DefaultDeviceType:
    """The device type whose generators are preserved where no argument tells it."""

    _default_device_type: str | None = None

    @staticmethod
    def set_device_type(device: str) -> None:
        DefaultDeviceType._default_device_type = device

    @staticmethod
    def get_device_type() -> str:
        """The type that was set, else the accelerator's, else the default device's."""
        if DefaultDeviceType._default_device_type is None:
            device = None
            if torch.accelerator.is_available():
                device = torch.accelerator.current_accelerator()
            device = device if device is not None else torch.get_default_device()
            DefaultDeviceType._default_device_type = device.type
        return DefaultDeviceType._default_device_type


def _tensors(args: Iterable[Any]) -> list[torch.Tensor]:
    return [arg for arg in args if isinstance(arg, torch.Tensor)]


def _generators_of(device_type: str) -> Any:
    """The module that keeps a device type's generator states; None without one."""
    try:
        module = torch.get_device_module(device_type)
    except (AttributeError, RuntimeError):
        return None
    return module if hasattr(module, "get_rng_state") else None


def get_device_states(*args: Any) -> tuple[list[int], list[torch.Tensor]]:
    """Indices and generator states of the devices that the tensors in ``args`` are on.

    Only devices of one type that keeps its own generators count: of the first such.
    """
    module = None
    indices: list[Any] = []
    for device in (t.device for t in _tensors(args)):
        found = _generators_of(device.type)
        module = module if module is not None else found
        if found is not None and found is module and device.index not in indices:
            indices.append(device.index)
    return indices, [module.get_rng_state(i) for i in indices]  # type: ignore[union-attr]


def set_device_states(
    devices: list[int], states: list[torch.Tensor], *, device_type: str | None = None
) -> None:
    """Sets what :func:`get_device_states` returned, for devices of ``device_type``."""
    if not devices:
        return
    module = _generators_of(device_type or DefaultDeviceType.get_device_type())
    for device, state in zip(devices, states, strict=True):
        module.set_rng_state(state, device)


class _Surroundings:
    """The generators' and autocast's state, taken now and put back in :meth:`restore`.

    ``generators`` is False where randomness need not repeat.
    """

    def __init__(self, args: Iterable[Any], generators: bool) -> None:
        on = {t.device for t in _tensors(args)}
        types = {device.type for device in on}
        types |= {DefaultDeviceType.get_device_type(), torch.get_default_device().type}
        self.generators: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        if generators:
            self.generators.append((torch.set_rng_state, (torch.get_rng_state(),)))
            for device in on:
                if (module := _generators_of(device.type)) is not None:
                    state = module.get_rng_state(device.index)
                    self.generators.append(
                        (module.set_rng_state, (state, device.index))
                    )
        self.autocasts = [
            {
                "device_type": name,
                "enabled": torch.is_autocast_enabled(name),
                "dtype": torch.get_autocast_dtype(name),
                "cache_enabled": torch.is_autocast_cache_enabled(),
            }
            for name in sorted(types)
            if torch.amp.is_autocast_available(name)
        ]

    @contextmanager
    def restore(self, args: Iterable[Any]) -> Iterator[None]:
        with ExitStack() as stack:
            if self.generators:
                now = _Surroundings(args, True).generators
                stack.callback(_apply, now)
                _apply(self.generators)
            for options in self.autocasts:
                stack.enter_context(torch.autocast(**options))  # type: ignore[arg-type]
            yield


def _apply(settings: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
    for setter, values in settings:
        setter(*values)


# The re-entrant variant -----------------------------------------------------------


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """``inputs`` with each tensor cut from its graph, still requiring its gradient."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            f"{type(inputs).__name__}"
        )
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) else x
        for x in inputs
    )


def check_backward_validity(inputs: Iterable[Any]) -> None:
    """Warns where no tensor in ``inputs`` requires a gradient."""
    if not any(t.requires_grad for t in _tensors(inputs)):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None",
            stacklevel=2,
        )


class CheckpointFunction(torch.autograd.Function):
    """Runs ``run_function`` without a graph, and again with one in its backward."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any
    ) -> Any:
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.surroundings = _Surroundings(args, preserve_rng_state)
        # Tensors are left to the graph, which sees when one is changed in between.
        ctx.inputs = [None if isinstance(x, torch.Tensor) else x for x in args]
        ctx.places = [i for i, x in enumerate(args) if isinstance(x, torch.Tensor)]
        ctx.save_for_backward(*_tensors(args))
        with torch.no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if not torch.autograd._is_checkpoint_valid():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with "
                ".grad() or passing an `inputs` parameter to .backward(). To resolve "
                "this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.inputs)
        for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[i] = tensor
        detached = detach_variable(tuple(inputs))
        with ctx.surroundings.restore(detached), torch.enable_grad():
            outputs = ctx.run_function(*detached)
        if isinstance(outputs, torch.Tensor):
            outputs = (outputs,)
        pairs = [
            (out, grad)
            for out, grad in zip(outputs, grads, strict=True)
            if isinstance(out, torch.Tensor) and out.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not "
                "necessary"
            )
        roots, root_grads = map(list, zip(*pairs, strict=True))
        torch.autograd.backward(roots, root_grads)
        return None, None, *(getattr(x, "grad", None) for x in detached)


# The variant by placeholders ------------------------------------------------------


def noop_context_fn() -> _Contexts:
    """Two contexts that do nothing."""
    return nullcontext(), nullcontext()


def _metadata(x: torch.Tensor) -> dict[str, Any]:
    return {"shape": x.shape, "dtype": x.dtype, "device": x.device}


_DETERMINISM_CHECKS: dict[str, Callable[[torch.Tensor], Any]] = {
    "default": _metadata,
    "none": lambda _: None,
}


class _SaveInputs(torch.autograd.Function):
    """A node that exists to hold tensors the way the graph around it holds them."""

    @staticmethod
    def forward(ctx: Any, anchor: torch.Tensor, keep: list[Any], *args: Any) -> Any:  # type: ignore[override]
        ctx.save_for_backward(*args)
        keep.append(ctx)
        return anchor.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise AssertionError("the node that keeps inputs is never backpropagated")


class _Placeholder:
    """What a graph saves instead of a tensor."""

    __slots__ = ("__weakref__", "position")

    def __init__(self, position: int) -> None:
        self.position = position


class _Frame:
    """One call of a checkpointed function: what it saved, and how to run it again."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: AbstractContextManager[Any],
        surroundings: _Surroundings,
        describe: Callable[[torch.Tensor], Any],
        early_stop: bool,
        recorder: Any,
    ) -> None:
        self.function = function
        self.kwargs = kwargs
        self.context = context
        self.surroundings = surroundings
        self.describe = describe
        self.early_stop = early_stop
        self.recorder = recorder
        self.placeholders: list[weakref.ref[_Placeholder]] = []
        self.saved: list[Any] = []
        self.recomputed: dict[int, torch.Tensor] = {}
        # Held through the graph, an enclosing checkpoint can drop them and bring them
        # back, and a change in place is noticed.
        self.args = [None if isinstance(x, torch.Tensor) else x for x in args]
        self.places = [i for i, x in enumerate(args) if isinstance(x, torch.Tensor)]
        self.needs_grad = [t.requires_grad for t in _tensors(args)]
        keep: list[Any] = []
        anchor = torch.empty(0, requires_grad=True)
        self._keeper = _SaveInputs.apply(anchor, keep, *_tensors(args))
        self._inputs = keep.pop()

    def pack(self, x: torch.Tensor) -> _Placeholder:
        placeholder = _Placeholder(len(self.placeholders))
        self.placeholders.append(weakref.ref(placeholder))
        self.saved.append(self.describe(x))
        return placeholder

    def unpack(self, placeholder: _Placeholder) -> torch.Tensor:
        if placeholder.position not in self.recomputed:
            try:
                self._recompute()
            except CheckpointError as error:
                if self.recorder is None:
                    raise
                raise CheckpointError(self.recorder.explain(error)) from error
        return self.recomputed.pop(placeholder.position)

    def _recompute(self) -> None:
        again: list[Any] = []

        def pack(x: torch.Tensor) -> torch.Tensor:
            position = len(again)
            if position == len(self.placeholders):
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during "
                    "recomputation than during the original forward pass." + _TIP
                )
            x = x.detach()
            again.append(self.describe(x))
            if self.placeholders[position]() is not None:
                self.recomputed[position] = x
            if self.early_stop and len(again) == len(self.placeholders):
                raise _StopRecomputation
            return x

        args = list(self.args)
        saved = zip(
            self.places, self._inputs.saved_tensors, self.needs_grad, strict=True
        )
        for i, tensor, needs_grad in saved:
            # Recomputed by an enclosing checkpoint, it may have lost its history.
            same = tensor.requires_grad == needs_grad
            args[i] = tensor if same else tensor.detach().requires_grad_(needs_grad)
        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x)
        try:
            with self.surroundings.restore(args), torch.enable_grad(), hooks:
                with self.context:
                    self.function(*args, **self.kwargs)
        except _StopRecomputation:
            pass
        self._compare(again)

    def _compare(self, again: list[Any]) -> None:
        if len(again) != len(self.saved):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved "
                "during the original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(self.saved)}\n"
                f"Number of tensors saved during recomputation: {len(again)}.{_TIP}"
            )
        different = "".join(
            f"tensor at position {i}:\nsaved metadata: {a}\nrecomputed metadata: {b}\n"
            for i, (a, b) in enumerate(zip(self.saved, again, strict=True))
            if a != b
        )
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors "
                "have different metadata than during the forward pass.\n"
                f"{different}.{_TIP}"
            )


def _without_reentry(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    preserve_rng_state: bool,
    contexts: _Contexts,
    determinism_check: str,
    early_stop: bool,
    recorder: Any,
) -> Any:
    forward_context, context = contexts
    if not torch.is_grad_enabled():
        with forward_context:
            return function(*args, **kwargs)
    inputs = (*args, *kwargs.values())
    frame = _Frame(
        function,
        args,
        kwargs,
        context,
        _Surroundings(inputs, preserve_rng_state),
        _DETERMINISM_CHECKS[determinism_check],
        early_stop,
        recorder,
    )
    with torch.autograd.graph.saved_tensors_hooks(frame.pack, frame.unpack):
        with forward_context:
            return function(*args, **kwargs)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], _Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, computed again in backward instead of remembered.

    Follows ``torch.utils.checkpoint.checkpoint``.

    Args:
        use_reentrant: which variant; to be said explicitly, and better False.
        preserve_rng_state: (keyword) whether random numbers repeat, by default they do.
        context_fn: gives a context for the first run and one for the second.
        determinism_check: ``"default"`` compares shapes, types and devices of what the
            two runs saved, ``"none"`` only their number.
        debug: records both runs and reports them where they differ.
        early_stop: ends the second run as soon as all is there that backward needs.
            The four from ``context_fn`` on concern ``use_reentrant=False`` only.

    Raises:
        CheckpointError: in backward, where the second run differs from the first.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed "
            "explicitly. Starting in PyTorch 2.9, calling checkpoint without "
            f"use_reentrant will raise an exception. {_UNSAID}",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when "
                "use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in _DETERMINISM_CHECKS:
        raise ValueError(
            f"determinism_check should be one of {list(_DETERMINISM_CHECKS)}, "
            f"but got {determinism_check}"
        )
    if _stop_early_everywhere is not None:
        early_stop = _stop_early_everywhere
    recorder = None
    if debug if _debug_everywhere is None else _debug_everywhere:
        if context_fn is not noop_context_fn:
            raise ValueError("debug=True is incompatible with non-default context_fn")
        from ._checkpoint_debug import Recorder

        recorder = Recorder()
        contexts: Any = recorder.contexts()
    else:
        contexts = context_fn()
    return _without_reentry(
        function,
        args,
        kwargs,
        preserve,
        contexts,
        determinism_check,
        early_stop,
        recorder,
    )


class CheckpointPolicy(Enum):
    """What selective checkpointing is to do with the results of an operator."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


class SelectiveCheckpointContext:
    """What a policy function is told: in which of the runs it is asked."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute = is_recompute
        self.op_output = op_output


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False
) -> _Contexts:
    raise NotImplementedError(
        "selective checkpointing needs TorchDispatchMode, which is not supported"
    )


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Applies ``functions`` in turn, checkpointing all but the last of ``segments``.

    Args:
        functions: an ``nn.Sequential`` or a list of modules or functions.
        segments: into how many parts of one length to divide them.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter "
            "should be passed explicitly. In version 2.9 we will raise an exception if "
            f"use_reentrant is not passed. {_UNSAID}",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if isinstance(functions, torch.nn.Sequential):
        functions = list(functions.children())

    def run(part: list[Any]) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for function in part:
                x = function(x)
            return x

        return forward

    size = len(functions) // segments
    last = 0
    for start in range(0, size * (segments - 1), size):
        last = start + size
        input = checkpoint(
            run(functions[start:last]),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )
    return run(functions[last:])(input)
