"""The pytest plugin of the conformance kit: options, and results as pytest shows them.

    pytest --pyargs dispatchtorch.testing --device npu [--ops REGEX] [--dtypes A,B]

An installed dispatchtorch loads the plugin where ``dispatchtorch.testing`` is among the
arguments, and only there; elsewhere ``-p dispatchtorch.testing.pytest_plugin`` does.
"""

from __future__ import annotations

from typing import Any

import pytest

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dispatchtorch", "dispatchtorch's conformance kit")
    group.addoption("--device", default="cpu", help="device to test (cpu)")
    group.addoption("--ops", default="", help="operators with names that match (all)")
    group.addoption("--dtypes", default="", help="dtypes to try, e.g. float32,int64")


@pytest.fixture(scope="session")
def kit(request: pytest.FixtureRequest) -> Any:
    """The kit of the device that ``--device`` names."""
    return kit_of(request.config)


def kit_of(config: pytest.Config) -> Any:
    """The kit that a run's options ask for, made once."""
    from dispatchtorch import device_layer

    from .conformance import Kit

    made = config.stash.get(_KIT, None)
    if made is None:
        dtypes = config.getoption("--dtypes")
        made = Kit(config.getoption("--device"), dtypes.split(",") if dtypes else None)
        config.stash[_KIT] = made
        if device_layer.get_fallback_policy() == "warn":
            device_layer.set_fallback_policy("silent")
    return made


def pytest_unconfigure(config: pytest.Config) -> None:
    if config.stash.get(_KIT, None) is not None:
        from dispatchtorch import device_layer

        device_layer.set_fallback_policy(None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = metafunc.fixturenames
    if "operator_and_dtype" in names:
        found = kit_of(metafunc.config).operators(metafunc.config.getoption("--ops"))
        ids = [f"{row.name}-{dtype}" for row, dtype in found]
        metafunc.parametrize("operator_and_dtype", found, ids=ids)
    elif "device_check" in names:
        checks = kit_of(metafunc.config).checks()
        if metafunc.config.getoption("--ops"):
            checks = []
        metafunc.parametrize("device_check", checks)


def pytest_report_header(config: pytest.Config) -> str:
    return f"dispatchtorch conformance of '{config.getoption('--device')}'"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How many operators each fallback served."""
    if config.stash.get(_KIT, None) is None:
        return
    from dispatchtorch import device_layer

    kind = config.stash[_KIT].backend.device_type
    counts = device_layer.fallback_counts().items()
    moved = [
        (name, calls, size) for (name, where), (calls, size) in counts if where == kind
    ]
    if moved:
        terminalreporter.section("crossings to the host")
        for name, calls, size in sorted(moved, key=lambda each: -each[1]):
            terminalreporter.line(f"{name}: {calls} calls, {size} bytes")


def settle(result: Any) -> None:
    """Ends a test as its result says."""
    if result.outcome in ("unsupported", "not applicable"):
        pytest.skip(f"{result.outcome}: {result.detail}")
    if result.outcome == "known failure":
        pytest.xfail(result.detail)
    if result.failed:
        pytest.fail(f"{result.sample} {result.detail}".strip(), pytrace=False)


_KIT = pytest.StashKey[Any]()
