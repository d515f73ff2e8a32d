"""``torch.monitor``: figures gathered over time, and events for whoever listens."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

__all__ = [
    "Aggregation",
    "Event",
    "EventHandlerHandle",
    "Stat",
    "TensorboardEventHandler",
    "data_value_t",
    "log_event",
    "register_event_handler",
    "unregister_event_handler",
]

STAT_EVENT = "torch.monitor.Stat"


class Aggregation(enum.Enum):
    """What is made of the values that were added in a window of time."""

    VALUE = 1
    MEAN = 2
    COUNT = 3
    SUM = 4
    MAX = 5
    MIN = 6


VALUE, MEAN, COUNT, SUM, MAX, MIN = Aggregation


class data_value_t:
    """The values that an event may hold: str, float, int or bool. For annotations."""


class Event:
    """Something that happened: a name, a time, and values by name."""

    def __init__(self, name: str, timestamp: datetime, data: Mapping[str, Any]) -> None:
        self.name = name
        self.timestamp = timestamp
        self.data = dict(data)


class EventHandlerHandle:
    """What ``unregister_event_handler`` takes."""

    def __init__(self, callback: Callable[[Event], None]) -> None:
        self._callback = callback


_handlers: list[EventHandlerHandle] = []


def register_event_handler(callback: Callable[[Event], None]) -> EventHandlerHandle:
    """Calls ``callback`` with every event from now on."""
    handle = EventHandlerHandle(callback)
    _handlers.append(handle)
    return handle


def unregister_event_handler(handler: EventHandlerHandle) -> None:
    """Ends what ``register_event_handler`` began."""
    if handler in _handlers:
        _handlers.remove(handler)


def log_event(event: Event) -> None:
    """Passes an event to all handlers."""
    for handler in list(_handlers):
        handler._callback(event)


class Stat:
    """Aggregates of the values added in each window of time.

    When a window is over (of ``window_size``, or after ``max_samples`` values), its
    aggregates are logged as an event and are what ``get`` returns; until then that is 0.
    """

    def __init__(
        self,
        name: str,
        aggregations: Iterable[Aggregation],
        window_size: timedelta,
        max_samples: int = 2**63 - 1,
    ) -> None:
        self.name = name
        self._kinds = sorted(set(aggregations), key=lambda kind: -kind.value)
        self._window = window_size
        self._most = max_samples
        self._lock = threading.RLock()
        self._values: list[float] = []
        self._start = datetime.now()
        self._last = dict.fromkeys(self._kinds, 0.0)

    def add(self, v: float) -> None:
        """Adds a value to the present window."""
        with self._lock:
            self._roll()
            self._values.append(float(v))
            if len(self._values) >= self._most:
                self._finish()

    def get(self) -> dict[Aggregation, float]:
        """The aggregates of the last window that is over."""
        with self._lock:
            self._roll()
            return dict(self._last)

    @property
    def count(self) -> int:
        """How many values the present window has."""
        with self._lock:
            self._roll()
            return len(self._values)

    def _roll(self) -> None:
        if datetime.now() - self._start >= self._window:
            self._finish()

    def _finish(self) -> None:
        values, self._values = self._values, []
        self._start = datetime.now()
        if not values:
            return
        made = {
            Aggregation.VALUE: values[-1],
            Aggregation.MEAN: sum(values) / len(values),
            Aggregation.COUNT: float(len(values)),
            Aggregation.SUM: sum(values),
            Aggregation.MAX: max(values),
            Aggregation.MIN: min(values),
        }
        self._last = {kind: made[kind] for kind in self._kinds}
        data = {f"{self.name}.{k.name.lower()}": v for k, v in self._last.items()}
        log_event(Event(STAT_EVENT, self._start, data))


class TensorboardEventHandler:
    """Writes the aggregates of statistics to a ``SummaryWriter``."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __call__(self, event: Event) -> None:
        if event.name == STAT_EVENT:
            time = event.timestamp.timestamp()
            for name, value in event.data.items():
                self._writer.add_scalar(name, value, walltime=time)
