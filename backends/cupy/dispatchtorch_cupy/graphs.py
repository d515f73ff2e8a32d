"""CUDA graphs: work that is recorded once and started again by one call.

Follows https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs. While a graph is
recorded, memory comes from a pool of its own, which lives as long as the graph does, and
random numbers are drawn from a seed and an offset that each replay writes first.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

import cupy
import numpy as np

import dispatchtorch as torch
from dispatchtorch.backend import get_backend

__all__ = [
    "CUDAGraph",
    "MemPool",
    "graph",
    "graph_pool_handle",
    "is_current_stream_capturing",
    "make_graphed_callables",
    "use_mem_pool",
]

Handle = tuple[int, int]

_numbers = itertools.count(1)
_pools: weakref.WeakValueDictionary[Handle, Any] = weakref.WeakValueDictionary()


class _Pool:
    """A pool that graphs allocate from, known by its handle."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.memory = cupy.cuda.MemoryPool()


def _pool_of(handle: Any) -> _Pool:
    if handle is None:
        handle = graph_pool_handle()
    elif isinstance(handle, MemPool):
        handle = handle.id
    found = _pools.get(handle)
    if found is None:
        found = _pools[handle] = _Pool(handle)
    return found


def graph_pool_handle() -> Handle:
    """A handle of a new pool, for graphs that may share their memory."""
    return (0, next(_numbers))


def is_current_stream_capturing() -> bool:
    """Whether the current stream records a graph."""
    backend = get_backend("cuda")
    return backend.is_capturing(backend.current_stream(backend.current_device()))


class MemPool:
    """A pool of memory of its own; :func:`use_mem_pool` allocates from it."""

    def __init__(self, allocator: Any = None, use_on_oom: bool = False) -> None:
        if allocator is not None:
            raise NotImplementedError(
                "CUDA pools over other allocators aren't supported"
            )
        self._pool = _pool_of(graph_pool_handle())

    @property
    def id(self) -> Handle:
        """The pool's handle."""
        return self._pool.handle


class use_mem_pool:
    """A block in which this thread allocates from a :class:`MemPool`."""

    def __init__(self, pool: MemPool, device: Any = None) -> None:
        self.pool = pool

    def __enter__(self) -> None:
        allocator = get_backend("cuda").runtime.allocator  # type: ignore[attr-defined]
        self._before = allocator.use_pool(self.pool._pool.memory)

    def __exit__(self, *exc_info: object) -> None:
        get_backend("cuda").runtime.allocator.use_pool(self._before)  # type: ignore[attr-defined]


class _Drawn:
    """The state that a graph's random numbers are drawn from, written by each replay."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.words = cupy.zeros(2, np.uint64)
        self.address = self.words.data.ptr
        self.offset = 0  # what has been drawn while recording

    def advance(self) -> None:
        """Gives the replay that follows its part of the engine's stream."""
        seed, start, _ = self.engine.take(self.offset)
        self.words.set(np.array([seed, start], np.uint64))


