"""Life in a worker process: what it knows of itself, its loop, its failures."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import dispatchtorch as torch

from .fetch import create_fetcher

__all__ = ["ExceptionWrapper", "Reply", "WorkerInfo", "get_worker_info"]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What :func:`get_worker_info` returns in a worker.

    Attributes:
        id: this worker's number, from 0.
        num_workers: how many there are.
        seed: what this worker's generators were seeded with.
        dataset: this process's copy of the dataset.
        rng: generators of its own where workers share a process; None in processes.
        worker_method: how workers run.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """This worker's :class:`WorkerInfo`; None in the main process."""
    return _worker_info


class _Verbatim(str):
    """A message that ``KeyError`` shows with its line breaks."""

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The exception being handled, as text that can cross a process boundary."""

    def __init__(self, exc: BaseException | None = None, where: str = "in background"):
        import traceback

        exc = exc if exc is not None else sys.exc_info()[1]
        assert exc is not None
        self.exc_type: type[BaseException] = type(exc)
        self.exc_msg = "".join(traceback.format_exception(exc))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raises the same exception again, its traceback in the message."""
        kind: Any = self.exc_type
        message = f"Caught {kind.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if kind is KeyError:
            raise KeyError(_Verbatim(message))
        if getattr(kind, "message", None):
            raise kind(message=message)
        try:
            exception = kind(message)
        except Exception:
            # A constructor with a signature of its own.
            raise RuntimeError(message) from None
        raise exception


class Reply:
    """The kinds of answer that a worker gives: ``(kind, payload)``."""

    DATA, ERROR, END, RESUMED = range(4)


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a worker process is told when it starts.

    ``first`` are its first tasks: with them it begins before its pipe is read.
    """

    worker_id: int
    num_workers: int
    base_seed: int
    dataset: Any
    iterable: bool
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    init_fn: Callable[[int], None] | None
    first: list[Any]


def _seed_everything(base_seed: int, worker_id: int) -> int:
    import random

    seed = base_seed + worker_id
    random.seed(seed)
    torch.manual_seed(seed)
    if numpy := sys.modules.get("numpy"):
        mask = (1 << 32) - 1
        entropy = [worker_id, base_seed & mask, base_seed >> 32, 0]
        state = numpy.random.SeedSequence(entropy).generate_state(4)
        numpy.random.seed(state)
    return seed


def _inbox(tasks: Any) -> Callable[[], Any]:
    """Gets from a queue that a thread fills from ``tasks``, and ends with None.

    The thread keeps the pipe empty, so that the main process never has to wait for
    this one while this one waits for the main process.
    """
    import queue
    import threading

    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def drain() -> None:
        while True:
            try:
                inbox.put(tasks.recv())
            except (EOFError, OSError):
                return inbox.put(None)
            except Exception as error:
                inbox.put(error)  # a task that can't be unpickled is answered too

    threading.Thread(target=drain, daemon=True).start()
    return inbox.get


def _serve(job: Assignment, tasks: Any, results: Any) -> None:
    where = f"in DataLoader worker process {job.worker_id}"
    failure: ExceptionWrapper | None = None
    fetcher: Any = None

    def begin(first: bool) -> None:
        nonlocal failure, fetcher
        failure = None
        try:
            if first and job.init_fn is not None:
                job.init_fn(job.worker_id)
            how = (job.auto_collation, job.collate_fn, job.drop_last)
            fetcher = create_fetcher(job.iterable, job.dataset, *how)
        except Exception as error:
            failure = ExceptionWrapper(error, where)

    def answer(index: Any) -> tuple[int, Any]:
        if failure is not None:
            return Reply.ERROR, failure
        try:
            return Reply.DATA, fetcher.fetch(index)
        except StopIteration as error:
            if job.iterable:
                return Reply.END, None
            return Reply.ERROR, ExceptionWrapper(error, where)
        except Exception as error:
            return Reply.ERROR, ExceptionWrapper(error, where)

    def send(kind: int, payload: Any) -> None:
        try:
            results.send((kind, payload))
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            if kind != Reply.ERROR:
                payload = ExceptionWrapper(error, where)
            elif payload.exc_type is not RuntimeError:
                payload.exc_type = RuntimeError  # its own class can't be pickled
            else:
                raise
            send(Reply.ERROR, payload)

    receive = _inbox(tasks)
    begin(first=True)
    ended = False
    for task in chain(job.first, iter(receive, None)):
        if isinstance(task, Exception):
            send(Reply.ERROR, ExceptionWrapper(task, where))
        elif task == "resume":
            begin(first=False)
            ended = False
            send(Reply.RESUMED, None)
        elif not ended:
            kind, payload = answer(*task)
            ended = kind == Reply.END
            send(kind, payload)
            del payload


def worker_main(job: Assignment, tasks: Any, results: Any, max_segments: int) -> None:
    """What a worker process runs, until its pipe of ``tasks`` closes."""
    from .transport import Channel

    global _worker_info
    # What was there before a fork stays, and its pages shared: a collection that went
    # through it would copy them.
    gc.freeze()
    torch.set_num_threads(1)
    seed = _seed_everything(job.base_seed, job.worker_id)
    _worker_info = WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset)
    try:
        _serve(job, Channel(tasks), Channel(results, max_segments))
    except (KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        pass  # the main process is interrupted too, or gone
