"""Plugins are found by their metadata, and loaded when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_sites import Site, device_plugin, overlay_plugin, plugin


def test_importing_the_core_neither_scans_nor_imports_pluggy(site: Site) -> None:
    site.device("npu")
    site.run("""
        assert "importlib.metadata" not in sys.modules
        assert "pluggy" not in sys.modules
        assert not imported("npu")
    """)


def test_a_scan_imports_no_plugin(site: Site) -> None:
    site.device("npu")
    site.extension("fast")
    site.run("""
        found = status("npu")
        assert found.state == "not loaded" and found.kind == "device"
        assert (found.distribution, found.version) == ("dispatchtorch-npu", "1.0")
        assert found.devices == ("npu",) and found.provides == ()
        assert status("fast").kind == "extension"
        assert not imported("npu") and not imported("fast")
    """)


def test_naming_a_device_loads_its_plugin_and_no_other(site: Site) -> None:
    site.device("npu")
    site.device("tpu")
    site.run("""
        assert get_backend("npu").device_type == "npu"
        assert status("npu").state == "loaded"
        assert status("npu").provides == ("device npu",)
        assert not imported("tpu") and status("tpu").state == "not loaded"
    """)


def test_naming_a_device_loads_no_extension(site: Site) -> None:
    site.device("npu")
    site.extension("fast")
    site.run("""
        get_backend("npu")
        assert not imported("fast")
    """)


def test_extensions_load_once(site: Site) -> None:
    site.extension("fast")
    site.run("""
        manager.load_extensions()
        manager.load_extensions()
        assert [o.name for o in backend.overlays_for("cpu")].count("fast") == 1
        assert status("fast").provides == ("overlay fast on cpu",)
    """)


def test_an_extension_may_run_operators_while_it_loads(site: Site) -> None:
    site.extension(
        "fast",
        "from dispatchtorch.plugins import manager\n"
        "manager.load_extensions()\n" + overlay_plugin("fast"),
    )
    site.run("""
        manager.load_extensions()
        assert status("fast").state == "loaded"
    """)


def test_a_device_that_an_extension_brings_is_found(site: Site) -> None:
    site.extension("suite", device_plugin("npu"))
    site.run("""
        assert get_backend("npu").device_type == "npu"
        assert status("suite").devices == ("npu",)
    """)


def test_one_object_may_bring_two_devices(site: Site) -> None:
    source = plugin("""
        def dispatchtorch_register_device(self, register):
            register(Device("npu"))
            register(Device("npusim"))
    """)
    value = "npu_plugin:Plugin [api-1]"
    site.install("npu", {"npu": value, "npusim": value}, {"npu_plugin": source})
    site.run("""
        assert get_backend("npusim").device_type == "npusim"
        assert get_backend("npu").device_type == "npu"
        assert {status("npu").state, status("npusim").state} == {"loaded"}
    """)


def test_a_device_whose_backend_was_removed_loads_again(site: Site) -> None:
    site.device("npu")
    site.run("""
        first = get_backend("npu")
        plugin = next(p for p in manager._plugins if p.name == "npu")
        plugin.undo[0][1]()
        assert "npu" not in registered_backends()
        second = get_backend("npu")
        assert second is not first
        assert status("npu").provides == ("device npu",)
    """)


def test_a_plugin_installed_while_the_process_runs_is_found(site: Site) -> None:
    site.run(
        f"""
        error_of(get_backend, "npu", kind=plugins.UnknownDeviceError)
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from plugin_sites import Site
        from pathlib import Path
        Site(Path({str(site.folder)!r})).device("npu")
        assert get_backend("npu").device_type == "npu"
        """
    )


def test_accelerators_are_the_working_devices_beside_the_built_in_ones(
    site: Site,
) -> None:
    site.device("broken", source="raise ImportError('no driver')")
    site.device("npu")
    site.run("""
        names = list(manager.accelerators())
        assert "npu" in names
        assert not {"cpu", "meta", "broken"} & set(names)
    """)


def test_known_devices_are_named_without_loading_them(site: Site) -> None:
    site.device("npu")
    site.run("""
        assert {"cpu", "meta", "npu", "cuda"} <= set(manager.known_devices())
        assert not imported("npu")
    """)


def test_the_first_operator_loads_the_extensions(site: Site) -> None:
    site.extension("fast")
    site.run("""
        import dispatchtorch as torch
        assert not imported("fast") and "importlib.metadata" not in sys.modules
        torch.ones(2) + torch.ones(2)
        assert status("fast").state == "loaded"
    """)


@pytest.mark.parametrize("separator", [" ", ""])
def test_the_api_range_is_read_before_any_code(site: Site, separator: str) -> None:
    for name, marks in {
        "one": "[api-1]",
        "range": "[api-1-4]",
        "spelled": "[API_1.2]",
        "bare": "",
        "newer": "[api-2-3]",
        "older": "[api-0]",
    }.items():
        site.install(
            f"dispatchtorch-{name}",
            {name: f"{name}_plugin:Plugin{separator}{marks}"},
            {f"{name}_plugin": device_plugin(name)},
        )
    site.run("""
        for name in ("one", "range", "spelled", "bare"):
            assert get_backend(name).device_type == name
        for name in ("newer", "older"):
            assert status(name).state == "incompatible"
            text = str(error_of(get_backend, name, kind=plugins.UnknownDeviceError))
            assert status(name).error in text
            assert not imported(name)
        assert "versions 2 to 3 of the plugin API" in status("newer").error
        assert status("newer").hint == "pip install --upgrade dispatchtorch"
        assert status("older").hint == "pip install --upgrade dispatchtorch-older"
    """)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("npu_plugin:Plugin [api-1, extention]", "the mark 'extention'"),
        ("npu_plugin:Plugin [api-x]", "the mark 'api-x'"),
        ("npu plugin:Plugin", "isn't of the form 'module:object [api-1]'"),
    ],
)
def test_a_malformed_declaration_is_reported(
    site: Site, value: str, words: str
) -> None:
    site.install("npu", {"npu": value}, {"npu_plugin": device_plugin("npu")})
    site.run(f"""
        found = status("npu")
        assert found.state == "failed" and found.kind == "unknown"
        assert {words!r} in found.error
        assert {words!r} in str(error_of(get_backend, "npu"))
        assert not imported("npu")
    """)


def test_the_first_of_two_plugins_of_one_name_wins(site: Site) -> None:
    site.device("npu", "aaa-npu")
    site.install(
        "zzz-npu", {"npu": "other:Plugin [api-1]"}, {"other": device_plugin("npu")}
    )
    code = """
        assert type(get_backend("npu")).__module__ == "npu_plugin"
        second = status("npu", "zzz-npu")
        assert second.state == "blocked"
        assert "taken by 'npu' (aaa-npu 1.0)" in second.error
        assert "DISPATCHTORCH_PLUGINS_DENY=aaa-npu" in second.hint
        assert "other" not in sys.modules
    """
    site.run(code)
    site.run(
        """
        assert type(get_backend("npu")).__module__ == "other"
        """,
        PLUGINS_DENY="aaa_NPU",
    )


def test_the_order_of_plugins_is_the_paths_order(tmp_path: Path) -> None:
    near, far = Site(tmp_path / "near"), Site(tmp_path / "far")
    near.install("zzz", {"npu": "z:Plugin"}, {"z": device_plugin("npu")})
    far.install("aaa", {"npu": "a:Plugin"}, {"a": device_plugin("npu")})
    far.run(
        """
        assert type(get_backend("npu")).__module__ == "z"
        """,
        near.folder,
    )


def test_a_distribution_shadowed_on_the_path_is_no_second_plugin(
    tmp_path: Path,
) -> None:
    near, far = Site(tmp_path / "near"), Site(tmp_path / "far")
    near.install("npu", "[console_scripts]", {}, version="2.0")
    far.device("npu", "npu")
    far.run(
        """
        assert not [s for s in manager.report() if s.name == "npu"]
        """,
        near.folder,
    )


def test_a_built_in_device_is_not_to_be_replaced(site: Site) -> None:
    site.device("cpu")
    site.run("""
        ours, theirs = [s for s in manager.report() if s.name == "cpu"]
        assert ours.origin == "built-in"
        assert theirs.state == "blocked" and "built-in" in theirs.error
    """)


def test_a_damaged_distribution_hides_no_other(site: Site) -> None:
    site.install("damaged", "[dispatchtorch]\nthis is no entry point", {})
    site.install("nameless", {"tpu": "t:Plugin"}, {}, metadata="")
    (site.install("binary", "", {}) / "entry_points.txt").write_bytes(b"\xff\xfe[d")
    site.device("npu")
    site.run("""
        assert get_backend("npu").device_type == "npu"
        assert status("damaged").state == "failed"
        assert "entry_points.txt can't be read" in status("damaged").error
        assert status("tpu").distribution.startswith("nameless")
    """)


def test_a_finder_that_breaks_the_scan_breaks_no_built_in_device(site: Site) -> None:
    site.run("""
        class Finder:
            def find_spec(self, *args): return None
            def find_distributions(self, context): raise OSError("no such disk")
        sys.meta_path.append(Finder())
        assert "cpu" in [s.name for s in manager.report()]
        assert "no such disk" in status("entry points").error
    """)
