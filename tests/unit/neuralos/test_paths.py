from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from neuralos.diffusion.config import PathConfig
from neuralos.diffusion.paths import Draws, NoisePath, draw_levels, sampling_levels
from neuralos.diffusion.shortcuts import strides_of, two_half_steps

SHAPE = (3, 2, 4, 4)
KINDS = (
    PathConfig("flow", "noise"),
    PathConfig("flow", "previous"),
    PathConfig("edm", "noise"),
    PathConfig("edm", "previous"),
    PathConfig("ddpm", "noise"),
)


def latents(*names: str) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(SHAPE, generator=generator) for _ in names)


def shrinking(noisy: Tensor, level: Tensor, stride: Tensor) -> Tensor:
    """A denoiser that is none, but depends on all that it is told."""
    return noisy.tanh() * (1 - 0.3 * level.view(-1, 1, 1, 1))


@pytest.mark.parametrize("config", KINDS)
def test_a_perfect_denoiser_leads_to_the_clean_latent(config: PathConfig) -> None:
    clean, previous, noise = latents("clean", "previous", "noise")
    path = NoisePath(config)
    for steps in (1, 2, 4):
        found = path.sample(lambda noisy, level, stride: clean, previous, noise, steps)
        assert torch.allclose(found, clean, atol=1e-5)


@pytest.mark.parametrize("config", KINDS)
def test_steps_stay_on_the_path_and_can_be_undone(config: PathConfig) -> None:
    clean, previous, noise = latents("clean", "previous", "noise")
    path = NoisePath(config)
    high, low = torch.tensor([1.0, 0.75, 0.5]), torch.tensor([0.5, 0.25, 0.0])
    noisy = path.noisy(clean, previous, noise, high)
    lower = path.towards(noisy, clean, high, low)
    assert torch.allclose(lower, path.noisy(clean, previous, noise, low), atol=1e-4)
    assert torch.allclose(path.clean_of(noisy, lower, high, low), clean, atol=1e-4)


def test_flow_starts_at_the_latent_before_with_noise_on_it() -> None:
    _, previous, noise = latents("clean", "previous", "noise")
    for kind in ("flow", "edm"):
        path = NoisePath(PathConfig(kind, "previous", start_noise=0.5))
        assert torch.allclose(path.start(previous, noise), previous + 0.5 * noise, atol=1e-5)
        plain = NoisePath(PathConfig(kind, "noise", sigma_max=3.0))
        scale = 3.0 if kind == "edm" else 1.0
        assert torch.allclose(plain.start(previous, noise), scale * noise, atol=1e-5)


def test_flow_agrees_with_diffusers() -> None:
    (noise,) = latents("noise")
    theirs = FlowMatchEulerDiscreteScheduler()
    theirs.set_timesteps(sigmas=list(sampling_levels(4)[:-1]))
    latent = noise
    for timestep, sigma in zip(theirs.timesteps, theirs.sigmas, strict=False):
        level = sigma.expand(len(latent))
        velocity = (latent - shrinking(latent, level, level)) / sigma
        latent = theirs.step(velocity, timestep, latent).prev_sample
    ours = NoisePath(PathConfig("flow", "noise")).sample(shrinking, noise, noise, 4)
    assert torch.allclose(ours, latent, atol=1e-5)


def test_edm_agrees_with_diffusers() -> None:
    (noise,) = latents("noise")
    config = PathConfig("edm", "noise", sigma_min=0.02, sigma_max=8.0, sigma_data=0.5)
    path = NoisePath(config)
    levels = torch.tensor(sampling_levels(4)[:-1])
    theirs = EDMEulerScheduler(sigma_min=0.02, sigma_max=8.0, sigma_data=0.5)
    theirs.set_timesteps(len(levels), sigmas=1 - levels)
    latent, network = 8.0 * noise, nn.Tanh()
    for index, timestep in enumerate(theirs.timesteps):
        scaled = theirs.scale_model_input(latent, timestep)
        assert torch.allclose(scaled, latent * path.scales(levels[index : index + 1]).input)
        latent = theirs.step(network(scaled), timestep, latent).prev_sample

    def draws(noisy: Tensor, level: Tensor, stride: Tensor) -> Tensor:
        scales = path.scales(level)
        skip, output, inner = (
            one.view(-1, 1, 1, 1) for one in (scales.skip, scales.output, scales.input)
        )
        drawn: Tensor = skip * noisy + output * network(inner * noisy)
        return drawn

    assert torch.allclose(path.sample(draws, noise, noise, 4), latent, atol=1e-4)


