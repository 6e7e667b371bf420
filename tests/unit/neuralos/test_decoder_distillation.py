from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import PointerMoved
from neuralos.build import build_simulator
from neuralos.checkpoints.folder import Sampling, save_parts
from neuralos.data.encode import reduce_frames
from neuralos.models.config import SimulatorConfig
from neuralos.models.fast.config import SmallAutoencoderConfig
from neuralos.models.paper.config import KlConfig, PaperConfig, TemporalConfig, UnetConfig
from neuralos.models.paper.parts import PaperParts
from neuralos.models.simulator import Simulator
from neuralos.run_config import read_config
from neuralos.training.decoder_distillation import distillation_of, edge_weight
from neuralos.training.stages import Stage

SMALL = SmallAutoencoderConfig(8, (1, 1, 1, 1), (1, 1, 1, 1))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    config = PaperConfig(
        channels=4,
        grid_width=16,
        grid_height=12,
        temporal=TemporalConfig(hidden=8, token=8, heads=2, head=8, keys=10, context=8),
        unet=UnetConfig((32, 32), 1, (False, False)),
        autoencoder=KlConfig((32, 32, 32, 32), 1),
    )
    torch.manual_seed(0)
    save_parts(folder, PaperParts.build(config), Sampling())
    return folder


def frames() -> torch.Tensor:
    desktop = ScriptedDesktop()
    desktop.reset(0)
    seen = [desktop.step([PointerMoved(90 * index, 60 * index)]) for index in range(3)]
    return torch.from_numpy(reduce_frames(np.stack(seen)))


def student(fast_config: Path, channels: int = 4) -> Simulator:
    config = read_config(fast_config).simulator
    fast = replace(config.fast, autoencoder="small", small=SMALL)
    return build_simulator(replace(config, components=channels, fast=fast), seed=0)


def stage(folder: Path) -> Stage:
    return Stage("decoder", ("autoencoder",), "distillation", teacher=str(folder))


def test_the_small_autoencoder_comes_nearer_to_its_teacher(
    fast_config: Path, teacher: Path
) -> None:
    simulator, shown = student(fast_config), frames()
    optimizer = torch.optim.Adam(simulator.autoencoder.parameters(), lr=3e-3)
    losses = []
    for step in range(12):
        loss = distillation_of(stage(teacher), step)(simulator, shown, torch.Generator())
        losses.append({name: part.item() for name, part in loss.parts.items()})
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert loss.count == 3
    for part in ("latents", "pixels"):
        assert losses[-1][part] < 0.8 * losses[0][part]


def test_a_teacher_of_other_latents_is_refused(fast_config: Path, teacher: Path) -> None:
    minimised = distillation_of(stage(teacher), 1)
    with pytest.raises(ValueError, match=r"\(4, 12, 16\), not \(8, 12, 16\)"):
        minimised(student(fast_config, channels=8), frames(), torch.Generator())
    with pytest.raises(TypeError, match="PatchCode"):
        minimised(build_simulator(SimulatorConfig(), 0), frames(), torch.Generator())


def test_distillation_has_a_teacher_and_others_have_none() -> None:
    with pytest.raises(ValueError, match="teacher is to name"):
        distillation_of(Stage("decoder", ("autoencoder",), "distillation"), 1)
    with pytest.raises(ValueError, match="teacher"):
        Stage("fast", objective="drawing", teacher="somewhere")


def test_pixels_on_both_sides_of_an_edge_weigh_more() -> None:
    image = torch.full((1, 3, 8, 12), -1.0)
    image[..., 6:] = 1.0
    weight = edge_weight(image)
    assert weight.shape == (1, 1, 8, 12)
    assert torch.isclose(weight.mean(), torch.tensor(1.0))
    heavy = (weight[0, 0] > weight.min() * 5).all(0)
    assert heavy.nonzero().flatten().tolist() == [5, 6]
