"""Each hook, on plugins registered in-process."""

from __future__ import annotations

import argparse
from types import ModuleType
from typing import Any

import pytest

from dispatchtorch import plugins
from dispatchtorch.backend import Backend, Overlay, overlays_for, registered_backends
from dispatchtorch.dispatch.layer import Layer, registered_layers
from dispatchtorch.dispatch.operator import all_operators, get_operator
from dispatchtorch.hookspecs import hookimpl
from dispatchtorch.plugins import PluginError, PluginManager, PluginStatus


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    """A manager that knows the built-in devices alone."""
    monkeypatch.setenv("DISPATCHTORCH_PLUGINS", "0")
    return PluginManager()


class Device(Backend):
    def __init__(self, name: str) -> None:
        self.device_type = name
        super().__init__()


def status(manager: PluginManager, name: str) -> PluginStatus:
    return next(s for s in manager.report() if s.name == name)


class DevicePlugin:
    def dispatchtorch_register_device(self, register: Any) -> None:
        register(Device("hooknpu"))


def test_describe_fills_the_report(manager: PluginManager) -> None:
    class Described(DevicePlugin):
        def dispatchtorch_describe(self) -> dict[str, object]:
            return {
                "device": "hooknpu",
                "api": (1, 1),
                "dtypes": ("float32", "int64"),
                "install": "apt install npu",
                "summary": "An NPU.",
            }

    with manager.register(Described, name="hooknpu"):
        found = status(manager, "hooknpu")
    assert found.summary == "An NPU."
    assert found.dtypes == ("float32", "int64")
    assert found.hint == "apt install npu"


@pytest.mark.parametrize("versions", [(2, 3), (0, 0)])
def test_describe_with_another_api_range_is_incompatible(
    manager: PluginManager, versions: tuple[int, int]
) -> None:
    class Other(DevicePlugin):
        def dispatchtorch_describe(self) -> dict[str, object]:
            return {"api": versions}

    with pytest.raises(PluginError, match="it is made for version"):
        manager.register(Other)
    assert "hooknpu" not in registered_backends()


def test_register_device_adds_a_backend_until_the_handle_is_removed(
    manager: PluginManager,
) -> None:
    handle = manager.register(DevicePlugin, name="hooknpu")
    assert "hooknpu" in registered_backends()
    found = status(manager, "hooknpu")
    assert (found.kind, found.origin, found.state) == ("device", "in-process", "loaded")
    assert found.devices == ("hooknpu",)
    handle.remove()
    handle.remove()
    assert "hooknpu" not in registered_backends()
    assert "hooknpu" not in [s.name for s in manager.report()]


def test_register_device_refuses_a_device_of_another_plugin(
    manager: PluginManager,
) -> None:
    with (
        manager.register(DevicePlugin, name="first"),
        pytest.raises(PluginError, match=r"taken by the plugin 'first' \(in-process\)"),
    ):
        manager.register(DevicePlugin, name="second")
    assert "hooknpu" not in registered_backends()


def test_register_kernels_lays_overlays_over_devices(manager: PluginManager) -> None:
    class Fast:
        def dispatchtorch_register_kernels(self, register: Any) -> None:
            register(Overlay("slow", "hooknpu", priority=1))
            register(Overlay("fast", "hooknpu", priority=2))

    with manager.register(Fast, name="fast"):
        assert [o.name for o in overlays_for("hooknpu")] == ["fast", "slow"]
        assert status(manager, "fast").provides == (
            "overlay slow on hooknpu",
            "overlay fast on hooknpu",
        )
    assert not overlays_for("hooknpu")


def test_register_layers_adds_layers(manager: PluginManager) -> None:
    class Counting(Layer):
        name = "hookcount"

    class Layers:
        def dispatchtorch_register_layers(self, register: Any) -> None:
            register(Counting())

    with manager.register(Layers, name="count"):
        assert "hookcount" in [layer.name for layer in registered_layers()]
        assert status(manager, "count").provides == ("layer hookcount",)
    assert "hookcount" not in [layer.name for layer in registered_layers()]


def test_register_operators_declares_operators_and_their_variants(
    manager: PluginManager,
) -> None:
    class Operators:
        def dispatchtorch_register_operators(self, library: Any) -> None:
            @library.operator("hook_twice(Tensor self) -> Tensor", inplace=True)
            def hook_twice(self: Any) -> Any:
                """Twice the values."""
                return self + self

            library.primitive("hook_fft(Tensor self) -> Tensor", tags="linear")

    with manager.register(Operators, name="ops"):
        assert get_operator("hook_twice").__doc__ == "Twice the values."
        assert get_operator("hook_twice_").functional is get_operator("hook_twice")
        assert get_operator("hook_fft").is_primitive
        assert set(status(manager, "ops").provides) == {
            "operator hook_twice",
            "operator hook_twice_",
            "operator hook_fft",
        }
    assert not [name for name in all_operators() if name.startswith("hook_")]


def _parser() -> tuple[argparse.ArgumentParser, Any]:
    parser = argparse.ArgumentParser(prog="dispatchtorch")
    subparsers = parser.add_subparsers()
    subparsers.add_parser("doctor", help="what is installed")
    return parser, subparsers


class Commands:
    def dispatchtorch_register_commands(self, subparsers: Any) -> None:
        command = subparsers.add_parser("flash", help="writes the firmware")
        command.set_defaults(run=lambda: "flashed")


def test_register_commands_adds_them_to_the_program(manager: PluginManager) -> None:
    parser, subparsers = _parser()
    with manager.register(Commands):
        manager.register_commands(subparsers)
    assert parser.parse_args(["flash"]).run() == "flashed"
    assert "writes the firmware" in parser.format_help()


