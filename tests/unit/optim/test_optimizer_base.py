"""Parameter groups, hooks, state dicts and gradients: what all optimizers share."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest

import dispatchtorch as torch
from dispatchtorch import optim
from dispatchtorch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def parameter(*shape: int, framework: Any = torch) -> Any:
    return framework.nn.Parameter(framework.ones(*(shape or (2,))))


def stepped(name: str = "Adam", **options: Any) -> tuple[Any, Any]:
    param = parameter()
    optimizer = getattr(optim, name)([param], **options)
    param.grad = torch.ones(2)
    optimizer.step()
    return optimizer, param


# Groups.


def bad_params(framework: Any) -> dict[str, Any]:
    p = parameter(framework=framework)
    q = parameter(framework=framework)
    return {
        "nothing": [],
        "a tensor": p,
        "numbers": [1, 2],
        "a string": "ab",
        "computed": [p * 2],
        "no params": [{"lr": 1}],
        "twice": [{"params": [p]}, {"params": p}],
        "a set": [{"params": {p}}],
        "a number": [{"params": 3}],
        "some named": [("a", p), q],
        "some named, later": [p, ("a", q)],
        "named, then not": [{"params": [("a", p)]}, {"params": [q]}],
        "not named, then so": [{"params": [p]}, {"params": [("a", q)]}],
    }


@pytest.mark.parametrize("what", list(bad_params(torch)))
def test_bad_parameters_raise_the_oracles_error(what: str) -> None:
    with pytest.raises(Exception) as theirs:
        oracle.optim.SGD(bad_params(oracle)[what])
    with pytest.raises(theirs.type) as ours:
        optim.SGD(bad_params(torch)[what])
    assert str(ours.value) == str(theirs.value)


def test_a_group_has_to_be_a_dict() -> None:
    with pytest.raises(
        TypeError, match="param_group must be a dict, but got <class 'int'>"
    ):
        optim.SGD([parameter()]).add_param_group(3)  # type: ignore[arg-type]


def test_duplicates_in_a_group_are_warned_about() -> None:
    p = parameter()
    with pytest.warns(UserWarning, match="parameter group with duplicate parameters"):
        optim.SGD([p, p])


def test_required_options() -> None:
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        optim.Optimizer([parameter()], {"lr": required})
    group = {"params": [parameter()], "lr": 1}
    assert optim.Optimizer([group], {"lr": required}).param_groups[0]["lr"] == 1


def test_groups_keep_their_own_options() -> None:
    p, q = parameter(), parameter()
    groups = [{"params": [p]}, {"params": [q], "lr": 1.0, "note": "slow"}]
    optimizer = optim.SGD(groups, lr=0.5)
    for param in (p, q):
        param.grad = torch.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]
    assert q.tolist() == [0.0, 0.0]
    assert "    note: slow\n" in repr(optimizer)


def test_added_groups_are_optimized() -> None:
    optimizer = optim.Adagrad([parameter()], lr=0.5)
    late = parameter()
    optimizer.add_param_group({"params": late})
    late.grad = torch.ones(2)
    optimizer.step()
    assert late.tolist() == [0.5, 0.5]


def test_names_are_kept_beside_the_parameters() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][0] is model.weight
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == [
        "weight",
        "bias",
    ]


def test_parameters_without_gradient_are_left_alone() -> None:
    optimizer = optim.Adam([parameter()])
    optimizer.step()
    assert not optimizer.state


def test_the_base_has_no_step() -> None:
    with pytest.raises(NotImplementedError):
        optim.Optimizer([parameter()], {}).step()


# Gradients and closures.


def test_zero_grad_drops_or_clears() -> None:
    p = parameter()
    optimizer = optim.SGD([p])
    p.grad = grad = torch.ones(2)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_zero_grad_detaches() -> None:
    p = parameter()
    p.grad = (parameter() * 2).clone()
    optim.SGD([p]).zero_grad(set_to_none=False)
    assert p.grad is not None
    assert p.grad.grad_fn is None


@pytest.mark.parametrize("name", ["SGD", "Adam", "Rprop", "Muon"])
def test_closures_run_with_gradients(name: str) -> None:
    p = parameter(2, 2)
    optimizer = getattr(optim, name)([p])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert float(optimizer.step(closure)) == 4.0
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert p.grad is not None
    assert optimizer.step() is None


def test_a_step_does_not_make_a_graph() -> None:
    optimizer, param = stepped("SGD", momentum=0.9)
    assert param.is_leaf
    assert param.grad_fn is None
    assert not optimizer.state[param]["momentum_buffer"].requires_grad


# Hooks.


def test_step_hooks_run_in_order() -> None:
    calls: list[Any] = []
    optimizer, _ = stepped("SGD")

    def note(name: str) -> Any:
        def hook(opt: Any, args: Any, kwargs: Any) -> None:
            assert opt is optimizer
            assert args[0] is optimizer
            calls.append((name, len(args), sorted(kwargs)))

        return hook

    handles = [
        optimizer.register_step_pre_hook(note("pre")),
        optimizer.register_step_post_hook(note("post")),
        register_optimizer_step_pre_hook(note("global pre")),
        register_optimizer_step_post_hook(note("global post")),
    ]
    try:
        optimizer.step()
        optimizer.step(lambda: 1)
        optimizer.step(closure=lambda: 1)
    finally:
        for handle in handles:
            handle.remove()
    optimizer.step()
    assert [call[0] for call in calls] == [
        "global pre",
        "pre",
        "post",
        "global post",
    ] * 3
    assert [call[1:] for call in calls[::4]] == [(1, []), (2, []), (1, ["closure"])]


def test_pre_hooks_may_change_the_arguments() -> None:
    optimizer, _ = stepped("SGD")
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 7), {}))
    assert optimizer.step() == 7


def test_pre_hooks_may_not_return_anything_else() -> None:
    optimizer, _ = stepped("SGD")
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        optimizer.step()


def test_hooks_work_for_other_peoples_optimizers() -> None:
    class Own(optim.Optimizer):
        def __init__(self, params: Any) -> None:
            super().__init__(params, {})

        def step(self, closure: Any = None) -> int:
            return 5

    calls = []
    optimizer = Own([parameter()])
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    assert optimizer.step() == 5
    assert calls == [1]


def test_state_dict_hooks() -> None:
    optimizer, _ = stepped()
    calls = []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("pre"))
    optimizer.register_state_dict_post_hook(lambda o, s: calls.append("post"))
    optimizer.register_load_state_dict_pre_hook(lambda o, s: calls.append("load pre"))
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("load post"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["pre", "post", "load pre", "load post"]


def test_state_dict_hooks_may_replace_the_dict_and_come_first() -> None:
    optimizer, _ = stepped()
    optimizer.register_state_dict_post_hook(lambda o, s: {**s, "late": list(s)})
    optimizer.register_state_dict_post_hook(
        lambda o, s: {**s, "early": 1}, prepend=True
    )
    state = optimizer.state_dict()
    assert state["late"] == ["state", "param_groups", "early"]
    optimizer.register_load_state_dict_pre_hook(lambda o, s: {**s, **s["inner"]})
    optimizer.load_state_dict({"inner": state})


# State dicts.


def test_state_dict_counts_parameters() -> None:
    p, q, r = parameter(), parameter(), parameter()
    optimizer = optim.Adam([{"params": [p, q]}, {"params": [r]}])
    q.grad = torch.ones(2)
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert list(state["state"]) == [1]
    assert state["state"][1]["exp_avg"] is optimizer.state[q]["exp_avg"]


def test_state_goes_to_the_parameters_dtype_but_steps_do_not() -> None:
    for options, dtype in (({}, torch.float64), ({"fused": True}, torch.float32)):
        optimizer = optim.Adam([parameter()], **options)
        state = optimizer.state_dict()
        double = torch.ones(2, dtype=torch.float64)
        step = torch.tensor(3.0, dtype=torch.float64)
        nested = [double, {"a": (1, "text", None)}]
        state["state"] = {
            0: {"step": step, "exp_avg": double, "nested": nested},
            "k": 5,
        }
        optimizer.load_state_dict(state)
        got = optimizer.state[optimizer.param_groups[0]["params"][0]]
        assert got["step"].dtype == dtype
        assert got["exp_avg"].dtype == torch.float32
        assert got["nested"][0].dtype == torch.float32
        assert got["nested"][1] == {"a": (1, "text", None)}
        assert optimizer.state["k"] == 5


def test_loading_does_not_touch_the_file() -> None:
    optimizer, param = stepped()
    state = copy.deepcopy(optimizer.state_dict())
    before = repr(state)
    other = optim.Adam([parameter()], lr=7)
    other.load_state_dict(state)
    other.param_groups[0]["lr"] = 9
    assert repr(state) == before
    assert other.param_groups[0]["params"][0] is not param


def test_names_of_a_file_do_not_decide_what_belongs_where() -> None:
    p, q = parameter(), parameter()
    named = optim.SGD([("a", p), ("b", q)], lr=1.0)
    other = optim.SGD([("b", p), ("a", q)], lr=2.0)
    other.load_state_dict(named.state_dict())
    assert other.param_groups[0]["params"] == [p, q]
    assert other.param_groups[0]["param_names"] == ["a", "b"]
    other.load_state_dict(optim.SGD([p, q]).state_dict())
    assert other.param_groups[0]["param_names"] == ["a", "b"]


def test_files_that_do_not_fit() -> None:
    p, q = parameter(), parameter()
    optimizer = optim.SGD([p])
    with pytest.raises(ValueError, match="different number of parameter groups"):
        two = [{"params": [p]}, {"params": [q]}]
        optimizer.load_state_dict(optim.SGD(two).state_dict())
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        optimizer.load_state_dict(optim.SGD([p, q]).state_dict())


@pytest.mark.parametrize(
    "copier", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_copies_and_pickles_go_on_stepping(copier: Any) -> None:
    optimizer, param = stepped("SGD", momentum=0.9, lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: pytest.fail("hooks are not copied"))
    twin = copier(optimizer)
    (other,) = twin.param_groups[0]["params"]
    assert other is not param
    other.grad = torch.ones(2)
    twin.step()
    assert param.tolist() != other.tolist()
    assert set(optimizer.__getstate__()) == {"defaults", "state", "param_groups"}


# Standing in for parameters and state.


def test_swapped_parameters_take_the_step() -> None:
    optimizer, param = stepped()
    group = optimizer.param_groups[0]
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = 0.5
    other = torch.zeros(2)
    before = (param.tolist(), optimizer.state[param]["step"].item())
    with optim.swap_in_optimizer_params_and_state(optimizer, {"x": other}, state):
        assert optimizer.param_groups[0]["params"][0] is other
        assert optimizer.param_groups[0]["lr"] == 0.5
        other.grad = torch.ones(2)
        optimizer.step()
    assert optimizer.param_groups[0] is group
    assert group["params"][0] is param
    assert group["lr"] == 0.001
    assert (param.tolist(), optimizer.state[param]["step"].item()) == before
    assert state["state"][0]["step"].item() == 2
    assert other.tolist() != [0, 0]


def test_swapping_checks_what_it_is_given() -> None:
    optimizer, _ = stepped()
    state = optimizer.state_dict()
    swap = optim.swap_in_optimizer_params_and_state
    q = {"x": torch.zeros(2)}
    short = {"state": state["state"], "param_groups": []}
    other = {"state": state["state"], "param_groups": [{"params": [0], "lr": 1}]}
    more = {"state": state["state"], "param_groups": [{"params": [0, 1]}]}
    for params, given, message in [
        ({}, state, "match optimizer.param_groups ordering"),
        (q, {}, r"swapin_optim_state\['state'\] to be a dict"),
        (q, short, "different number of parameter groups"),
        (q, more, "different number of params"),
        (q, other, "keys to exactly match"),
    ]:
        with pytest.raises(RuntimeError, match=message), swap(optimizer, params, given):
            pass
    with (
        pytest.raises(RuntimeError, match="requires initialized optimizer state"),
        swap(optim.Adam([parameter()]), q, state),
    ):
        pass


def test_making_an_optimizer_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepped()
