"""A plugin can fail only itself, and leaves nothing behind."""

from __future__ import annotations

import pytest
from plugin_sites import HEAD, Site, device_plugin, plugin

FAILURES = {
    "import": ("import no_such_driver", "ModuleNotFoundError: No module named"),
    "syntax": ("def broken(:", "SyntaxError"),
    "exit at import": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "object": ("plugin = 1", "has no attribute 'Plugin'"),
    "no hook": (plugin("pass"), "has no hook"),
    "init": (plugin("def __init__(self): 1 / 0"), "ZeroDivisionError"),
    "exit in hook": (
        plugin("def dispatchtorch_register_device(self, register): raise SystemExit"),
        "SystemExit",
    ),
    "hook": (
        plugin("def dispatchtorch_register_device(self, register): 1 / 0"),
        "ZeroDivisionError: division by zero",
    ),
    "unknown hook": (
        device_plugin("npu") + "    def dispatchtorch_regster_layers(self): pass",
        "'dispatchtorch_regster_layers' isn't a hook; the hooks are",
    ),
    "parameter": (
        plugin("def dispatchtorch_register_device(self, registry): pass"),
        "registry",
    ),
    "no device": (
        plugin("def dispatchtorch_register_device(self, register): pass"),
        "is declared as a device and registered none",
    ),
    "another device": (
        plugin(
            "def dispatchtorch_register_device(self, register):\n"
            "    register(Device('tpu'))"
        ),
        "registered tpu",
    ),
    "twice": (
        plugin(
            "def dispatchtorch_register_device(self, register):\n"
            "    register(Device('npu'))\n"
            "    register(Device('npu'))"
        ),
        "the device type 'npu' is taken by the plugin itself",
    ),
    "built-in device": (
        plugin(
            "def dispatchtorch_register_device(self, register):\n"
            "    register(Device('npu'))\n"
            "    register(Device('cpu'))"
        ),
        "the device type 'cpu' is taken by the core",
    ),
    "no backend": (
        plugin("def dispatchtorch_register_device(self, register): register(Device)"),
        "dispatchtorch_register_device registers instances of Backend, not type",
    ),
    "no layer": (
        plugin("def dispatchtorch_register_layers(self, register): register(1)"),
        "dispatchtorch_register_layers registers instances of Layer, not int",
    ),
    "no overlay": (
        plugin("def dispatchtorch_register_kernels(self, register): register(1)"),
        "is declared as a device and registered none",
    ),
    "description": (
        plugin("def dispatchtorch_describe(self): return 'npu'"),
        "dispatchtorch_describe must return a dict, not str",
    ),
    "described device": (
        plugin("def dispatchtorch_describe(self): return {'device': 'tpu'}"),
        "names the device 'tpu', and the entry point 'npu'",
    ),
}
# Kernels come last, after the device that they are for.
FAILURES["no overlay"] = (
    device_plugin("npu")
    + "    def dispatchtorch_register_kernels(self, register): register(1)",
    "dispatchtorch_register_kernels registers instances of Overlay, not int",
)


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_stays_with_its_plugin(site: Site, case: str) -> None:
    source, words = FAILURES[case]
    site.device("npu", source=source)
    site.device("good")
    site.run(f"""
        error = error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        assert {words!r} in str(error), error
        assert "The plugin of 'npu', dispatchtorch-npu 1.0, failed to load" in str(error)
        found = status("npu")
        assert found.state == "failed" and {words!r} in found.error
        assert "Traceback" in found.traceback or "SyntaxError" in found.traceback
        assert found.provides == () and found.hint
        assert not set(registered_backends()) - {{"cpu", "meta"}}
        again = error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        assert str(again) == str(error)
        assert get_backend("good").device_type == "good"
    """)


def test_what_was_registered_before_the_failure_is_undone(site: Site) -> None:
    site.device(
        "npu",
        source=plugin("""
        def dispatchtorch_register_operators(self, library):
            @library.operator("npu_twice(Tensor self) -> Tensor", inplace=True)
            def npu_twice(self):
                return self + self
        def dispatchtorch_register_layers(self, register):
            layer = Layer()
            layer.name = "npu_layer"
            register(layer)
        def dispatchtorch_register_device(self, register):
            register(Device("npu"))
            register(Device("npusim"))
        def dispatchtorch_register_kernels(self, register):
            register(Overlay("npu_overlay", "npu"))
            raise OSError("the driver hung up")
        """),
    )
    site.run("""
        from dispatchtorch.dispatch.layer import registered_layers
        from dispatchtorch.dispatch.operator import all_operators
        error = error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        assert "OSError: the driver hung up" in str(error)
        assert not {"npu", "npusim"} & set(registered_backends())
        assert "npu_layer" not in [layer.name for layer in registered_layers()]
        assert not backend.overlays_for("npu")
        assert not {"npu_twice", "npu_twice_"} & set(all_operators())
    """)


def test_an_operator_whose_declaration_fails_halfway_is_undone(site: Site) -> None:
    site.extension(
        "ops",
        plugin("""
        def dispatchtorch_register_operators(self, library):
            library.primitive("ops_twice_(Tensor self) -> Tensor")
            library.primitive("ops_twice(Tensor self) -> Tensor", inplace=True)
        """),
    )
    site.run("""
        import warnings
        from dispatchtorch.dispatch.operator import all_operators
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            manager.load_extensions()
        assert "ops_twice_' is declared already" in status("ops").error
        assert not [name for name in all_operators() if name.startswith("ops_twice")]
    """)


