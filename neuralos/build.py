"""Builders: from a configuration to the objects it describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from neuralos.data.reading import ClipSource, make_reader
from neuralos.models.architectures import make_simulator
from neuralos.models.config import SimulatorConfig
from neuralos.models.simulator import Simulator
from neuralos.ranks import LaneShare, OneRank, Ranks
from neuralos.run_config import NeuralosConfig
from neuralos.training.device import choose_device
from neuralos.training.feed import Feed
from neuralos.training.objectives import OBJECTIVES
from neuralos.training.optim import Optimizer
from neuralos.training.parts import check_parts
from neuralos.training.trainer import Trainer
from neuralos.weights import load_weights


def make_deterministic() -> None:
    """Use one thread and only algorithms that give the same bits each time."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Nothing here reads memory that it has not written, so it need not be filled first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def build_simulator(config: SimulatorConfig, seed: int) -> Simulator:
    """Return a simulator with its first weights, a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        simulator = make_simulator(config)
    return simulator.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_trainer(
    config: NeuralosConfig,
    source: ClipSource,
    clock: Callable[[], float],
    start: Path | None = None,
    ranks: Ranks | None = None,
) -> Trainer:
    """Return a trainer before its first step, without data.

    Args:
        config: what to build.
        source: reads the clips of rows.
        clock: seconds, for the timings of reports only.
        start: the folder of a simulator whose weights it begins with; fresh ones if None.
        ranks: this trainer and the others of its run; alone if None.

    Raises:
        ConfigError: the ranks cannot share the lanes evenly.
        ValueError: ``start`` is missing, damaged, or of other sizes; the message names the
            tensor. Or a stage would train nothing, or there is no such device.
    """
    share = LaneShare(config.lanes.lanes, config.training.micro_batches, ranks or OneRank())
    device = choose_device(config.training.device)
    simulator = build_simulator(config.simulator, config.training.seed)
    if start is not None:
        simulator.load_state_dict(load_weights(start, simulator))
    simulator = simulator.to(device)
    check_parts(simulator, config.training.plan())
    feed = Feed(
        lanes=config.lanes,
        seed=config.training.seed,
        reader=make_reader(source, config.lanes.workers, config.simulator.screen),
        autoencoder=simulator.autoencoder,
        cached_clips=config.training.cached_clips,
        packed_clips=config.training.packed_clips,
        mixture=config.mixture,
        share=share,
    )
    trainer = Trainer(
        config=config.training,
        lanes=config.lanes,
        objective=config.objective,
        objectives=OBJECTIVES,
        simulator=simulator,
        optimizer=Optimizer(simulator, config.optimizer),
        feed=feed,
        device=device,
        clock=clock,
    )
    trainer.begin()
    return trainer
