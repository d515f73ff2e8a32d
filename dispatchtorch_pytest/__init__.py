"""pytest's door to the conformance kit (entry point ``pytest11``).

pytest imports this in every run of an environment that has dispatchtorch, so it imports
nothing itself, and adds nothing unless ``dispatchtorch.testing`` is to be run.
"""

from __future__ import annotations

__all__: list[str] = []


def pytest_load_initial_conftests(early_config, parser, args):  # type: ignore[no-untyped-def]
    """Loads the kit's plugin where the kit is among the arguments."""
    if any("dispatchtorch.testing" in str(a).replace("/", ".") for a in args):
        manager = early_config.pluginmanager
        if not manager.has_plugin("dispatchtorch.testing.pytest_plugin"):
            manager.import_plugin("dispatchtorch.testing.pytest_plugin")