def test_ddpm_agrees_with_diffusers() -> None:
    (noise,) = latents("noise")
    theirs = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.0015,
        beta_end=0.0195,
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="sample",
        timestep_spacing="trailing",
    )
    theirs.set_timesteps(4)
    latent = noise
    for timestep in theirs.timesteps:
        level = ((timestep + 1) / 1000).expand(len(latent))
        clean = shrinking(latent, level, level)
        latent = theirs.step(clean, int(timestep), latent).prev_sample
    ours = NoisePath(PathConfig("ddpm", "noise")).sample(shrinking, noise, noise, 4)
    assert torch.allclose(ours, latent, atol=1e-4)


def test_edm_keeps_the_network_at_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    path = NoisePath(PathConfig("edm", "noise", sigma_data=0.5))
    clean = 0.5 * torch.randn(64, 4, 16, 16, generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    for value in (0.1, 0.5, 1.0):
        level = torch.full((64,), value)
        scales = path.scales(level)
        noisy = path.noisy(clean, clean, noise, level)
        inside = scales.input[0] * noisy
        wanted = (clean - scales.skip[0] * noisy) / scales.output[0]
        assert abs(float(inside.std()) - 1) < 0.03
        assert abs(float(wanted.std()) - 1) < 0.03


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "line"}, "line"),
        ({"start": "middle"}, "middle"),
        ({"kind": "ddpm", "start": "previous"}, "plain noise"),
        ({"finest": 6}, "power of 2"),
        ({"sigma_min": 30.0}, "sigma_min"),
        ({"kind": "edm", "start_noise": 0.01}, "start_noise"),
    ],
)
def test_paths_that_cannot_be_are_refused(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        replace(PathConfig(), **change)  # type: ignore[arg-type]


def test_strides_are_those_of_the_samplers() -> None:
    level, stride = strides_of(torch.rand(500, generator=torch.Generator().manual_seed(0)), 8)
    assert set(stride.tolist()) == {1.0, 0.5, 0.25, 0.125}
    assert torch.equal((level / stride).round(), level / stride)
    assert float((level - stride).min()) == 0


def test_one_long_step_leads_where_two_half_steps_do() -> None:
    clean, previous, noise = latents("clean", "previous", "noise")
    path = NoisePath(PathConfig("flow", "previous", finest=8))
    level, stride = torch.tensor([1.0, 1.0, 0.25]), torch.tensor([1.0, 0.5, 0.125])
    told = []

    def draws(noisy: Tensor, at: Tensor, stride: Tensor) -> Tensor:
        told.append(stride)
        return shrinking(noisy, at, stride)

    noisy = path.noisy(clean, previous, noise, level)
    wanted = two_half_steps(path, draws, noisy, level, stride)
    middle, end = level - stride / 2, level - stride
    between = path.towards(noisy, shrinking(noisy, level, level), level, middle)
    lower = path.towards(between, shrinking(between, middle, middle), middle, end)
    assert torch.allclose(path.towards(noisy, wanted, level, end), lower, atol=1e-5)
    assert [one.tolist() for one in told] == [[0.5, 0.25, 0.0]] * 2


class _Toy(nn.Module):
    """A denoiser of single numbers whose data are -1 and 1, equally often."""

    def __init__(self, is_told: bool) -> None:
        super().__init__()
        self.is_told = is_told
        layers = [nn.Linear(3, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, noisy: Tensor, level: Tensor, stride: Tensor) -> Tensor:
        told = torch.stack((noisy.flatten(), level, stride * self.is_told), 1)
        drawn: Tensor = self.layers(told).view_as(noisy)
        return drawn


def _train_toy(path: NoisePath, distils: bool) -> Draws:
    torch.manual_seed(0)
    toy = _Toy(is_told=distils)
    optimizer = torch.optim.Adam(toy.parameters(), lr=4e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(300):
        clean = torch.randint(2, (128, 1, 1, 1), generator=generator) * 2.0 - 1
        noise = torch.randn(clean.shape, generator=generator)
        level = draw_levels(128, generator)
        noisy = path.noisy(clean, clean, noise, level)
        loss = (toy(noisy, level, torch.zeros(128)) - clean).square().mean()
        if distils:
            level, stride = strides_of(torch.rand(128, generator=generator), 8)
            noisy = path.noisy(clean, clean, noise, level)
            wanted = two_half_steps(path, toy, noisy, level, stride)
            loss = loss + (toy(noisy, level, stride) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return toy


def test_distillation_makes_one_step_as_good_as_many() -> None:
    path = NoisePath(PathConfig("flow", "noise"))
    noise = torch.randn(400, 1, 1, 1, generator=torch.Generator().manual_seed(2))
    error = {}
    for distils in (False, True):
        drawn = path.sample(_train_toy(path, distils), noise, noise, 1).detach()
        error[distils] = float((drawn.abs() - 1).abs().mean())
    # Undistilled, one step leads to the mean of both values: 0, as far as can be from each.
    assert error[False] > 0.8
    assert error[True] < 0.6 * error[False]
