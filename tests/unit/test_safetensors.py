"""safetensors' own PyTorch module, over this framework: files both ways."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("safetensors")
with_pytorch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch isn't installed"
)

DTYPES = (
    "float16 bfloat16 float32 float64 int8 uint8 int16 int32 int64 bool "
    "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 complex64"
).split()

# `import torch` is whichever framework runs this; argument 1 is a folder, 2 what to do.
PROGRAM = textwrap.dedent(
    f"""
    import os, sys
    import torch
    from torch import nn
    import safetensors.torch as st
    from safetensors import safe_open

    folder, task = sys.argv[1:3]
    path = lambda name: os.path.join(folder, name)
    every = {{name: (torch.arange(6).reshape(2, 3) % 2).to(getattr(torch, name))
             for name in {DTYPES}}}

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.b = nn.Linear(2, 2)
            self.b.weight = self.a.weight

    if task == "write":
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        st.save_file(model.state_dict(), path("model"), metadata={{"by": "test"}})
        st.save_file(every, path("dtypes"))
        st.save_file({{"empty": torch.zeros(0, 3), "one": torch.tensor(2.5)}}, path("odd"))
        st.save_model(Tied(), path("tied"))
    else:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        found = st.load_file(path("model"))
        assert all(torch.equal(found[k], v) for k, v in model.state_dict().items())
        assert repr(model.load_state_dict(found)) == "<All keys matched successfully>"
        for read in (st.load_file(path("dtypes")),
                     st.load(open(path("dtypes"), "rb").read())):
            for name, tensor in every.items():
                assert read[name].dtype is tensor.dtype, name
                assert read[name].double().tolist() == tensor.double().tolist()
        odd = st.load_file(path("odd"))
        assert odd["empty"].shape == (0, 3) and odd["one"].item() == 2.5
        assert st.load_model(Tied(), path("tied")) == (set(), [])
        with safe_open(path("model"), framework="pt", device="cpu") as f:
            assert f.metadata() == {{"by": "test"}}
            assert torch.equal(f.get_tensor("0.weight"), found["0.weight"])
            assert torch.equal(f.get_slice("0.weight")[1:3, :2],
                               found["0.weight"][1:3, :2])
        words = []
        shared = torch.zeros(4)
        for bad in ({{"a": shared, "b": shared}}, {{"a": torch.zeros(2, 3).T}}, {{"a": 3}}):
            try:
                st.save(bad)
            except Exception as error:
                words.append(f"{{type(error).__name__}}: {{error}}")
        print("\\n".join(words))
    """
)


def _run(framework: str, folder: Path, task: str) -> str:
    script = folder / "program.py"
    script.write_text(PROGRAM)
    command = {
        "torch": [str(script)],
        "dispatchtorch run": ["-m", "dispatchtorch", "run", str(script)],
        "install_as_torch": [
            "-c",
            "import sys, runpy; from dispatchtorch import compat; "
            "compat.install_as_torch(); sys.argv.pop(0); "
            "runpy.run_path(sys.argv[0], run_name='__main__')",
            str(script),
        ],
    }[framework]
    done = subprocess.run(
        [sys.executable, *command, str(folder), task],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["dispatchtorch run", "install_as_torch"])
def test_what_is_written_can_be_read(framework: str, tmp_path: Path) -> None:
    _run(framework, tmp_path, "write")
    assert len(_run(framework, tmp_path, "read").splitlines()) >= 3


@pytest.mark.slow
@pytest.mark.oracle
@with_pytorch
@pytest.mark.parametrize(
    ("writer", "reader"),
    [("torch", "dispatchtorch run"), ("dispatchtorch run", "torch")],
)
def test_files_are_read_by_the_other(writer: str, reader: str, tmp_path: Path) -> None:
    _run(writer, tmp_path, "write")
    _run(reader, tmp_path, "read")


@pytest.mark.slow
@pytest.mark.oracle
@with_pytorch
def test_files_and_errors_are_the_same(tmp_path: Path) -> None:
    written, said = [], []
    for framework in ("torch", "dispatchtorch run"):
        folder = tmp_path / framework.replace(" ", "_")
        folder.mkdir()
        _run(framework, folder, "write")
        said.append(_run(framework, folder, "read"))
        written.append([(folder / n).read_bytes() for n in ("model", "dtypes", "odd")])
    assert written[0] == written[1]
    assert said[0] == said[1].replace("dispatchtorch", "torch")
