from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data_collection.trace import ClipRow
from interactive.trainer import DataRow, StepRecord
from neuralos.config import to_toml
from neuralos.control import SteeredTrainer, create_trainer
from neuralos.keyed import torch_generator
from neuralos.models.autoencoder import Autoencoder
from neuralos.models.config import SimulatorConfig
from neuralos.models.fast.config import SmallAutoencoderConfig
from neuralos.models.small_autoencoder import SmallAutoencoder
from neuralos.shapes import Screen
from neuralos.training.config import OptimizerConfig, ReconstructionConfig
from neuralos.training.optim import Optimizer
from neuralos.training.reconstruction import (
    ReconstructionLoss,
    divergence,
    edge_error,
    edges,
)
from tests.unit.neuralos.micro_paper import MICRO_PAPER, micro_simulator

Recorded = tuple[Path, list[ClipRow]]
Begin = Callable[[], SteeredTrainer]

SEVEN = ("autoencoder", "rnn", "denoiser", "joint", "scheduled", "long", "continuous")
STAGES = """
[objective]
still_weight = 1.0
feedback_noise = 0.0

[lanes]
lanes = 2

[training]
first_clips = 4
fit_clips = 3
stages = {stages}

[training.stage]
autoencoder = {{ steps = 2, frames = 2 }}
rnn = {{ steps = 1, frames = 4 }}
denoiser = {{ steps = 1, frames = 4 }}
joint = {{ steps = 1, frames = 4 }}
scheduled = {{ steps = 1, frames = 4, own_every = 2, own_sampler_steps = 2 }}
long = {{ steps = 1, frames = 6, own_every = 2, own_sampler_steps = 2 }}
continuous = {{ frames = 6, own_sampler_steps = 2 }}
"""


@pytest.fixture
def begin(recorded: Recorded, tmp_path: Path) -> Begin:
    """Return what starts a small public model on the recorded clips, in the paper's stages."""
    screen = Screen(reduction=8, cell_px=8)
    sizes = SimulatorConfig("paper", sampler_steps=2, screen=screen, paper=MICRO_PAPER)
    config = tmp_path / "paper.toml"
    stages = "[" + ", ".join(f'"{name}"' for name in SEVEN) + "]"
    config.write_text(to_toml({"simulator": sizes}) + STAGES.format(stages=stages))

    def make() -> SteeredTrainer:
        trainer = create_trainer(config, recorded[0])
        rows = [DataRow(row.commit, row.to_json()) for row in recorded[1]]
        trainer.adopt(len(rows), rows)
        return trainer

    return make


def bits(record: StepRecord) -> tuple[object, ...]:
    return record.step, record.loss, record.grad_norm, record.lr, record.digest, record.commits


def test_the_papers_stages_one_after_the_other_resumed_in_each(
    begin: Begin, tmp_path: Path
) -> None:
    straight, parts, names = begin(), [], []
    folders = []
    for step in range(8):
        folders.append(tmp_path / str(step))
        folders[-1].mkdir()
        straight.save(folders[-1])
        names.append(straight.settings()["settings"]["training.stage"])
        record = straight.train_step()
        parts.append((bits(record), set(record.extra)))
        assert np.isfinite(record.loss)
    assert names == ["autoencoder"] * 2 + list(SEVEN[1:])
    assert parts[0][1] == {"pixels", "edges", "kl"}
    assert parts[2][1] == {"guess"}
    assert parts[3][1] == {"denoising"}
    for killed_at, until in ((1, 3), (5, 8)):
        resumed = begin()
        resumed.load(folders[killed_at])
        for step in range(killed_at, until):
            assert bits(resumed.train_step()) == parts[step][0]


def test_latents_are_settled_when_the_autoencoder_is_trained(begin: Begin) -> None:
    """What plays and what is trained have one code, whose latents have mean 0 and deviation 1."""
    trainer = begin()
    inner = trainer._trainer
    code = inner.simulator.autoencoder
    for _ in range(2):
        trainer.train_step()
    assert not code.is_fitted
    averaged = {
        name: tensor
        for name, tensor in inner.optimizer.average().items()
        if name.startswith("autoencoder.")
    }
    assert all(code.state_dict()[name[12:]].equal(tensor) for name, tensor in averaged.items())
    digest = code.digest()
    trainer.train_step()
    assert code.is_fitted
    assert code.digest() != digest
    frames, _ = inner.feed.some_frames(3)
    latents = code.encode(torch.from_numpy(frames))
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    trainer.train_step()
    assert inner.averaged().autoencoder.digest() == code.digest()


def test_an_autoencoder_that_is_computed_is_not_trained(
    micro_config: Path, recorded: Recorded
) -> None:
    micro_config.write_text(
        micro_config.read_text().replace("fit_clips = 4", 'stages = ["autoencoder"]')
    )
    with pytest.raises(ValueError, match="'autoencoder' trains nothing"):
        create_trainer(micro_config, recorded[0])


def picture() -> Tensor:
    """Return two frames (2, 48, 64, 3) of flat areas with sharp edges."""
    frames = torch.full((2, 48, 64, 3), 200, dtype=torch.uint8)
    frames[0, 10:30, 8:40] = 20
    frames[1, 5:12, 30:60] = torch.tensor([250, 30, 30], dtype=torch.uint8)
    return frames


class _Holder(torch.nn.Module):
    """Holds an autoencoder where objectives look for it."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder


@pytest.mark.parametrize("kind", ["kl", "small"])
def test_reconstruction_gets_better(kind: str) -> None:
    torch.manual_seed(0)
    if kind == "kl":
        holder: torch.nn.Module = micro_simulator()
    else:
        sizes = SmallAutoencoderConfig(width=16)
        holder = _Holder(SmallAutoencoder(4, sizes, Screen(reduction=8, cell_px=8)))
    optimizer = Optimizer(holder, OptimizerConfig(lr=3e-3, warmup_steps=1))
    objective = ReconstructionLoss(ReconstructionConfig())
    losses = []
    for step in range(1, 11):
        loss = objective(holder, picture(), torch_generator(0, step))  # type: ignore[arg-type]
        losses.append({name: part.item() for name, part in loss.parts.items()})
        optimizer.update(loss.total, step)
    assert losses[-1]["pixels"] < 0.8 * losses[0]["pixels"]
    assert sum(losses[-1][p] for p in ("pixels", "edges")) < 0.9 * sum(
        losses[0][p] for p in ("pixels", "edges")
    )
    assert ("kl" in losses[0]) == (kind == "kl")


def test_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    code = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    unit = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    wanted = torch.distributions.kl_divergence(code, unit).sum((1, 2, 3)).mean()
    torch.testing.assert_close(divergence(mean, log_variance), wanted)


def test_edges_see_where_pictures_change_and_nothing_else() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    right, down, bend = edges(image)
    assert right.nonzero()[:, 3].unique().tolist() == [3]
    assert not down.any()
    assert bend.nonzero()[:, 3].unique().tolist() == [2, 3]
    assert edge_error(image, image, 2).item() == 0
    assert edge_error(image + 0.5, image, 2).item() == pytest.approx(0, abs=1e-6)
    blurred = torch.nn.functional.avg_pool2d(image, 3, 1, 1, count_include_pad=False)
    assert edge_error(blurred, image, 2) > 0.01
