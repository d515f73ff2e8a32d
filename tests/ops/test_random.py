"""Random operators on every device: a seed gives ``cpu``'s numbers; meta has shapes."""

from __future__ import annotations

import pytest

import dispatchtorch as torch

PROBABILITIES = [[0.1, 0.5, 0.9, 0.3], [0.7, 0.2, 0.4, 0.6]]

DRAWS = {
    "rand": lambda p: torch.rand(3, 4, device=p.device),
    "randn": lambda p: torch.randn(33, device=p.device),
    "randint": lambda p: torch.randint(9, (5,), device=p.device),
    "randperm": lambda p: torch.randperm(9, device=p.device),
    "rand_like": lambda p: torch.rand_like(p.t()),
    "bernoulli": torch.bernoulli,
    "bernoulli.p": lambda p: torch.bernoulli(p, 0.3),
    "bernoulli_": lambda p: torch.zeros(2, 4, device=p.device).bernoulli_(p),
    "poisson": lambda p: torch.poisson(p * 9),
    "multinomial": lambda p: torch.multinomial(p, 2),
    "normal": lambda p: torch.normal(p, 2.0),
    "normal of tensors": lambda p: torch.normal(p, p),
    **{
        name: lambda p, name=name, arguments=arguments: getattr(p.clone().t(), name)(
            *arguments
        )
        for name, arguments in {
            "uniform_": (),
            "normal_": (),
            "exponential_": (),
            "geometric_": (0.3,),
            "cauchy_": (),
            "log_normal_": (),
            "random_": (3, 9),
        }.items()
    },
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_seed_gives_the_same_numbers_on_each_device(draw, device):
    made = []
    for on in ("cpu", device):
        torch.manual_seed(5)
        made.append(draw(torch.tensor(PROBABILITIES, device=on)))
    assert made[1].device.type == device
    assert torch.equal(made[0], made[1].cpu())


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_meta_gives_the_shape(draw):
    p = torch.tensor(PROBABILITIES)
    assert draw(p.to("meta")).shape == draw(p).shape


def test_a_generator_of_another_device_is_refused():
    with pytest.raises(
        RuntimeError, match="Expected a 'cpu' device type for generator"
    ):
        torch.zeros(3).normal_(generator=torch.Generator("loopback"))


def test_what_is_drawn_has_a_history_of_no_slope():
    mean = torch.ones(3, requires_grad=True)
    torch.normal(mean, 2.0).sum().backward()
    assert mean.grad.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(RuntimeError, match="derivative for aten::bernoulli"):
        torch.bernoulli(mean, 0.5).sum().backward()