def test_a_failed_extension_is_left_out_with_one_warning(site: Site) -> None:
    site.extension("broken", "raise OSError('no library')")
    site.extension("fast")
    site.run("""
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager.load_extensions()
            manager.load_extensions()
        (warning,) = [w for w in caught if w.category is plugins.PluginWarning]
        text = str(warning.message)
        assert "'broken' (dispatchtorch-broken 1.0)" in text
        assert "OSError: no library" in text
        assert "DISPATCHTORCH_PLUGINS_DENY=broken" in text
        assert status("fast").state == "loaded"
    """)


def test_an_interrupt_passes_through_and_the_plugin_can_load_later(site: Site) -> None:
    site.device(
        "npu",
        source=HEAD
        + """
    interrupted = False
    def dispatchtorch_register_device(self, register):
        register(Device("npu"))
        if not Plugin.interrupted:
            Plugin.interrupted = True
            raise KeyboardInterrupt
""",
    )
    site.run("""
        error_of(get_backend, "npu", kind=KeyboardInterrupt)
        assert "npu" not in registered_backends()
        assert status("npu").state == "not loaded"
        assert get_backend("npu").device_type == "npu"
    """)


def test_a_plugin_whose_own_code_names_its_device_is_told(site: Site) -> None:
    site.device(
        "npu",
        source="from dispatchtorch.backend import get_backend\nget_backend('npu')",
    )
    site.run("""
        error = error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        assert "is still being loaded: its own code names the device" in str(error)
    """)


def test_a_callback_kept_after_the_plugin_failed_is_refused(site: Site) -> None:
    site.device(
        "npu",
        source=HEAD
        + """
    def dispatchtorch_register_device(self, register):
        Plugin.late = register
        raise OSError
""",
    )
    site.run("""
        error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        from npu_plugin import Device, Plugin
        error = error_of(Plugin.late, Device("npu"), kind=plugins.PluginError)
        assert "isn't registered" in str(error)
        assert "npu" not in registered_backends()
    """)


def test_a_description_survives_the_failure_and_gives_the_hint(site: Site) -> None:
    site.device(
        "npu",
        source=plugin("""
        def dispatchtorch_describe(self):
            return {"install": "apt install libnpu", "summary": "the NPU"}
        def dispatchtorch_register_device(self, register):
            import no_such_driver
        """),
    )
    site.run("""
        text = str(error_of(get_backend, "npu"))
        assert "(to fix it: apt install libnpu)" in text
        assert status("npu").summary == "the NPU"
    """)


def test_threads_that_name_a_device_at_once_load_it_once(site: Site) -> None:
    site.device(
        "npu",
        source="import time\n"
        "import builtins\n"
        "builtins.loads = getattr(builtins, 'loads', 0) + 1\n"
        "time.sleep(0.1)\n" + device_plugin("npu"),
    )
    site.extension("fast")
    site.run("""
        import builtins
        from concurrent.futures import ThreadPoolExecutor
        sys.setswitchinterval(1e-5)
        def work(i):
            if i % 3 == 0:
                manager.load_extensions()
            if i % 5 == 0:
                manager.report()
            return get_backend("npu")
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(work, range(64)))
        assert len(set(map(id, found))) == 1
        assert builtins.loads == 1
        assert [o.name for o in backend.overlays_for("cpu")].count("fast") == 1
    """)


def test_the_error_for_an_unknown_device_says_what_there_is(site: Site) -> None:
    site.device("npu")
    site.device("broken", source="raise OSError('no driver')")
    site.device("denied")
    site.install("future", {"next": "future:Plugin [api-9]"}, {})
    site.run(
        """
        error_of(get_backend, "broken")
        error = error_of(get_backend, "xyz", kind=plugins.UnknownDeviceError)
        first, *rest = str(error).splitlines()
        assert isinstance(error, RuntimeError)
        assert first.startswith("Expected one of cpu, meta")
        assert first.endswith("device type at start of device string: xyz")
        named = first.removeprefix("Expected one of ").split(" device")[0].split(", ")
        assert "npu" in named and not {"broken", "denied", "next"} & set(named)
        assert rest[0] == "No installed plugin provides 'xyz'."
        rest = "\\n".join(rest[1:])
        assert "npu (dispatchtorch-npu 1.0)" in rest
        assert "failed: 'broken' (dispatchtorch-broken 1.0): OSError: no driver" in rest
        assert "blocked: 'denied' (dispatchtorch-denied 1.0): blocked by" in rest
        assert "incompatible: 'next' (future 1.0): it is made for version 9" in rest
        assert "not installed: cuda: pip install 'dispatchtorch[cuda]'" in rest
        """,
        PLUGINS_DENY="denied",
    )


def test_the_error_for_a_known_device_has_the_line_that_installs_it(site: Site) -> None:
    site.run(
        """
        second = str(error_of(get_backend, "cuda")).splitlines()[1]
        assert second.endswith("isn't installed: pip install 'dispatchtorch[cuda]'")
        """
    )
