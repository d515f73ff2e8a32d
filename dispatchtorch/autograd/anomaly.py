"""Anomaly detection: names the forward line of a node that fails or makes NaN."""

from __future__ import annotations

import warnings
from typing import Any

from dispatchtorch.autograd.recorder import ANOMALY
from dispatchtorch.dispatch import state

__all__ = ["detect_anomaly", "is_anomaly_enabled", "set_detect_anomaly"]

_check_nan = True


def checks_nan() -> bool:
    return _check_nan


def is_anomaly_enabled() -> bool:
    return bool(state.tls.include & ANOMALY)


class set_detect_anomaly:
    """Switches anomaly detection at once; as a context manager, for the block only."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        global _check_nan
        self.before = (is_anomaly_enabled(), _check_nan)
        _check_nan = check_nan
        _switch(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        global _check_nan
        mode, _check_nan = self.before
        _switch(mode)


def _switch(mode: bool) -> None:
    include = state.tls.include | ANOMALY if mode else state.tls.include & ~ANOMALY
    state.update(state.tls.mask, include)


class detect_anomaly:
    """A block in which nodes remember where they were made and are checked for NaN."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self._inner: Any = None
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime "
            "and should only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self._inner = set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *exc_info: object) -> None:
        self._inner.__exit__()
