"""Finds the first operator that makes a NaN or an infinity, and the line that called it.

with sanitizer.enabled():
    loss = model(x).sum()
    loss.backward()
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from dispatchtorch_sanitizer.sanitizer import (
    ACTIONS,
    Finding,
    NonFiniteError,
    Sanitizer,
    sanitizer,
)

__all__ = ["ACTIONS", "Finding", "NonFiniteError", "Plugin", "Sanitizer", "enabled"]

enabled = sanitizer.enabled


class Plugin:
    """The hooks; docs/plugins.md of dispatchtorch describes them all."""

    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {"summary": "reports the first operator that makes a NaN or an infinity"}

    def dispatchtorch_register_layers(self, register: Callable[[Any], None]) -> None:
        action = os.environ.get("DISPATCHTORCH_SANITIZER", "")
        if action and action != "0":
            sanitizer.configure(action if action in ACTIONS else "raise")
            sanitizer.always = True
        register(sanitizer)

    def dispatchtorch_register_commands(self, subparsers: Any) -> None:
        parser = subparsers.add_parser(
            "sanitize", help="run a script, and stop where the first NaN or Inf is made"
        )
        parser.add_argument("--warn", action="store_true", help="warn, and go on")
        parser.add_argument("--nan-only", action="store_true", help="let Inf pass")
        parser.add_argument("script", metavar="SCRIPT")
        parser.add_argument("arguments", nargs="...", metavar="ARGS")
        parser.set_defaults(run=_sanitize)


def _sanitize(arguments: Any) -> int:
    from dispatchtorch.compat import run_script

    action = "warn" if arguments.warn else "raise"
    with enabled(action, inf=not arguments.nan_only):
        run_script(arguments.script, arguments.arguments)
    return 0
