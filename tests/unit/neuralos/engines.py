"""Small simulators with odd weights, inputs by key, and an engine's frames step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from neuralos.build import build_simulator
from neuralos.config import read_document
from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS
from neuralos.keyed import numpy_generator, torch_generator
from neuralos.models.config import SimulatorConfig
from neuralos.models.simulator import Simulator
from neuralos.runtime.engine import Engine, Frames, Known
from neuralos.runtime.inputs import Controls
from neuralos.runtime.sessions import Session
from neuralos.shapes import Screen


def shaken_simulator(
    config: Path, seed: int, code_seed: int = 0, strength: float = 0.3
) -> Simulator:
    """A simulator whose every weight is odd, also those that begin at zero."""
    sizes = read_document(config).section("simulator", SimulatorConfig)
    simulator = build_simulator(sizes, seed).eval().requires_grad_(False)
    for name, tensor in simulator.state_dict().items():
        own = code_seed if name.startswith("autoencoder.") else seed
        generator = torch_generator(own, "shake", name)
        if tensor.is_floating_point():
            tensor += strength * torch.randn(tensor.shape, generator=generator)
        else:
            tensor.copy_(torch.randint(0, 256, tensor.shape, generator=generator))
    return simulator


def some_controls(key: str, t: int) -> Controls:
    """The input of one frame of someone."""
    rng = numpy_generator(0, "controls", key, t)
    action = np.zeros(ACTION_SIZE, dtype=np.float32)
    action[:2] = rng.integers(0, (512, 384))
    action[2:8] = rng.integers(0, 2, 6)
    keys = rng.integers(0, 512, KEY_SLOTS) * rng.integers(0, 2, KEY_SLOTS)
    return Controls(action, keys)


def some_known(key: str, screen: Screen, count: int = 3) -> Known:
    """The first frames of someone."""
    rng = numpy_generator(0, "frames", key)
    said = [some_controls(key, -1 - t) for t in range(count)]
    return Known(
        rng.integers(0, 256, (count, screen.height_px, screen.width_px, 3), np.uint8),
        np.stack([one.action for one in said]),
        np.stack([one.keys for one in said]),
    )


def join(engine: Engine, name: str, seed: int = 0) -> Session:
    """Let someone join, warm."""
    return engine.join(engine.board(name, seed, some_known(name, engine.simulator.screen)))


def play_on(engine: Engine, session: Session, count: int) -> list[Frames]:
    """The next frames of one session."""
    frames = []
    for _ in range(count):
        controls = some_controls(session.name, session.drawn)
        frames.append(engine.step({session: controls}).frames[session].copy())
    return frames


def state_of(engine: Engine, session: Session) -> dict[str, torch.Tensor]:
    """A copy of what is carried of a session."""
    state = engine._buffers.state.state_dict()
    return {name: tensor[session.slot].clone() for name, tensor in state.items()}
