"""Public checkpoints become folders that other tools open, and are read back to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DModel
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import load_file
from torch import Tensor

from experiments.cli import cli
from experiments.console import run_cli
from neuralos.checkpoints.folder import Sampling, load_parts, save_parts
from neuralos.checkpoints.public import ImportChoices, read_public, to_parts
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.diffusion.ddim import Ladder, sample_ddim
from neuralos.diffusion.noise_table import NoiseTable
from neuralos.models.paper.parts import PaperParts

FIXTURE = Path(__file__).parents[2] / "data" / "neuralos_reference"

UNET_INERT = {
    "input_blocks.1.0.in_layers.2.bias": "down_blocks.0.resnets.0.conv1.bias",
    "input_blocks.1.0.emb_layers.1.weight": "down_blocks.0.resnets.0.time_emb_proj.weight",
    "input_blocks.1.0.emb_layers.1.bias": "down_blocks.0.resnets.0.time_emb_proj.bias",
    "output_blocks.2.0.in_layers.2.bias": "up_blocks.1.resnets.0.conv1.bias",
    "output_blocks.2.0.emb_layers.1.weight": "up_blocks.1.resnets.0.time_emb_proj.weight",
    "output_blocks.2.0.emb_layers.1.bias": "up_blocks.1.resnets.0.time_emb_proj.bias",
    "output_blocks.3.0.in_layers.2.bias": "up_blocks.1.resnets.1.conv1.bias",
    "output_blocks.3.0.emb_layers.1.weight": "up_blocks.1.resnets.1.time_emb_proj.weight",
    "output_blocks.3.0.emb_layers.1.bias": "up_blocks.1.resnets.1.time_emb_proj.bias",
    "output_blocks.3.0.out_layers.3.bias": "up_blocks.1.resnets.1.conv2.bias",
    "output_blocks.3.0.skip_connection.bias": "up_blocks.1.resnets.1.conv_shortcut.bias",
}
"""Written by hand: no output shows whether the importer mixes these up."""


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return {k: v.float() for k, v in load_file(FIXTURE / "weights.safetensors").items()}


@pytest.fixture(scope="module")
def parts() -> PaperParts:
    return to_parts(read_public(FIXTURE, ImportChoices()))


def test_inert_parameters_of_the_unet_go_where_they_belong(
    parts: PaperParts, weights: dict[str, Tensor]
) -> None:
    ours = parts.unet.state_dict()
    for public, name in UNET_INERT.items():
        assert torch.equal(ours[name], weights[f"model.diffusion_model.{public}"]), public


def test_the_autoencoder_is_named_as_diffusers_itself_would(
    parts: PaperParts, weights: dict[str, Tensor]
) -> None:
    config = dict(parts.autoencoder.kl.config)
    theirs = convert_ldm_vae_checkpoint(weights, config)
    ours = parts.autoencoder.kl.state_dict()
    assert set(theirs) == set(ours)
    for name, tensor in theirs.items():
        assert torch.equal(tensor.reshape(ours[name].shape), ours[name]), name


def test_a_folder_is_read_back_to_the_bit(parts: PaperParts, tmp_path: Path) -> None:
    save_parts(tmp_path, parts, Sampling(4))
    again, sampling = load_parts(tmp_path)
    assert sampling == Sampling(4)
    assert again.config == parts.config
    for name, module in parts.modules().items():
        found = again.modules()[name].state_dict()
        assert all(torch.equal(found[k], v) for k, v in module.state_dict().items())
    assert torch.equal(again.autoencoder.mean, parts.autoencoder.mean)
    assert torch.equal(again.autoencoder.std, parts.autoencoder.std)


def test_diffusers_opens_the_parts(parts: PaperParts, tmp_path: Path) -> None:
    save_parts(tmp_path, parts, Sampling())
    generator = torch.Generator().manual_seed(0)
    unet = UNet2DModel.from_pretrained(tmp_path / "unet").eval()
    vae = AutoencoderKL.from_pretrained(tmp_path / "vae").eval()
    noisy = torch.randn(1, 12, 6, 8, generator=generator)
    image = torch.rand(1, 3, 48, 64, generator=generator) * 2 - 1
    at = torch.tensor([251])
    with torch.no_grad():
        theirs, ours = unet(noisy, at).sample, parts.unet(noisy, at).sample
        assert torch.allclose(theirs, ours, atol=1e-5)
        mean = vae.encode(image).latent_dist.mean
        assert torch.allclose(mean, parts.autoencoder.kl.encode(image).latent_dist.mean, atol=1e-5)
    assert vae.config.latents_mean == pytest.approx(parts.autoencoder.mean.tolist())
    for theirs, ours in ((unet, parts.unet), (vae, parts.autoencoder.kl)):
        pairs = zip(theirs.parameters(), ours.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["unet"] == ["diffusers", "UNet2DModel"]


def test_the_sampler_agrees_with_diffusers_where_steps_divide(
    parts: PaperParts, tmp_path: Path
) -> None:
    save_parts(tmp_path, parts, Sampling())
    theirs = DDIMScheduler.from_pretrained(tmp_path / "scheduler")
    theirs.set_timesteps(4)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 4, 6, 8, generator=generator)
    context = torch.randn(1, 8, 6, 8, generator=generator)
    latent = noise
    with torch.no_grad():
        for timestep in theirs.timesteps:
            given = parts.predict(latent, timestep[None], context)
            latent = theirs.step(given, timestep, latent).prev_sample
        ours = sample_ddim(
            lambda x, t: parts.predict(x, t, context), noise, Ladder.of(NoiseTable(), 4), "x0"
        )
    assert torch.allclose(latent, ours, atol=1e-5)


def test_both_containers_give_the_same(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    """The published file is a zip made by torch.save, whatever its name says."""
    source = _source(tmp_path, lambda path: torch.save(weights, path))
    assert (source / "model.safetensors").read_bytes()[:2] == b"PK"
    found = read_public(source, ImportChoices(head_channels=16))
    assert set(found.tensors) == set(weights)
    assert all(torch.equal(found.tensors[name], weights[name]) for name in weights)


def test_the_published_sample_is_read_and_then_lacks_tensors() -> None:
    with pytest.raises(CheckpointRefused, match=r"lstm_projection_pre\.weight' is missing"):
        read_public(FIXTURE / "published_sample", ImportChoices())


def test_averaged_weights_are_taken_when_asked_for(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    start = "model.diffusion_model."
    unet = {name: tensor for name, tensor in weights.items() if name.startswith(start)}
    averaged = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): tensor + 1
        for name, tensor in unet.items()
    }
    averaged["model_ema.decay"] = torch.tensor(0.9999)
    averaged["model_ema.num_updates"] = torch.tensor(7, dtype=torch.int32)
    source = _source(tmp_path, lambda path: torch.save({**weights, **averaged}, path))
    choices = ImportChoices(head_channels=16)
    name = "conv_in.bias"
    plain = to_parts(read_public(source, choices)).unet.state_dict()[name]
    average = to_parts(read_public(source, choices), average=True)
    assert torch.equal(average.unet.state_dict()[name], plain + 1)
    same = "temporal_encoder.log_sigma"
    assert torch.equal(average.temporal.log_sigma, weights[same])


def test_averages_that_are_not_there_are_refused() -> None:
    with pytest.raises(CheckpointRefused, match="nothing was averaged"):
        to_parts(read_public(FIXTURE, ImportChoices()), average=True)


def test_a_part_averaged_by_half_is_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    extra = {"model_ema.diffusion_modelout2bias": torch.zeros(4)}
    source = _source(tmp_path, lambda path: torch.save({**weights, **extra}, path))
    public = read_public(source, ImportChoices(head_channels=16))
    with pytest.raises(CheckpointRefused, match=r"tensor 'model_ema.*' is missing"):
        to_parts(public, average=True)


def test_the_command_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["checkpoint", "import", str(FIXTURE), "--to", str(out), "--json"]
    assert run_cli(cli, command) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["schema"] == "neuralos.checkpoint.import/1"
    assert shown["parameters"]["temporal_encoder"] == 588225
    assert {quantity["max_abs_err"] for quantity in shown["quantities"]} == {0.0}
    assert shown["ok"] is True
    assert run_cli(cli, command) == 3
    assert "is there already" in capsys.readouterr().err
    assert load_parts(out)[0].config.channels == 4


def _source(tmp_path: Path, write: Callable[[Path], object]) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    write(source / "model.safetensors")
    stats = FIXTURE / "latent_stats.json"
    (source / "latent_stats.json").write_bytes(stats.read_bytes())
    return source
