"""``torch.futures``: results that come later, from any thread."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]

T = TypeVar("T")
S = TypeVar("S")


class Future(Generic[T]):
    """A result that somebody sets once, and that others wait for.

    ``devices`` are those whose tensors the result may hold; work that is queued on them
    when the result is set is waited for by ``wait``.
    """

    def __init__(self, *, devices: list[Any] | None = None) -> None:
        from dispatchtorch.backend import get_backend, resolve_device

        self._devices = []
        for device in devices or ():
            backend, index = resolve_device(device)
            self._devices.append((get_backend(backend.device_type), index))
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Future[T]], Any]] = []

    def done(self) -> bool:
        """Whether there is a result or an error."""
        return self._done.is_set()

    def wait(self) -> T:
        """The result, once it is there; raises the error that was set instead."""
        self._done.wait()
        for backend, index in self._devices:
            backend.synchronize(index)
        return self.value()

    def value(self) -> T:
        """The result, which has to be there; raises the error that was set instead."""
        if not self.done():
            raise RuntimeError("the Future has no value yet; call wait() instead")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def then(self, callback: Callable[[Future[T]], S]) -> Future[S]:
        """A future of what ``callback`` makes of this one once it is done."""
        made: Future[S] = Future()
        made._devices = list(self._devices)

        def run(done: Future[T]) -> None:
            try:
                made.set_result(callback(done))
            except Exception as error:
                words = f"Got the following error when running the callback: {type(error).__name__}: {error}\n\nAt:\n"
                lines = traceback.extract_tb(error.__traceback__)
                words += "".join(
                    f"  {line.filename}({line.lineno}): {line.name}\n" for line in lines
                )
                made.set_exception(RuntimeError(words))

        self._when_done(run)
        return made

    def add_done_callback(self, callback: Callable[[Future[T]], None]) -> None:
        """Calls ``callback`` once the future is done; its errors are printed."""

        def run(done: Future[T]) -> None:
            try:
                callback(done)
            except Exception:
                traceback.print_exc()

        self._when_done(run)

    def _when_done(self, run: Callable[[Future[T]], Any]) -> None:
        with self._lock:
            if not self.done():
                self._callbacks.append(run)
                return
        run(self)

    def set_result(self, result: T) -> None:
        """Sets the result and wakes whoever waits; RuntimeError the second time."""
        self._complete(result, None)

    def set_exception(self, result: BaseException) -> None:
        """Sets an error, which ``wait`` and ``value`` raise."""
        if not isinstance(result, Exception):
            raise AssertionError(
                f"{result} is of type {type(result)}, not an Exception."
            )
        self._complete(None, result)

    def _complete(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self.done():
                raise RuntimeError(
                    "Attempting to mark a completed Future as complete again. Note that "
                    "a Future can only be marked completed once."
                )
            self._value, self._error = value, error
            callbacks, self._callbacks = self._callbacks, []
            self._done.set()
        for run in callbacks:
            run(self)


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list itself once all are done; the first error fails it at once."""
    made: Future[list[Future[Any]]] = Future()
    lock = threading.Lock()
    left = len(futures)

    def one_done(future: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            failed = future._error is not None
            if made.done() or not (failed or left == 0):
                return
            if failed:
                made.set_exception(future._error)  # type: ignore[arg-type]
            else:
                made.set_result(futures)

    if not futures:
        made.set_result(futures)
    for future in futures:
        future._when_done(one_done)
    return made


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The results of all; raises the first error."""
    return [future.wait() for future in collect_all(futures).wait()]