class CUDAGraph:
    """Recorded work of the current stream (``torch.cuda.CUDAGraph``).

    Args:
        keep_graph: as PyTorch's; the graph is always made startable at its end.
    """

    def __init__(self, keep_graph: bool = False) -> None:
        self._graph: Any = None
        self._pool: _Pool | None = None
        self._drawn: list[_Drawn] = []
        self._stream: Any = None
        self._before: Any = None
        self._kept: list[Any] = []
        self._engines: list[Any] = []

    def register_generator_state(self, generator: Any) -> None:
        """Makes a further generator one that the recorded work may draw from."""
        self._engines.append(generator._engine)

    def capture_begin(
        self, pool: Any = None, capture_error_mode: str = "global"
    ) -> None:
        """Begins to record what the current stream is given.

        Args:
            pool: a handle (or pool of another graph) to share memory with.
            capture_error_mode: "global", "thread_local" or "relaxed". Memory may grow
                while a graph is recorded, which CUDA allows in "relaxed" alone: the
                others are taken for that.

        Raises:
            RuntimeError: on the default stream, or while a graph is being recorded.
        """
        if capture_error_mode not in ("global", "thread_local", "relaxed"):
            raise RuntimeError(
                "Unknown capture error mode. Expected `global`, `thread_local`, or "
                f"`relaxed`, got {capture_error_mode}"
            )
        if self._graph is not None or self._stream is not None:
            raise RuntimeError(
                "This CUDAGraph instance already owns a captured graph. To capture a new "
                "graph, create a new instance."
            )
        backend: Any = get_backend("cuda")
        index = backend.current_device()
        stream = backend.current_stream(index)
        if stream.ptr in (0, 1):
            raise RuntimeError(
                "CUDA graphs must be captured on a non-default stream. (However, after "
                "capture, it's ok to replay them on the default stream.)"
            )
        self._pool = _pool_of(pool)
        self._drawn = [
            _Drawn(engine) for engine in (backend.generator(index), *self._engines)
        ]
        stream.synchronize()
        self._before = backend.runtime.allocator.use_pool(self._pool.memory)
        for drawn in self._drawn:
            drawn.engine.capture(drawn)
        try:
            stream.begin_capture()
        except Exception:
            for drawn in self._drawn:
                drawn.engine.capture(None)
            backend.runtime.allocator.use_pool(self._before)
            raise
        backend.runtime.recording = self._kept
        self._stream = stream

    def capture_end(self) -> None:
        """Ends the recording; the graph can be replayed."""
        if self._stream is None:
            raise RuntimeError("capture_end() without capture_begin()")
        backend: Any = get_backend("cuda")
        stream, self._stream = self._stream, None
        backend.runtime.recording = None
        for drawn in self._drawn:
            drawn.engine.capture(None)
        backend.runtime.allocator.use_pool(self._before)
        self._graph = stream.end_capture()

    def instantiate(self) -> None:
        """Nothing is left to do: a graph can be started once it was recorded."""

    def replay(self) -> None:
        """Starts the recorded work on the current stream."""
        if self._graph is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding capture.")
        for drawn in self._drawn:
            if drawn.offset:
                drawn.advance()
        self._graph.launch()

    def reset(self) -> None:
        """Forgets the recorded work and its memory."""
        self._graph = self._pool = None
        self._drawn, self._kept = [], []

    def pool(self) -> Handle:
        """The handle of the pool that the graph's memory is from."""
        if self._pool is None:
            raise RuntimeError("Called CUDAGraph::pool() without a preceding capture.")
        return self._pool.handle

    def enable_debug_mode(self) -> None:
        """Nothing to enable: :meth:`debug_dump` works for each graph."""

    def debug_dump(self, debug_path: str) -> None:
        """Writes the graph to a file, in DOT."""
        if self._graph is None:
            raise RuntimeError(
                "Called CUDAGraph::debug_dump without a preceding capture"
            )
        with open(debug_path, "w", encoding="utf-8") as file:
            file.write(self._graph.debug_dot_str())


class graph:
    """A block whose work is recorded by a :class:`CUDAGraph` on a stream of its own.

    Args:
        cuda_graph: what records.
        pool: as :meth:`CUDAGraph.capture_begin`'s.
        stream: what to record on; one stream is kept for all graphs without.
        capture_error_mode: as :meth:`CUDAGraph.capture_begin`'s.
    """

    default_capture_stream: Any = None

    def __init__(
        self,
        cuda_graph: CUDAGraph,
        pool: Any = None,
        stream: Any = None,
        capture_error_mode: str = "global",
    ) -> None:
        if stream is None:
            if graph.default_capture_stream is None:
                graph.default_capture_stream = torch.cuda.Stream()
            stream = graph.default_capture_stream
        self.cuda_graph = cuda_graph
        self.capture_stream = stream
        self._pool = pool
        self._mode = capture_error_mode
        self._context = torch.cuda.stream(stream)

    def __enter__(self) -> None:
        torch.cuda.synchronize()
        gc.collect()
        torch.cuda.empty_cache()
        self._context.__enter__()
        try:
            self.cuda_graph.capture_begin(self._pool, self._mode)
        except Exception:
            self._context.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.cuda_graph.capture_end()
        except Exception:
            if error is None:  # else that is what went wrong
                raise
        finally:
            self._context.__exit__(kind, error, traceback)


# Callables whose forward and backward passes are graphs.


