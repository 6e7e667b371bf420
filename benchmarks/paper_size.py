"""Does the public model train a step and draw a frame at full size, and what does it take?

python benchmarks/paper_size.py --json

On a CPU, on one thread, with random weights. So that it fits into 16 GiB, the recurrent
network's weights are in bfloat16 (all else is in float32), and each parameter is changed by
plain gradient descent as soon as its gradient is there, which is then let go: no two
gradients of large layers, no moments. What is carried between frames stays in float32.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import asdict, dataclass

import click
import torch
from report import circumstances
from torch import Tensor

from neuralos.build import make_deterministic
from neuralos.data.batch import Batch
from neuralos.models.config import SimulatorConfig
from neuralos.models.paper.autoencoder import KlAutoencoder
from neuralos.models.paper.config import KlConfig, PaperConfig, TemporalConfig, UnetConfig
from neuralos.models.paper.parts import PaperParts
from neuralos.models.paper.simulator import PaperSimulator
from neuralos.models.paper.temporal_encoder import TemporalEncoder
from neuralos.models.paper.unet import build_unet
from neuralos.shapes import Screen
from neuralos.training.config import ObjectiveConfig
from neuralos.training.latent_loss import DenoisingLoss
from neuralos.training.stages import Stage

SCHEMA = "neuralos.benchmark.paper_size/1"
FRAMES = 2
SAMPLER_STEPS = 2
LR = 1e-4
PIECE = 2**24
MICRO = PaperConfig(
    temporal=TemporalConfig(hidden=32, token=32, head=64),
    unet=UnetConfig((32, 32), 1, (False, False), 32),
    autoencoder=KlConfig((32, 32, 32, 32), 1),
)


@dataclass(frozen=True)
class Row:
    """One phase: its seconds (of the processor), and the most memory up to its end."""

    phase: str
    cpu_s: float
    peak_gib: float
    detail: dict[str, float]


class Clock:
    """Processor time since the last phase."""

    def __init__(self) -> None:
        self._began_s = time.process_time()

    def row(self, phase: str, **detail: float) -> Row:
        """Return what the phase that ends now took."""
        now_s = time.process_time()
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        row = Row(phase, round(now_s - self._began_s, 1), round(peak_kib / 2**20, 2), detail)
        self._began_s = now_s
        return row


def build(sizes: PaperConfig) -> PaperSimulator:
    """Return the simulator with random weights, those of the recurrent network in bfloat16."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        autoencoder, unet = KlAutoencoder(sizes), build_unet(sizes)
        torch.set_default_dtype(torch.bfloat16)
        try:
            temporal = TemporalEncoder(sizes)
        finally:
            torch.set_default_dtype(torch.float32)
    parts = PaperParts(sizes, autoencoder, temporal, unet)
    screen = Screen(reduction=1, cell_px=8)
    config = SimulatorConfig("paper", sampler_steps=SAMPLER_STEPS, screen=screen, paper=sizes)
    return PaperSimulator(config, parts)


def descend_at_once(simulator: PaperSimulator, changed: dict[str, bool]) -> None:
    """Let every parameter go down its gradient when that is there, and note whether it is finite.

    The autoencoder is not trained with the other two.
    """
    simulator.autoencoder.requires_grad_(False)
    for name, parameter in simulator.named_parameters():
        if not parameter.requires_grad:
            continue

        def descend(parameter: Tensor, name: str = name) -> None:
            assert parameter.grad is not None
            # In pieces: a mask of the largest gradient would take half as much as it.
            pieces = parameter.grad.flatten().split(PIECE)
            changed[name] = all(bool(piece.isfinite().all()) for piece in pieces)
            with torch.no_grad():
                parameter.add_(parameter.grad, alpha=-LR)
            parameter.grad = None

        parameter.register_post_accumulate_grad_hook(descend)


def train_step(simulator: PaperSimulator) -> tuple[float, dict[str, bool]]:
    """Make one step of joint training on random latents; return the loss and what changed."""
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(1, FRAMES + 1, *simulator.latent_shape, generator=generator)
    action = torch.zeros(1, FRAMES + 1, 11)
    action[:, :, 0] = 200
    batch = Batch(
        latent_BUCHW=latent,
        action_BUA=action,
        keys_BTK=torch.full((1, FRAMES, 8), 4),
        valid_BT=torch.ones(1, FRAMES, dtype=torch.bool),
        starts_B=torch.ones(1, dtype=torch.bool),
        lane_B=torch.zeros(1, dtype=torch.long),
    )
    changed: dict[str, bool] = {}
    descend_at_once(simulator, changed)
    minimised = DenoisingLoss(Stage("joint", guess=0.1), 1, 0)
    state = simulator.initial_state(latent[:, 0], action[:, 0])
    loss = minimised(simulator, batch, state, ObjectiveConfig(), generator)
    loss.total.backward()
    return loss.total.item(), changed


@torch.no_grad()
def draw_frame(simulator: PaperSimulator) -> Tensor:
    """Return the first frame of a session, (1, 384, 512, 3)."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(1, *simulator.latent_shape, generator=generator)
    action, keys = torch.zeros(1, 11), torch.zeros(1, 8, dtype=torch.long)
    latent, _ = simulator.step(simulator.start_state(action), action, keys, noise)
    return simulator.autoencoder.decode(latent)


@click.command()
@click.option("--micro", is_flag=True, help="Tiny layers, to see that this runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(micro: bool, as_json: bool) -> None:
    """Build the model, train one step, draw one frame; one row each."""
    make_deterministic()
    clock = Clock()
    simulator = build(MICRO if micro else PaperConfig())
    parameters = sum(parameter.numel() for parameter in simulator.parameters())
    rows = [clock.row("build", parameters=parameters)]
    loss, changed = train_step(simulator.train())
    trained = [n for n, p in simulator.named_parameters() if p.requires_grad]
    whole = sum(changed.get(name, False) for name in trained)
    rows.append(clock.row("train", loss=loss, tensors=len(trained), with_finite_gradient=whole))
    frame = draw_frame(simulator.eval())
    rows.append(clock.row("frame", height=frame.shape[1], width=frame.shape[2]))
    report = {"schema": SCHEMA, "rows": [asdict(row) for row in rows]}
    if as_json:
        click.echo(json.dumps({**report, **circumstances(["torch", "diffusers"])}))
        return
    for row in rows:
        detail = ", ".join(f"{name} {value:g}" for name, value in row.detail.items())
        click.echo(f"{row.phase:6} {row.cpu_s:8.1f} s {row.peak_gib:6.2f} GiB  {detail}")


if __name__ == "__main__":
    main()
