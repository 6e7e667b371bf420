"""The published noise schedule and sampler."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from neuralos.diffusion.ddim import Ladder, evaluations, sample_ddim
from neuralos.diffusion.noise_table import VECTOR_NAMES, NoiseTable

TABLE = NoiseTable()


def _exact(clean: Tensor, prediction: str) -> object:
    """Return a network that knows the clean latent."""

    def network(noisy: Tensor, timestep: Tensor) -> Tensor:
        if prediction == "x0":
            return clean
        alpha = TABLE.alpha_S[timestep].view(-1, 1, 1, 1)
        return (noisy - alpha.sqrt() * clean) / (1 - alpha).sqrt()

    return network


@pytest.mark.parametrize(
    ("steps", "calls", "first"),
    [(1, 1, 999), (2, 2, 501), (4, 4, 751), (16, 17, 993), (32, 33, 993), (50, 50, 981)],
)
def test_ladders_are_the_published_ones(steps: int, calls: int, first: int) -> None:
    ladder = Ladder.of(TABLE, steps)
    assert len(ladder.timesteps) == calls
    assert ladder.timesteps[0] == first
    assert ladder.lower[:-1] == ladder.alphas[1:]
    assert ladder.lower[-1] == float(TABLE.alpha_S[0])


@pytest.mark.parametrize("steps", [3, 9, 27, 36, 37, *range(101, 112)])
def test_a_ladder_that_leaves_the_table_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="end beyond the noise schedule"):
        Ladder.of(TABLE, steps)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_a_ladder_without_sense_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="are not among 1 to 1000"):
        Ladder.of(TABLE, steps)


@pytest.mark.parametrize("prediction", ["x0", "eps"])
@pytest.mark.parametrize("steps", [1, 2, 8, 16])
def test_a_network_that_knows_is_believed(prediction: str, steps: int) -> None:
    generator = torch.Generator().manual_seed(steps)
    clean = torch.randn(2, 4, 6, 8, generator=generator)
    noise = torch.randn(2, 4, 6, 8, generator=generator)
    network, ladder = _exact(clean, prediction), Ladder.of(TABLE, steps)
    for seen in evaluations(network, noise, ladder, prediction):  # type: ignore[arg-type]
        assert torch.allclose(seen.clean_NCHW, clean, atol=1e-3)
    drawn = sample_ddim(network, noise, ladder, prediction)  # type: ignore[arg-type]
    level = float(TABLE.alpha_S[0])
    if steps == 1:
        assert torch.allclose(drawn, clean, atol=1e-3)
    else:
        # The last step goes to timestep 0, where a little noise is left.
        left = (drawn - level**0.5 * clean) / (1 - level) ** 0.5
        assert 0.5 < float(left.std()) < 1.5
        assert torch.allclose(drawn, clean, atol=0.3)


def test_noise_is_added_as_the_table_says() -> None:
    clean, noise = torch.ones(3, 1, 1, 1), torch.full((3, 1, 1, 1), 2.0)
    noisy = TABLE.add_noise(clean, noise, torch.tensor([0, 500, 999])).flatten()
    alpha = TABLE.alpha_S[[0, 500, 999]]
    assert torch.allclose(noisy, alpha.sqrt() + 2 * (1 - alpha).sqrt())
    assert alpha[0] > 0.99
    assert alpha[2] < 0.01


def test_the_vectors_agree_with_each_other() -> None:
    vectors = TABLE.vectors()
    assert set(vectors) == set(VECTOR_NAMES)
    assert len(VECTOR_NAMES) == 12
    assert all(v.shape == (1000,) and v.isfinite().all() for v in vectors.values())
    alpha = vectors["alphas_cumprod"]
    assert torch.equal(alpha, TABLE.alpha_S)
    assert torch.allclose(vectors["sqrt_recipm1_alphas_cumprod"].square() + 1, 1 / alpha, rtol=1e-4)


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.1), (0.2, 0.1), (0.1, 1.0)])
def test_a_table_without_sense_is_refused(start: float, end: float) -> None:
    with pytest.raises(ValueError, match="no noise schedule"):
        replace(TABLE, start=start, end=end)
