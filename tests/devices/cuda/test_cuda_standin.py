"""The device ``cuda`` with NumPy in CuPy's place: what doesn't need a GPU to be found out.

Processes of their own, in which ``cupy`` is the stand-in beside this file. CUDA's own
kernels are left out here (they have tests over an emulator); what lies under them, the
memory, streams, graphs and random numbers are the device's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """The environment of processes that have the stand-in, and the plugin installed."""
    site = tmp_path_factory.mktemp("site")
    folder = site / "dispatchtorch_cupy-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dispatchtorch-cupy\nVersion: 0.1.0\n"
    )
    (folder / "entry_points.txt").write_text(
        "[dispatchtorch]\ncuda = dispatchtorch_cupy:plugin [api-1]\n"
    )
    folders = [
        site, REPOSITORY, REPOSITORY / "backends/numpy", REPOSITORY / "backends/cupy",
        HERE / "standin", HERE.parent,
    ]  # fmt: skip
    made = dict(os.environ, DISPATCHTORCH_CUDA_KERNELS="cupy", OMP_NUM_THREADS="1")
    made["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    return made


def run(environment: dict[str, str], *arguments: str, **extra: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**environment, **extra},
        check=False,
    )
    assert not done.returncode, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.mark.slow
def test_the_conformance_kit_finds_no_failure(environment, tmp_path):
    file = tmp_path / "report.json"
    command = ["-m", "dispatchtorch", "conformance", "--device", "cuda"]
    chosen = ["--dtypes", "float32,bfloat16,int64,complex64", "--report", str(file)]
    run(environment, *command, *chosen)
    counts = json.loads(file.read_text())["counts"]
    assert counts["pass"] > 2000
    assert not counts.get("fail")


def test_the_tests_of_the_device_pass(environment):
    emulated = subprocess.run(["g++", "--version"], capture_output=True, check=False)
    if emulated.returncode:
        pytest.skip("random numbers need g++, which compiles their kernel here")
    folder = "tests/devices/cuda/test_cuda_device.py"
    shown = run(
        environment, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", folder
    )
    assert "failed" not in shown


def test_several_devices_are_told_apart(environment):
    shown = run(
        environment,
        "-c",
        """
import cupy
cupy.cuda.runtime.count = 3
import dispatchtorch as torch
assert torch.cuda.device_count() == 3
x = torch.ones(3, device="cuda:1")
y = (x * 2 + x.sum()).relu()
assert y.device == torch.device("cuda:1"), y.device
with torch.cuda.device(2):
    z = torch.zeros(2, device="cuda")
assert z.device.index == 2
assert torch.cuda.current_device() == 0
assert x.to("cuda:2").device.index == 2
assert torch.equal(x.to("cuda:2").cpu(), x.cpu())
z.copy_(x[:2])
assert z.tolist() == [1, 1]
assert torch.randn(3, device="cuda:2").device.index == 2
x[0] = 5.0
assert x.tolist() == [5, 1, 1]
loss = torch.nn.Linear(3, 2, device="cuda:1")(x).sum()
loss.backward()
print("told apart")
""",
    )
    assert "told apart" in shown


def test_the_report_s_tool_runs(environment, tmp_path):
    run(
        environment, "tools/cuda_report.py", "--out", str(tmp_path), "--minutes", "2",
        "--sections", "environment,checks",
    )  # fmt: skip
    text = (tmp_path / "cuda_report.md").read_text()
    assert "Stand-in for a GPU" in text
    assert json.loads((tmp_path / "cuda_report.json").read_text())["sections"]["checks"]


# Machines without a device.

_UNAVAILABLE = """
import sys
{setup}
import dispatchtorch as torch
assert not torch.cuda.is_available()
assert torch.cuda.device_count() == 0
from dispatchtorch.backend import get_backend
print(get_backend("cuda").unavailable_reason())
try:
    torch.ones(2, device="cuda")
except RuntimeError as error:
    print("error:", error)
"""


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ("sys.modules['cupy'] = None", "CuPy isn't installed: pip install cupy-cuda12x"),
        ("import cupy; cupy.cuda.runtime.driver = 0", "no NVIDIA driver"),
        ("import cupy; cupy.cuda.runtime.count = 0", "no device: check nvidia-smi"),
        ("import cupy; cupy.__version__ = '12.3.0'", "CuPy 12.3.0 is too old"),
        (
            "import cupy\ndef refuse(): raise RuntimeError('cudaErrorInsufficientDriver')\n"
            "cupy.cuda.runtime.driver = 11020; cupy.cuda.runtime.getDeviceCount = refuse",
            "the NVIDIA driver is for CUDA 11.2, CuPy needs 12.9",
        ),
    ],
)  # fmt: skip
def test_each_cause_of_no_device_is_named_with_its_remedy(environment, setup, words):
    shown = run(environment, "-c", _UNAVAILABLE.format(setup=setup))
    first, _, rest = shown.partition("\n")
    assert words in first
    assert "error:" in rest


def test_importing_the_library_touches_no_driver(environment):
    shown = run(
        environment,
        "-c",
        "import sys; sys.modules['cupy'] = None\n"
        "import dispatchtorch as torch; print(torch.ones(2).sum().item())",
    )
    assert shown.strip() == "2.0"
