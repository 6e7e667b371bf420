from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from neuralos.models.simulator import Simulator
from neuralos.runtime.capture import (
    DeviceMissing,
    DevicePlan,
    capture,
    compiled,
    plan_for,
    plan_of,
)
from neuralos.runtime.engine import make_buffers, make_engine
from tests.unit.neuralos.engines import join, play_on, shaken_simulator
from tests.unit.neuralos.micro_paper import micro_simulator

TOGETHER = DevicePlan(torch.device("cpu"))

ON_THE_HOST = {"tensor", "as_tensor", "from_numpy", "item", "tolist", "__bool__", "__int__",
               "__float__", "nonzero", "cpu", "numpy", "__index__"}  # fmt: skip
"""What a captured step must not do: make tensors of Python's numbers, or wait for the device."""


class OnDeviceOnly(TorchFunctionMode):
    """Notes every call that would leave the device."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ON_THE_HOST:
            self.left.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=["gated", "fast", "paper"])
def simulator(request: pytest.FixtureRequest, micro_config: Path, fast_config: Path) -> Simulator:
    if request.param == "paper":
        return micro_simulator()
    return shaken_simulator(fast_config if request.param == "fast" else micro_config, 1)


def test_a_step_can_be_captured(simulator: Simulator) -> None:
    """On the meta device every tensor made elsewhere is an error, as on a GPU."""
    simulator.to("meta")
    plan = DevicePlan(torch.device("meta"))
    buffers = make_buffers(simulator, 2, plan)
    with torch.inference_mode(), OnDeviceOnly() as watch:
        latent, state = simulator.step(
            buffers.state, buffers.action_BA, buffers.keys_BK, buffers.noise_BCHW
        )
        frames = simulator.autoencoder.decode(latent)
    assert watch.left == []
    assert {tensor.device.type for tensor in (frames, *state.tensors())} == {"meta"}
    assert [new.shape for new in state.tensors()] == [t.shape for t in buffers.state.tensors()]


@pytest.mark.nightly
def test_a_step_is_one_graph(simulator: Simulator) -> None:
    """Traced whole, it gives the same bits; the backend that traces only needs no compiler."""
    plain, traced = (make_engine(copy.deepcopy(simulator), 2, TOGETHER) for _ in range(2))
    traced._step = compiled(traced._advance_all, backend="eager")
    for engine in (plain, traced):
        join(engine, "someone")
    frames, expected = (play_on(engine, engine.sessions[0], 2) for engine in (traced, plain))
    np.testing.assert_array_equal(frames, expected)


def test_the_watch_sees_what_leaves_the_device() -> None:
    with OnDeviceOnly() as watch:
        torch.tensor([1.0])
        bool(torch.zeros(1))
    assert watch.left == ["tensor", "__bool__"]


def test_a_cpu_has_neither_graphs_nor_halves() -> None:
    plan = plan_for("cpu")
    assert (plan.half, plan.graph, plan.compiled, plan.apart) == (False, False, False, True)

    def step() -> tuple[torch.Tensor, ...]:
        return ()

    assert capture(step, plan) is step


def test_a_simulator_is_stepped_where_it_is(micro_config: Path) -> None:
    assert plan_of(shaken_simulator(micro_config, 1)) == plan_for("cpu")


@pytest.mark.parametrize("device", ["cuda", "meta"])
def test_a_device_that_is_not_here_is_named(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceMissing, match=f"no device '{device}' here; --device cpu"):
        plan_for(device)
