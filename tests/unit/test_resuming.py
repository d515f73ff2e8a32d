"""Training that is killed goes on from its checkpoint as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Trains with dropout and a shuffling loader, saving model, optimizer, scheduler, random
# state and the sampler's place after every step; argument 1 is the folder, 2 the step
# before whose end the process kills itself (0: never), 3 what it is doing then.
SCRIPT = textwrap.dedent(
    """
    import json, os, signal, sys
    import dispatchtorch as torch
    from dispatchtorch import nn
    from dispatchtorch.utils.data import DataLoader, RandomSampler, TensorDataset

    folder, last, doing = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    checkpoint = os.path.join(folder, "checkpoint.pt")

    torch.manual_seed(0)
    data = TensorDataset(torch.randn(40, 6), torch.randint(0, 3, (40,)))
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(),
                          nn.Dropout(0.4), nn.Linear(16, 3))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, amsgrad=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=40)
    shuffling = torch.Generator().manual_seed(1)
    step, order = 0, []
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        scheduler.load_state_dict(saved["scheduler"])
        torch.set_rng_state(saved["random"])
        shuffling.set_state(saved["shuffling"])
        step, order = saved["step"], saved["order"]

    class Dying:
        def __reduce__(self):
            os.kill(os.getpid(), signal.SIGKILL)

    log = open(os.path.join(folder, "losses"), "a")
    while step < 25:
        if not order:
            order = list(RandomSampler(data, generator=shuffling))
        while order and step < 25:
            batch, order = order[:8], order[8:]
            x, y = data[torch.tensor(batch)]
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            step += 1
            if step == last and doing == "training":
                os.kill(os.getpid(), signal.SIGKILL)
            state = dict(
                model=model.state_dict(), optimizer=optimizer.state_dict(),
                scheduler=scheduler.state_dict(), random=torch.get_rng_state(),
                shuffling=shuffling.get_state(), step=step, order=order,
            )
            if step == last and doing == "saving":
                state["dying"] = Dying()
            torch.save(state, checkpoint)
            print(json.dumps([step, loss.item()]), file=log, flush=True)
    """
)


def _train(folder: Path, last: int = 0, doing: str = "") -> int:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, str(folder), str(last), doing]
    return subprocess.run(command, check=False).returncode


def _losses(folder: Path) -> list[list[float]]:
    return [json.loads(line) for line in (folder / "losses").open()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[list[float]]:
    folder = tmp_path_factory.mktemp("whole")
    assert _train(folder) == 0
    losses = _losses(folder)
    assert [step for step, _ in losses] == list(range(1, 26))
    return losses


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
@pytest.mark.parametrize("doing", ["training", "saving"])
def test_killed_training_resumes_with_the_same_losses(
    tmp_path: Path, whole: list[list[float]], doing: str
) -> None:
    for last in (3, 17):  # in the first pass and the fourth
        assert _train(tmp_path, last, doing) == -signal.SIGKILL
    assert _train(tmp_path) == 0
    assert _losses(tmp_path) == whole