def test_register_commands_that_fails_leaves_no_command_behind(
    manager: PluginManager,
) -> None:
    class Clumsy:
        def dispatchtorch_register_commands(self, subparsers: Any) -> None:
            subparsers.add_parser("half", help="half a command")
            raise OSError("no board")

    parser, subparsers = _parser()
    with manager.register(Clumsy), manager.register(Commands):
        manager.register_commands(subparsers)
        assert "OSError: no board" in status(manager, "Clumsy").error
    assert set(subparsers.choices) == {"doctor", "flash"}
    assert "half a command" not in parser.format_help()


def test_register_commands_cannot_replace_a_command(manager: PluginManager) -> None:
    class Usurper:
        def dispatchtorch_register_commands(self, subparsers: Any) -> None:
            subparsers.add_parser("doctor")

    _, subparsers = _parser()
    doctor = subparsers.choices["doctor"]
    with manager.register(Usurper):
        manager.register_commands(subparsers)
        assert "conflicting subparser" in status(manager, "Usurper").error
    assert subparsers.choices["doctor"] is doctor


class Reporting:
    def dispatchtorch_device_report(self, device: str) -> dict[str, object] | None:
        return {"memory": 64} if device == "cpu" else None

    def dispatchtorch_conformance_expectations(
        self, device: str
    ) -> dict[str, object] | None:
        return {"known_failures": {"eig": "no LAPACK"}} if device == "cpu" else None


class FailingToReport:
    def dispatchtorch_device_report(self, device: str) -> dict[str, object]:
        raise OSError("the board is gone")

    def dispatchtorch_conformance_expectations(self, device: str) -> dict[str, object]:
        return 1  # type: ignore[return-value]


def test_device_report_collects_what_plugins_say_of_a_device(
    manager: PluginManager,
) -> None:
    with manager.register(Reporting):
        assert manager.device_report("cpu") == {"Reporting": {"memory": 64}}
        assert manager.device_report("meta") == {}


def test_device_report_that_fails_says_so_in_its_place(manager: PluginManager) -> None:
    with manager.register(FailingToReport), manager.register(Reporting):
        found = manager.device_report("cpu")
    assert found["Reporting"] == {"memory": 64}
    assert "OSError: the board is gone" in str(found["FailingToReport"]["error"])


def test_device_report_that_fails_raises_in_strict_mode(
    manager: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPATCHTORCH_PLUGINS_STRICT", "1")
    with (
        manager.register(FailingToReport),
        pytest.raises(PluginError, match="the board is gone"),
    ):
        manager.device_report("cpu")


def test_conformance_expectations_are_collected_by_plugin(
    manager: PluginManager,
) -> None:
    with manager.register(Reporting):
        assert manager.conformance_expectations("cpu") == {
            "Reporting": {"known_failures": {"eig": "no LAPACK"}}
        }
        assert manager.conformance_expectations("meta") == {}


def test_conformance_expectations_that_fail_raise(manager: PluginManager) -> None:
    with (
        manager.register(FailingToReport),
        pytest.raises(PluginError, match="must return a dict, not int"),
    ):
        manager.conformance_expectations("cpu")


def test_a_module_and_marked_functions_make_a_plugin_too(
    manager: PluginManager,
) -> None:
    module = ModuleType("hook_module")

    @hookimpl
    def dispatchtorch_describe() -> dict[str, object]:
        return {"summary": "a module"}

    def dispatchtorch_register_layers() -> None:
        """A hook may leave out parameters."""

    vars(module).update(
        dispatchtorch_describe=dispatchtorch_describe,
        dispatchtorch_register_layers=dispatchtorch_register_layers,
    )
    with manager.register(module):
        assert status(manager, "hook_module").summary == "a module"


def test_a_name_is_registered_once(manager: PluginManager) -> None:
    with (
        manager.register(Commands),
        pytest.raises(PluginError, match="a plugin named 'Commands' is loaded already"),
    ):
        manager.register(Commands)


def test_a_plugin_that_fails_in_process_raises_and_leaves_nothing(
    manager: PluginManager,
) -> None:
    class Broken(DevicePlugin):
        def dispatchtorch_register_kernels(self, register: Any) -> None:
            raise SystemExit("no driver")

    with pytest.raises(PluginError, match="SystemExit: no driver") as caught:
        manager.register(Broken)
    assert isinstance(caught.value.__cause__, SystemExit)
    assert "hooknpu" not in registered_backends()
    assert "hooknpu" not in [s.name for s in manager.report()]


def test_a_failing_removal_undoes_the_rest(manager: PluginManager) -> None:
    class Stuck(Overlay):
        def install(self) -> Any:
            handle = super().install()

            class Handle:
                def remove(self) -> None:
                    handle.remove()
                    raise OSError("stuck")

            return Handle()

    class Plugin(DevicePlugin):
        def dispatchtorch_register_kernels(self, register: Any) -> None:
            register(Stuck("stuck", "hooknpu"))

    manager.register(Plugin, name="hooknpu").remove()
    assert "hooknpu" not in registered_backends()


def test_the_devices_that_can_be_had_are_not_built_in() -> None:
    assert not set(plugins.KNOWN) & set(plugins.BUILTIN)


def test_a_kept_callback_registers_more_until_the_plugin_is_removed(
    manager: PluginManager,
) -> None:
    kept: list[Any] = []

    class Late:
        def dispatchtorch_register_kernels(self, register: Any) -> None:
            kept.append(register)

    handle = manager.register(Late)
    kept[0](Overlay("late", "hooknpu"))
    assert [o.name for o in overlays_for("hooknpu")] == ["late"]
    handle.remove()
    assert not overlays_for("hooknpu")
    with pytest.raises(PluginError, match="isn't registered"):
        kept[0](Overlay("too late", "hooknpu"))
    assert not overlays_for("hooknpu")
