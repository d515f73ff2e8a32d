"""The command line: what each command prints, and how mistakes are answered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def dispatchtorch(
    *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dispatchtorch", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
    )


def test_demo_learns_the_digits_and_its_checkpoint_predicts_the_same(
    tmp_path: Path,
) -> None:
    done = dispatchtorch("demo", "--epochs", "6", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.split("Test accuracy ")[1].split("%")[0])
    assert accuracy >= 97
    assert "predicts the same" in done.stdout
    assert (tmp_path / "dispatchtorch-demo" / "digits.pt").is_file()


def test_doctor_tests_every_available_device() -> None:
    done = dispatchtorch("doctor")
    assert done.returncode == 0, done.stdout
    assert "PASS arithmetic" in done.stdout
    assert "FAIL" not in done.stdout
    assert "pip install 'dispatchtorch[cuda]'" in done.stdout


def test_explain_names_the_layers_and_the_kernel() -> None:
    done = dispatchtorch("explain", "add", "--grad")
    assert "layer autograd: AddBackward0" in done.stdout
    assert "device cpu: kernel" in done.stdout


def test_explain_shows_a_decomposition_with_file_and_line() -> None:
    done = dispatchtorch("explain", "cat", "--device", "loopback")
    assert "decomposition at" in done.stdout
    assert "joining.py:" in done.stdout


def test_a_misspelt_operator_gets_a_suggestion() -> None:
    done = dispatchtorch("explain", "sofmax")
    assert done.returncode == 1
    assert "did you mean softmax" in done.stderr


def test_an_unknown_device_is_explained() -> None:
    done = dispatchtorch("explain", "add", "--device", "warp")
    assert done.returncode == 1
    assert "warp" in done.stderr
    assert "installed: cpu" in done.stderr


def test_coverage_of_the_loopback_device_misses_nothing() -> None:
    done = dispatchtorch("coverage", "--device", "loopback")
    assert "missing" not in done.stdout


def test_run_gives_the_script_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, torch\nprint(torch.__name__, sys.argv[1:], __name__)\n"
    )
    done = dispatchtorch("run", str(script), "--flag", "3")
    assert done.stdout.split() == ["dispatchtorch", "['--flag',", "'3']", "__main__"]


def test_run_resolves_submodules(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch.nn as nn, torch.nn.functional as F\n"
        "from torch.utils.data import DataLoader\n"
        "import dispatchtorch\n"
        "assert nn is dispatchtorch.nn and F is dispatchtorch.nn.functional\n"
        "print('same')\n"
    )
    assert dispatchtorch("run", str(script)).stdout.strip() == "same"


def test_run_shows_the_traceback_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import torch\nraise ValueError('of the script')\n")
    done = dispatchtorch("run", str(script))
    assert done.returncode == 1
    assert f'File "{script}", line 2' in done.stderr
    assert "ValueError: of the script" in done.stderr


def test_workers_that_a_script_spawns_have_the_same_torch(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from torch.utils.data import DataLoader\n"
        "if __name__ == '__main__':\n"
        "    loader = DataLoader(torch.arange(4), batch_size=2, num_workers=1,\n"
        "                        multiprocessing_context='spawn')\n"
        "    print([batch.tolist() for batch in loader])\n"
    )
    assert dispatchtorch("run", str(script)).stdout.strip() == "[[0, 1], [2, 3]]"


def test_run_imports_namespaces_of_devices_and_says_what_is_absent(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch.cuda, torch.backends.cudnn as cudnn\n"
        "print(torch.__version__.split('.')[0], torch.cuda.is_available())\n"
        "import torch.fx\n"
    )
    done = dispatchtorch("run", str(script))
    assert done.stdout.split() == ["2", "False"]
    assert "No module named 'torch.fx': graphs of programs" in done.stderr


@pytest.mark.parametrize(
    "name, operator",
    [
        ("torch.linalg.svd", "linalg_svd("),
        ("nn.functional.relu", "relu("),
        ("Tensor.add_", "add_("),
    ],
)
def test_explain_takes_the_names_that_programs_use(name: str, operator: str) -> None:
    assert dispatchtorch("explain", name).stdout.startswith(operator)


def test_run_of_a_missing_script_fails_with_its_name() -> None:
    done = dispatchtorch("run", "nowhere.py")
    assert done.returncode == 1
    assert "nowhere.py" in done.stderr


@pytest.mark.parametrize("epochs", ["0", "-1", "many"])
def test_demo_refuses_epochs_that_make_no_sense(epochs: str) -> None:
    done = dispatchtorch("demo", "--epochs", epochs)
    assert done.returncode == 2
    assert "epochs" in done.stderr
