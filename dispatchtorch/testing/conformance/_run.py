"""Running the kit: which checks there are for a device, and what became of each."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import dispatchtorch as torch
from dispatchtorch import device_layer
from dispatchtorch.backend import get_backend
from dispatchtorch.errors import FallbackError, UnsupportedOperator
from dispatchtorch.testing._results import TOLERANCES, Tolerance, tolerance
from dispatchtorch.testing.samples import OperatorSamples, database

from ._device import CHECKS, NotApplicable
from ._operators import Mismatch, check_operator
from ._result import Report, Result

__all__ = ["Kit", "run"]

_SUBJECT = "device"


class Kit:
    """The checks of one device, its plugin's expectations among them.

    ``dtypes`` are the names to try (all that the device has, by default). A fallback
    policy of "error" counts what would cross to the host as unsupported.
    """

    def __init__(self, device: str, dtypes: Iterable[str] | None = None) -> None:
        self.device = device
        self.backend = get_backend(torch.device(device).type)
        if not self.backend.is_available():
            raise RuntimeError(
                f"device '{device}' isn't available: {self.backend.unavailable_reason()}"
            )
        if self.backend.device_type == "meta":
            raise ValueError("tensors on 'meta' have no values to compare with cpu's")
        self.dtypes = None if dtypes is None else list(dtypes)
        for name in self.dtypes or ():
            if not hasattr(torch, name):
                raise ValueError(f"unknown dtype {name!r}")
        self.known, self.tolerances = _expectations(self.backend.device_type)

    def operators(self, pattern: str = "") -> list[tuple[OperatorSamples, str]]:
        """(row, dtype) for each check of an operator whose name matches ``pattern``."""
        wanted = re.compile(pattern)
        return [
            (row, dtype)
            for row in database().values()
            if wanted.search(row.name) and row.find(torch) is not None
            for dtype in row.dtypes
            if self.dtypes is None or dtype in self.dtypes
        ]

    def checks(self, pattern: str = "") -> list[str]:
        """The names of the checks of the device itself."""
        return [name for name in CHECKS if re.search(pattern, name)]

    def check_operator(self, row: OperatorSamples, dtype: str) -> Result:
        """One operator and dtype."""
        known = self.backend.dtypes
        if known is not None and getattr(torch, dtype) not in known:
            return Result(row.name, dtype, "unsupported", f"the device has no {dtype}")
        return self._judge(
            row.name,
            dtype,
            lambda: check_operator(row, dtype, self.device, self._tolerance(row)),
            self._known(row),
        )

    def check_device(self, name: str) -> Result:
        """One of the checks of the device itself."""
        check = CHECKS[name]
        return self._judge(
            _SUBJECT, name, lambda: check(self.device), self.known.get(name)
        )

    def _known(self, row: OperatorSamples) -> str | None:
        for name in (row.name, row.operator, *row.covers):
            if name in self.known:
                return self.known[name]
        return next(
            (
                why
                for name, why in self.known.items()
                if name.partition(".")[0] == row.operator
            ),
            None,
        )

    def _tolerance(self, row: OperatorSamples) -> Tolerance:
        usual = tolerance(row.loose)

        def of(dtype: str) -> tuple[float, float]:
            for name in (f"{row.name}:{dtype}", f"{row.operator}:{dtype}"):
                if name in self.tolerances:
                    return self.tolerances[name]
            if dtype in self.tolerances:
                rtol, atol = self.tolerances[dtype]
                return rtol * row.loose, atol * row.loose
            return usual(dtype)

        return of

    def _judge(
        self, subject: str, check: str, run: Callable[[], None], known: str | None
    ) -> Result:
        before = _crossings(self.backend.device_type)
        made = Result(subject, check, "pass")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run()
        except Mismatch as problem:
            made.outcome, made.detail = "fail", problem.detail
            made.sample = problem.sample
        except NotApplicable as reason:
            made.outcome, made.detail = "not applicable", str(reason)
            return made
        except (UnsupportedOperator, FallbackError) as error:
            made.outcome, made.detail = "unsupported", str(error)
        except Exception as error:
            if _SUBJECT == subject and isinstance(error, AssertionError):
                made.detail = str(error)
            else:
                made.detail = f"{type(error).__name__}: {error}"
            made.outcome = "fail"
        made.fallbacks = _crossings(self.backend.device_type) - before
        if made.outcome == "pass" and made.fallbacks:
            made.outcome = "fallback"
        if known is not None:
            if made.outcome == "fail":
                made.outcome = "known failure"
                made.detail = f"{known} ({made.detail})"
            elif made.outcome in ("pass", "fallback"):
                # One dtype that works isn't news: only a whole operator is.
                made.detail = f"the plugin says: {known}"
        return made


def run(
    device: str,
    ops: str = "",
    *,
    dtypes: Iterable[str] | None = None,
    device_checks: bool = True,
    progress: Callable[[Result], None] | None = None,
) -> Report:
    """Runs the kit on a device: operators whose names match ``ops``, and the device.

    The checks of the device itself are left out where ``ops`` is given, unless it
    matches none. ``progress`` is called with each result.
    """
    kit = Kit(device, dtypes)
    report = Report(device, _description(kit))
    started = time.perf_counter()
    policy = device_layer.get_fallback_policy()
    before = device_layer.fallback_counts()
    if policy == "warn":
        device_layer.set_fallback_policy("silent")
    try:
        for row, dtype in kit.operators(ops):
            _add(report, kit.check_operator(row, dtype), progress)
        if device_checks and not ops:
            for name in kit.checks():
                _add(report, kit.check_device(name), progress)
    finally:
        if policy == "warn":
            device_layer.set_fallback_policy(None)
    _mark_unexpected(report, kit)
    for (name, where), (calls, size) in device_layer.fallback_counts().items():
        if where == kit.backend.device_type:
            old_calls, old_size = before.get((name, where), (0, 0))
            if calls > old_calls:
                report.fallbacks[name] = (calls - old_calls, size - old_size)
    report.seconds = time.perf_counter() - started
    return report


def _add(
    report: Report, result: Result, progress: Callable[[Result], None] | None
) -> None:
    report.results.append(result)
    if progress is not None:
        progress(result)


def _mark_unexpected(report: Report, kit: Kit) -> None:
    """An operator that is said to fail and passes with every dtype is to be told of."""
    for results in report.by_subject().values():
        said = [r for r in results if r.detail.startswith("the plugin says: ")]
        if said and len(said) == len(results):
            for result in said:
                result.outcome = "unexpected pass"


def _crossings(device_type: str) -> int:
    return sum(
        calls
        for (_, where), (calls, _) in device_layer.fallback_counts().items()
        if where == device_type
    )


def _expectations(
    device_type: str,
) -> tuple[dict[str, str], dict[str, tuple[float, float]]]:
    """(known failures, tolerances) of all plugins that say something of the device."""
    from dispatchtorch.plugins import manager

    known: dict[str, str] = {}
    tolerances: dict[str, tuple[float, float]] = {}
    for plugin, said in manager.conformance_expectations(device_type).items():
        expected: Any = said
        unread = set(expected) - {"known_failures", "tolerances"}
        if unread:
            raise ValueError(
                f"the plugin {plugin!r} expects {', '.join(sorted(unread))}: the kit "
                "knows known_failures and tolerances"
            )
        known.update(expected.get("known_failures", {}))
        for name, pair in expected.get("tolerances", {}).items():
            if name.rpartition(":")[2] not in TOLERANCES:
                raise ValueError(f"the plugin {plugin!r}: no tolerance for {name!r}")
            tolerances[name] = (float(pair[0]), float(pair[1]))
    return known, tolerances


def _description(kit: Kit) -> dict[str, str]:
    from dispatchtorch.version import __version__

    backend = kit.backend
    return {
        "device": kit.device,
        "name": backend.device_name(torch.device(kit.device).index or 0),
        "backend": f"{type(backend).__module__} {backend.version}".strip(),
        "dispatchtorch": __version__,
        "fallback policy": device_layer.get_fallback_policy(),
    }
