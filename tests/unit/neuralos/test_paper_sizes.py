"""The public model at full size: counted without its memory, and once for real."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from neuralos.models.paper.config import PaperConfig, UnetConfig
from neuralos.models.paper.parts import PaperParts

REPOSITORY = Path(__file__).parents[3]
GIGA = 1e9


@pytest.fixture(scope="module")
def parts() -> PaperParts:
    return PaperParts.blank(PaperConfig())


def test_parameters_are_as_many_as_published(parts: PaperParts) -> None:
    counts = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in parts.modules().items()
    }
    assert counts == {"vae": 83_821_011, "temporal_encoder": 2_235_721_729, "unet": 263_236_816}
    assert sum(p.numel() for p in parts.temporal.head_out.parameters()) == 1_610_711_040


def test_one_call_of_the_unet_costs_what_the_public_one_does(parts: PaperParts) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        parts.predict(
            torch.empty(1, 16, 48, 64), torch.empty(1, dtype=torch.long), torch.empty(1, 32, 48, 64)
        )
    assert counter.get_total_flops() / GIGA == pytest.approx(118.46, abs=0.005)


def test_a_look_at_the_frame_is_cheap(parts: PaperParts) -> None:
    """Keys and values of all tokens would cost 13 GFLOP."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        parts.temporal.attention(torch.empty(1, 1024), torch.empty(1, 16, 48, 64))
    assert counter.get_total_flops() / GIGA < 0.12


def test_shapes_at_full_size(parts: PaperParts) -> None:
    with torch.device("meta"):
        latent = torch.empty(2, 16, 48, 64)
        image = parts.autoencoder.kl.decode(latent).sample
        moments = parts.autoencoder.kl.encode(torch.empty(2, 3, 384, 512)).latent_dist.parameters
    assert image.shape == (2, 3, 384, 512)
    assert moments.shape == (2, 32, 48, 64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PaperConfig(prediction="v"), "neither 'x0' nor 'eps'"),
        (lambda: UnetConfig(widths=(32, 64)), "2 widths, 4 attention flags"),
        (
            lambda: UnetConfig(widths=(32, 48), attention=(False, True)),
            "heads of 32 channels do not divide 48",
        ),
    ],
)
def test_sizes_that_cannot_be_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def _available_gib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return int(kib) / 2**20


@pytest.mark.nightly
@pytest.mark.parametrize(("options", "most_gib"), [(("--micro",), 2.0), ((), 24.0)])
def test_a_step_and_a_frame_at_full_size(options: tuple[str, ...], most_gib: float) -> None:
    if not options and _available_gib() < 16:
        pytest.skip("needs 16 GiB of free memory")
    command = [sys.executable, "benchmarks/paper_size.py", "--json", *options]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    report = json.loads(ended.stdout.splitlines()[-1])
    built, trained, drawn = report["rows"]
    if not options:
        assert built["detail"]["parameters"] == 83_821_011 + 2_235_721_729 + 263_236_816
    assert math.isfinite(trained["detail"]["loss"])
    assert trained["detail"]["tensors"] == trained["detail"]["with_finite_gradient"]
    assert (drawn["detail"]["height"], drawn["detail"]["width"]) == (384, 512)
    assert drawn["peak_gib"] < most_gib
