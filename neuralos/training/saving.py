"""What a checkpoint holds of a trainer, so that it goes on bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from data_collection.trace import ClipRow
from neuralos.data.encode import ACTION_SIZE
from neuralos.data.rows import AdoptedClips
from neuralos.models.state import SimulatorState
from neuralos.training.checkpoint import (
    check_like,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)
from neuralos.training.parts import frozen
from neuralos.weights import save_simulator

if TYPE_CHECKING:
    from neuralos.training.trainer import Trainer

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
LANES_FILE = "lanes.safetensors"
TRAINER_FILE = "trainer.json"
ROWS_FILE = "rows.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint's folder says, checked against the trainer that reads it."""

    about: dict[str, Any]
    model: dict[str, Tensor]
    moments: dict[str, Tensor]
    clips: AdoptedClips
    state: SimulatorState | None


def save(trainer: Trainer, folder: Path) -> None:
    """Write everything that exact resume needs, and the simulator to play.

    Of the lanes it is those that are here; each other rank adds its own by ``save_lanes``.
    """
    simulator, optimizer, feed = trainer.simulator, trainer.optimizer, trainer.feed
    autoencoder = simulator.autoencoder
    write_tensors(folder / MODEL_FILE, simulator.state_dict())
    write_tensors(folder / OPTIMIZER_FILE, optimizer.tensors())
    save_lanes(trainer, folder)
    write_json(folder / ROWS_FILE, [row.to_json() for row in feed.clips.targets()])
    write_json(
        folder / TRAINER_FILE,
        {
            "step": trainer.step,
            "mark": feed.clips.mark,
            "seed": trainer.config.seed,
            "optimizer": optimizer.state_dict(),
            "objective": asdict(trainer.objective),
            "course": trainer.course.state_dict(),
            "frozen": frozen(simulator),
            "sampler": feed.sampler.state_dict(),
            "first_clip": trainer.first_clip,
            "autoencoder_digest": autoencoder.digest() if autoencoder.is_fitted else None,
        },
    )
    save_simulator(folder, simulator, optimizer.average(), trainer.step)


def save_lanes(trainer: Trainer, folder: Path) -> None:
    """Write what the lanes that are here carry."""
    write_tensors(folder / LANES_FILE, trainer.state.state_dict() if trainer.state else {})


def read(trainer: Trainer, folder: Path) -> Saved:
    """Read what ``save`` wrote; the trainer is not changed.

    Raises:
        ValueError: the folder does not fit this trainer; the message names the tensor.
    """
    about = read_json(folder / TRAINER_FILE)
    if about["seed"] != trainer.config.seed:
        raise ValueError(f"{TRAINER_FILE}: seed {about['seed']}, not {trainer.config.seed}")
    if "course" in about:
        trainer.course.check(about["course"])
    model = read_tensors(folder / MODEL_FILE, trainer.simulator.state_dict())
    moments = read_tensors(folder / OPTIMIZER_FILE, trainer.optimizer.tensors())
    state = _read_lanes(trainer, folder)
    clips = AdoptedClips()
    clips.adopt(about["mark"], [ClipRow.from_json(row) for row in read_json(folder / ROWS_FILE)])
    return Saved(about, model, moments, clips, state)


def _read_lanes(trainer: Trainer, folder: Path) -> SimulatorState | None:
    """Return what the lanes that are here carried, whichever ranks wrote it."""
    others = folder.glob(f"rank-*/{LANES_FILE}")
    by_rank = sorted(others, key=lambda path: int(path.parent.name.removeprefix("rank-")))
    parts = [read_tensors(path) for path in (folder / LANES_FILE, *by_rank)]
    if not parts[0]:
        return None
    lanes, device, share = trainer.lanes.lanes, trainer.device, trainer.feed.share
    latent = torch.zeros(lanes, *trainer.simulator.latent_shape, device=device)
    like = trainer.simulator.initial_state(latent, torch.zeros(lanes, ACTION_SIZE, device=device))
    order = share.order(len(parts))
    try:
        columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{LANES_FILE}: the parts of the ranks do not fit: {error}") from None
    check_like(LANES_FILE, columns, like.state_dict())
    rows = torch.tensor(order).argsort()[share.own]
    return like.like(columns).map(lambda column: column[rows].to(device))
