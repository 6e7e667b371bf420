"""A simulator without a carried state knows the last frame and action, and nothing before."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neuralos.build import build_simulator
from neuralos.config import ConfigError
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS
from neuralos.models.config import SimulatorConfig
from neuralos.models.simulator import Simulator
from neuralos.run_config import read_config

REPOSITORY = Path(__file__).parents[3]


def after_history(simulator: Simulator, seed: int) -> list[torch.Tensor]:
    """Return what is drawn and carried on after a history that ends with a known frame."""
    shape = (1, *simulator.latent_shape)
    history = torch.Generator().manual_seed(seed)
    same = torch.Generator().manual_seed(99)
    keys = torch.zeros(1, KEY_SLOTS, dtype=torch.int64)
    first = torch.randn(shape, generator=history)
    state = simulator.initial_state(first, torch.rand(1, ACTION_SIZE, generator=history) * 90)
    for known in range(4):
        generator = same if known == 3 else history
        latent = torch.randn(shape, generator=generator)
        action = torch.rand(1, ACTION_SIZE, generator=generator) * 90
        state = simulator.take(state, latent, action, keys)
    action = torch.rand(1, ACTION_SIZE, generator=same) * 90
    latent, state = simulator.step(state, action, keys, torch.randn(shape, generator=same))
    return [latent, *state.tensors()]


@pytest.mark.parametrize("config_of", ["micro_config", "fast_config"])
@pytest.mark.parametrize("carry", [True, False])
def test_what_was_before_is_known_only_with_a_carried_state(
    request: pytest.FixtureRequest, config_of: str, carry: bool
) -> None:
    micro = read_config(request.getfixturevalue(config_of)).simulator
    simulator = build_simulator(replace(micro, carry=carry), 0).eval()
    with torch.no_grad():
        one, two = after_history(simulator, 1), after_history(simulator, 2)
    assert all(map(torch.equal, one, two)) is not carry


def test_segments_that_share_a_state_need_one(micro_config: Path, tmp_path: Path) -> None:
    text = micro_config.read_text().replace("[simulator]", "[simulator]\ncarry = false")
    path = tmp_path / "anew.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"\[lanes\] frames = 1"):
        read_config(path)
    path.write_text(text.replace("frames = 4\nsegments = 2", "frames = 1\nsegments = 1"))
    assert not read_config(path).simulator.carry
    assert SimulatorConfig().carry


@pytest.mark.nightly
def test_the_benchmark_goes_on_where_it_was_ended(micro_config: Path, tmp_path: Path) -> None:
    def run(out: str, steps: int) -> list[dict[str, object]]:
        command = [
            sys.executable, "benchmarks/carried_state.py", "--json", "--delays", "5",
            "--config", str(micro_config), "--traces", "3", "--clips", "4", "--launches", "2",
            "--out", str(tmp_path / out), "--steps", str(steps),
        ]  # fmt: skip
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        rows: list[dict[str, object]] = json.loads(ended.stdout.splitlines()[-1])["rows"]
        return [{k: v for k, v in row.items() if k != "train_cpu_s"} for row in rows]

    whole = run("whole", 8)
    run("parts", 3)
    for row in (tmp_path / "parts").glob("*/*/row.json"):
        row.unlink()
    assert run("parts", 8) == whole
    assert [row["carry"] for row in whole] == [True, False]