def make_graphed_callables(
    callables: Any,
    sample_args: Any,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Functions or modules whose forward and backward passes are replayed graphs.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.cuda.make_graphed_callables.html.

    Args:
        callables: one, or a tuple of several in the order in which they run.
        sample_args: the tuple of tensors that it is called with (a tuple of them, for
            several). Calls take tensors of these shapes, on the device.
        num_warmup_iters: calls before recording.
        allow_unused_input: whether arguments may have no gradient.
        pool: a handle of the pool to share memory with.

    Returns:
        A callable for each. Modules stay themselves, with another ``forward`` in the
        training mode that they had when they were recorded.
    """
    several = isinstance(callables, tuple)
    functions = callables if several else (callables,)
    samples = sample_args if several else (sample_args,)
    for function in functions:
        if isinstance(function, torch.nn.Module) and (
            function._backward_hooks
            or function._forward_hooks
            or function._forward_pre_hooks
        ):
            raise RuntimeError(
                "Modules must not have hooks registered at the time they are passed. "
                "However, registering hooks on modules after passing them through "
                "make_graphed_callables is allowed."
            )
    pool = graph_pool_handle() if pool is None else pool
    parts = [
        _Recorded(function, tuple(sample), allow_unused_input)
        for function, sample in zip(functions, samples, strict=True)
    ]
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        for part in parts:
            part.warm_up(num_warmup_iters)
    torch.cuda.synchronize()
    for part in parts:
        part.record_forward(pool)
    for part in reversed(parts):
        part.record_backward(pool)
    made = tuple(part.callable() for part in parts)
    return made if several else made[0]


def _flat(value: Any) -> list[Any]:
    """The tensors of a result: one, or a tuple or list of them."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


class _Recorded:
    """A function's forward and backward graphs, and the tensors that they work on."""

    def __init__(self, function: Any, sample: tuple[Any, ...], unused: bool) -> None:
        self.function = function
        self.sample = sample
        self.unused = unused
        module = isinstance(function, torch.nn.Module)
        self.parameters = tuple(function.parameters()) if module else ()
        self.inputs = (*sample, *self.parameters)
        self.wanted = tuple(t for t in self.inputs if t.requires_grad)
        self.forward_graph = CUDAGraph()
        self.backward_graph = CUDAGraph()
        self.outputs: Any = None
        self.grad_outputs: list[Any] = []
        self.grad_inputs: list[Any] = []

    def _grads(self, outputs: list[Any], given: list[Any]) -> tuple[Any, ...]:
        heads = [t for t in outputs if t.requires_grad]
        if not heads or not self.wanted:
            return ()
        return torch.autograd.grad(  # type: ignore[no-any-return]
            heads, self.wanted, given, allow_unused=self.unused
        )

    def warm_up(self, times: int) -> None:
        for _ in range(times):
            outputs = _flat(self.function(*self.sample))
            given = [torch.empty_like(t) for t in outputs if t.requires_grad]
            self._grads(outputs, given)

    def record_forward(self, pool: Any) -> None:
        with graph(self.forward_graph, pool=pool):
            self.outputs = self.function(*self.sample)

    def record_backward(self, pool: Any) -> None:
        outputs = _flat(self.outputs)
        self.grad_outputs = [
            torch.empty_like(t) if t.requires_grad else None for t in outputs
        ]
        given = [t for t in self.grad_outputs if t is not None]
        made: tuple[Any, ...] = ()
        if given and self.wanted:
            with graph(self.backward_graph, pool=pool):
                made = self._grads(outputs, given)
        grads = iter(made)
        self.grad_inputs = [
            next(grads, None) if t.requires_grad else None for t in self.inputs
        ]

    def callable(self) -> Any:
        recorded = self
        shape = type(self.outputs) if isinstance(self.outputs, (tuple, list)) else None

        class Graphed(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *inputs: Any) -> Any:
                for held, new in zip(recorded.sample, inputs, strict=False):
                    if held.data_ptr() != new.data_ptr():
                        held.detach().copy_(new)
                recorded.forward_graph.replay()
                made = tuple(t.detach() for t in _flat(recorded.outputs))
                flags = [t.requires_grad for t in _flat(recorded.outputs)]
                ctx.mark_non_differentiable(
                    *[t for t, flag in zip(made, flags, strict=True) if not flag]
                )
                return made

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> Any:
                for held, new in zip(recorded.grad_outputs, grads, strict=True):
                    if held is not None and held.data_ptr() != new.data_ptr():
                        held.copy_(new)
                recorded.backward_graph.replay()
                return tuple(
                    None if t is None else t.detach() for t in recorded.grad_inputs
                )

        def run(*args: Any) -> Any:
            made = Graphed.apply(*args, *recorded.parameters)
            return made[0] if shape is None else shape(made)

        if not isinstance(self.function, torch.nn.Module):
            return run
        return _with_forward(self.function, run)


def _with_forward(module: Any, run: Callable[..., Any]) -> Any:
    """The module, which replays in the mode that it was recorded in."""
    original, mode = module.forward, module.training

    def forward(*args: Any) -> Any:
        return run(*args) if module.training == mode else original(*args)

    module.forward = forward
    return module
