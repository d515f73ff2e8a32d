"""The main process's side of workers: starting, asking, noticing death, ending.

Each worker has two pipes of its own, one for tasks and one for results. A worker
answers its tasks in order, so the order of results is the order in which pipes are
read. Ends of pipes that belong to the main process are closed in every process forked
from it: a pipe's closing is how a worker learns that the main process is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import connection
from typing import Any, NoReturn

from .transport import Channel
from .worker import Assignment, ExceptionWrapper, Reply, worker_main

__all__ = ["Pool"]

_JOIN_SECONDS = 5.0
# Descriptors on their way are limited by the system, for all of a user's processes.
_MAX_SEGMENTS = 256

_own_ends: weakref.WeakSet[Any] = weakref.WeakSet()


def _close_inherited() -> None:
    for end in list(_own_ends):
        end.close()
    _own_ends.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


class _Worker:
    def __init__(self, context: Any, job: Assignment, max_segments: int) -> None:
        tasks, task_end = context.Pipe(duplex=False)
        self.connection, results = context.Pipe(duplex=True)
        _own_ends.update((task_end, self.connection))
        self.tasks = Channel(task_end)
        self.results = Channel(self.connection)
        self.process = context.Process(
            target=worker_main, args=(job, tasks, results, max_segments), daemon=True
        )
        try:
            self.process.start()
        except BaseException:
            self.hang_up()
            raise
        finally:
            tasks.close()
            results.close()

    def hang_up(self) -> None:
        self.tasks.close()
        self.connection.close()


def _shut_down(workers: list[_Worker], owner: int) -> None:
    if os.getpid() != owner:
        return
    for worker in workers:
        worker.hang_up()
    deadline = time.monotonic() + _JOIN_SECONDS
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
    for end in (multiprocessing.Process.terminate, multiprocessing.Process.kill):
        stubborn = [w.process for w in workers if w.process.exitcode is None]
        for process in stubborn:
            end(process)
        for process in stubborn:
            process.join(_JOIN_SECONDS)


class Pool:
    """The workers of one iterator; they end with it, or with :meth:`shut_down`."""

    def __init__(
        self, context: Any, jobs: Iterable[Assignment], prefetch_factor: int
    ) -> None:
        context = context or multiprocessing.get_context()
        jobs = list(jobs)
        max_segments = max(1, _MAX_SEGMENTS // (len(jobs) * prefetch_factor))
        self.workers: list[_Worker] = []
        # Before the first start: what is started must end, whatever happens next.
        self.shut_down = weakref.finalize(self, _shut_down, self.workers, os.getpid())
        for job in jobs:
            self.workers.append(_Worker(context, job, max_segments))

    def send(self, worker_id: int, task: Any) -> None:
        """Gives a worker its next task, ``(index,)`` or ``"resume"``."""
        # That a worker is dead shows when its results are read.
        with suppress(OSError):
            self.workers[worker_id].tasks.send(task)

    def receive(self, candidates: Iterable[int], timeout: float) -> tuple[int, Any]:
        """``(worker_id, reply)`` of the first candidate that has one.

        Raises:
            RuntimeError: a candidate died, or ``timeout`` seconds (0: no limit) passed.
        """
        by_end: dict[Any, int] = {}
        for i in candidates:
            worker = self.workers[i]
            by_end[worker.connection] = by_end[worker.process.sentinel] = i
        ready = connection.wait(list(by_end), timeout or None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        worker_id = by_end[ready[0]]
        worker = self.workers[worker_id]
        try:
            if worker.connection.poll():  # the dead leave results behind
                return worker_id, worker.results.recv()
        except Exception as error:
            # Cut short by death, or whole but impossible to unpickle.
            if isinstance(error, OSError):
                worker.process.join(1.0)
            if not isinstance(error, EOFError) and worker.process.exitcode is None:
                where = f"reading from DataLoader worker process {worker_id}"
                return worker_id, (Reply.ERROR, ExceptionWrapper(error, where))
        self._report_death(worker)

    def resume(self) -> None:
        """Starts a new pass in all workers; what is left of the last one is lost."""
        everyone = range(len(self.workers))
        for i in everyone:
            self.send(i, "resume")
        for i in everyone:
            while self.receive([i], 0)[1][0] != Reply.RESUMED:
                pass

    def _report_death(self, worker: _Worker) -> NoReturn:
        process = worker.process
        process.join(_JOIN_SECONDS)
        code = process.exitcode
        if code is not None and code < 0:
            cause = f"is killed by signal: {signal.strsignal(-code)}. "
        else:
            cause = (
                f"exited unexpectedly with exit code {code}. Details are lost due to "
                "multiprocessing. Rerunning with num_workers=0 may give better error "
                "trace."
            )
        detail = RuntimeError(f"DataLoader worker (pid {process.pid}) {cause}")
        raise RuntimeError(
            f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly"
        ) from detail
