"""One TOML file names a run: the sections of every package, read strictly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from experiments.base_data import BaseConfig
from experiments.code_version import code_version
from experiments.starting import keep_start, laid_over_start
from interactive.policy import Policy
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.steering.boundary import Cadence
from neuralos.config import ConfigError, Document, read_document, to_toml
from neuralos.run_config import SECTIONS, NeuralosConfig
from neuralos.training.config import TrainingConfig

OWN_SECTIONS = ("base", "steering", "policy")
ENTRY_POINT = "neuralos.control:create_trainer"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class SteeringConfig:
    """What a run does by itself, counted in steps; 0 is never, for ``end_step`` no end.

    ``resume_alone_s`` is how long a paused run without a server holds; 0 is for ever.
    """

    checkpoint_every: int = 50
    evaluate_every: int = 100
    keep_checkpoints: int = 3
    end_step: int = 0
    resume_alone_s: float = 0.0

    def cadence(self) -> Cadence:
        """Return the boundary's cadence."""
        return Cadence(
            checkpoint_every=self.checkpoint_every,
            evaluate_every=self.evaluate_every,
            keep_checkpoints=self.keep_checkpoints,
            end_step=self.end_step or None,
            resume_alone_s=self.resume_alone_s or None,
        )


@dataclass(frozen=True, slots=True)
class HarnessConfig:
    """A run's whole configuration: this package's sections, and those of the simulator."""

    base: BaseConfig
    steering: SteeringConfig
    policy: Policy
    neuralos: NeuralosConfig

    @property
    def seed(self) -> int:
        """Return the seed that decides every draw of the run."""
        return self.neuralos.training.seed

    def to_toml(self) -> str:
        """Return the resolved configuration as TOML."""
        own = {"base": self.base, "steering": self.steering, "policy": self.policy}
        return to_toml({**own, **self.neuralos.sections()})


def load_config(path: Path | None, overrides: tuple[str, ...], seed: int | None) -> HarnessConfig:
    """Read a configuration; without a file the built-in ``tiny`` one.

    Raises:
        ConfigError: a key, a value or the file is wrong; the message names the nearest key.
    """
    if seed is not None:
        overrides = (*overrides, f"training.seed={seed}")
    document = read_document(path, overrides)
    document.check_sections([*SECTIONS, *OWN_SECTIONS])
    start = document.section("training", TrainingConfig).start
    if start:
        document = laid_over_start(document, start)
    return HarnessConfig(*_own(document), NeuralosConfig.of(document))


def run_steering(run: Path) -> SteeringConfig:
    """Return what a run does by itself, from its resolved configuration."""
    return _own(read_document(RunFolder(run).config))[1]


def run_policy(run: Path) -> Policy:
    """Return what a run's server accepts; the default where the run's trainer has another config.

    Raises:
        ConfigError: the run's section is wrong; the message names the nearest key.
    """
    folder = RunFolder(run)
    try:
        document = read_document(folder.config)
    except ConfigError:
        # A trainer of one's own reads its configuration in any form.
        if folder.info().entry_point == ENTRY_POINT:
            raise
        return Policy()
    return document.section("policy", Policy)


def _own(document: Document) -> tuple[BaseConfig, SteeringConfig, Policy]:
    return (
        document.section("base", BaseConfig),
        document.section("steering", SteeringConfig),
        document.section("policy", Policy),
    )


def open_or_create(path: Path, config: HarnessConfig, say: Callable[[str], None]) -> RunFolder:
    """Continue the run of a folder, or begin one there.

    Raises:
        RunVersionMismatch: the run is of another version.
        RunUnwritable: the folder cannot be written.
    """
    text = config.to_toml()
    if RunFolder(path).info_file.exists():
        folder = RunFolder.open(path)
        if folder.config.read_text("utf-8") != text:
            say(f"continuing {path} with its own configuration, {folder.config}")
        return folder
    if config.neuralos.training.start:
        keep_start(RunFolder(path), config.neuralos.training.start)
    info = RunInfo(entry_point=ENTRY_POINT, seed=config.seed, code_version=code_version())
    return RunFolder.create(path, config=text, info=info)


def set_option(function: Function) -> Function:
    """Give a command ``--set``, handed to it as ``overrides``."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="Override one value of the configuration; may be repeated.",
    )(function)


def config_options(function: Function) -> Function:
    """Give a command ``--config`` and ``--set``."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="TOML file; the built-in tiny configuration without one.",
    )(set_option(function))
