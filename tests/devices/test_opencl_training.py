"""The OpenCL device as a whole: random numbers, training, devices side by side."""

from __future__ import annotations

import pytest

import dispatchtorch as torch
from dispatchtorch.device_layer import fallback_counts, set_fallback_policy
from dispatchtorch.testing.programs import PROGRAMS
from tests.devices.opencl_cases import D, needs_opencl

pytestmark = needs_opencl


@pytest.fixture
def no_fallback():
    set_fallback_policy("error")
    yield
    set_fallback_policy(None)


# Random numbers.


def test_a_seed_gives_the_same_numbers_again():
    torch.manual_seed(3)
    first = torch.rand(5, device=D)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(5, device=D), first)
    assert not torch.equal(torch.rand(5, device=D), first)


def test_a_state_goes_back_to_its_place():
    torch.rand(10, device=D)
    state = torch.opencl.get_rng_state()
    first = torch.randn(6, device=D)
    torch.opencl.set_rng_state(state)
    assert torch.equal(torch.randn(6, device=D), first)


def test_generators_are_streams_of_their_own():
    g = torch.Generator(D).manual_seed(11)
    first = torch.rand(4, device=D, generator=g)
    copy = g.clone_state()
    second = torch.rand(4, device=D, generator=g)
    assert torch.equal(torch.rand(4, device=D, generator=copy), second)
    g.manual_seed(11)
    assert torch.equal(torch.rand(4, device=D, generator=g), first)


def test_philox_is_philox():
    """The first numbers of a seed, by the algorithm written out in Python."""
    seed = 0x123456789ABCDEF

    def words(counter):
        c, key = [counter, 0, 0, 0], [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [
                b >> 32 ^ c[1] ^ key[0],
                b & 0xFFFFFFFF,
                a >> 32 ^ c[3] ^ key[1],
                a & 0xFFFFFFFF,
            ]
            key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
        return c

    g = torch.Generator(D).manual_seed(seed)
    expected = [(w >> 8) / 2**24 for k in range(2) for w in words(k)]
    assert torch.rand(8, device=D, generator=g).tolist() == expected


@pytest.mark.parametrize(
    "draw, mean, std",
    [
        (lambda x: x.uniform_(), 0.5, 12**-0.5),
        (lambda x: x.normal_(1, 2), 1, 2),
        (lambda x: x.exponential_(2), 0.5, 0.5),
        (lambda x: x.bernoulli_(0.3), 0.3, 0.21**0.5),
        (lambda x: x.geometric_(0.25), 4, 12**0.5),
        (lambda x: x.random_(0, 10), 4.5, 8.25**0.5),
    ],
)
def test_samples_have_the_moments_of_their_distribution(draw, mean, std):
    torch.manual_seed(0)
    n = 1 << 16
    x = draw(torch.empty(n, device=D))
    assert abs(x.mean().item() - mean) < 5 * std / n**0.5
    assert abs(x.std().item() / std - 1) < 0.03


def test_samplers_that_reject_draw_on_the_host():
    torch.manual_seed(0)
    assert sorted(torch.randperm(20, device=D).tolist()) == list(range(20))
    rates = torch.full((2000,), 4.0, device=D)
    assert abs(torch.poisson(rates).mean().item() - 4) < 0.3
    drawn = torch.multinomial(torch.tensor([0.0, 1.0, 3.0], device=D), 500, True)
    assert set(drawn.tolist()) == {1, 2}


# Training.


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_programs_train_without_the_host(no_fallback, name):
    losses = PROGRAMS[name](D)
    assert len(losses) == 2 and all(loss == loss for loss in losses)


def test_steps_are_those_of_the_host(no_fallback):
    def train(device):
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
            torch.nn.Flatten(), torch.nn.Linear(144, 3),
        ).to(device)  # fmt: skip
        x, y = torch.randn(6, 1, 8, 8).to(device), torch.arange(6).to(device) % 3
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(4):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    assert train(D) == pytest.approx(train("cpu"), rel=1e-3)


@pytest.mark.parametrize("kind", ["Adam", "SGD", "RMSprop"])
@pytest.mark.parametrize("way", [("cpu", D), (D, "cpu"), (D, D)])
def test_training_goes_on_elsewhere(tmp_path, kind, way):
    """Model and optimizer saved on one device go on on another, as if they had stayed."""
    options = {"lr": 0.05, **({"momentum": 0.9} if kind != "Adam" else {})}

    def begin(device):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 2))
        model.to(device)
        return model, getattr(torch.optim, kind)(model.parameters(), **options)

    def go_on(model, optimizer, steps):
        x = torch.arange(20.0).reshape(5, 4).div(20).to(model[0].weight.device)
        for _ in range(steps):
            optimizer.zero_grad()
            model(x).pow(2).sum().backward()
            optimizer.step()

    model, optimizer = begin("cpu")
    go_on(model, optimizer, 5)
    expected = model.state_dict()
    first, second = way
    model, optimizer = begin(first)
    go_on(model, optimizer, 2)
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(saved, tmp_path / "x.pt")
    model, optimizer = begin(second)
    loaded = torch.load(tmp_path / "x.pt", map_location=second)
    model.load_state_dict(loaded["model"])
    optimizer.load_state_dict(loaded["optimizer"])
    kept = [v for s in optimizer.state.values() for n, v in s.items() if n != "step"]
    assert kept and {v.device.type for v in kept} == {second}
    go_on(model, optimizer, 3)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value.cpu(), expected[name], rtol=1e-4, atol=1e-5)


def test_what_was_saved_there_loads_here(tmp_path):
    x = {"w": torch.randn(3, 4, device=D), "n": torch.arange(3, device=D)}
    torch.save(x, tmp_path / "x.pt")
    again = torch.load(tmp_path / "x.pt", map_location="cpu")
    assert torch.equal(again["w"], x["w"].cpu())
    assert torch.load(tmp_path / "x.pt")["n"].device.type == D


def test_what_has_no_kernel_runs_on_the_host_and_is_counted():
    set_fallback_policy("silent")
    try:
        a = torch.randn(4, 4, device=D)
        found = torch.linalg.qr(a)
        assert found.Q.device.type == D
        assert torch.allclose((found.Q @ found.R).cpu(), a.cpu(), atol=1e-5)
    finally:
        set_fallback_policy(None)
    assert any(device == D for _, device in fallback_counts())


def test_doctor_has_figures_of_the_device():
    from dispatchtorch.plugins import manager

    report = manager.device_report(D)["opencl"]
    assert "opencl:0 driver" in report and "opencl:0 programs" in report
