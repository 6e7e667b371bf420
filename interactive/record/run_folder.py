"""The run folder: what it holds, where, and how it is made and opened."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from interactive.record.durable import write_whole
from interactive.trainer import SteppingTrainer

FORMAT_VERSION = 1
"""Raised when a file of the run folder changes its meaning."""


class RunFolderError(Exception):
    """A run folder cannot be used; ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        """Store one clear line and what to do."""
        super().__init__(message)
        self.hint = hint


class RunMissing(RunFolderError):
    """There is no run in the folder."""


class RunExists(RunFolderError):
    """The folder holds a run already."""


class RunVersionMismatch(RunFolderError):
    """The run was written in another format."""


class RunUnwritable(RunFolderError):
    """The run folder cannot be written."""


class BadEntryPoint(RunFolderError):
    """The entry point of a run names nothing that can be called."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What was fixed when the run was created.

    ``entry_point`` is ``module:function``, called as ``(config_path, run_dir)``; it
    returns a fresh ``SteppingTrainer``. It is empty for a hand-written loop.
    """

    entry_point: str
    seed: int
    code_version: str
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    parent: Mapping[str, str] | None = None
    """The run (``run``) and its ``checkpoint`` from which this one continues."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the run's server listens."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run; each file has one writer."""

    path: Path

    @property
    def config(self) -> Path:
        """Return the resolved configuration, written once."""
        return self.path / "config.toml"

    @property
    def info_file(self) -> Path:
        """Return the file of ``RunInfo``, written once."""
        return self.path / "run.json"

    @property
    def inbox(self) -> Path:
        """Return the server's database of requests."""
        return self.path / "inbox.db"

    @property
    def ledger(self) -> Path:
        """Return the trainer's ordered facts."""
        return self.path / "ledger.jsonl"

    @property
    def data(self) -> Path:
        """Return the index rows of the clips that may be adopted."""
        return self.path / "data.jsonl"

    @property
    def metrics(self) -> Path:
        """Return the trainer's rows, one a step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def traces(self) -> Path:
        """Return the trace store, used by the holder of its lock."""
        return self.path / "traces"

    @property
    def start(self) -> Path:
        """Return the folder of what the trainer begins with, if it begins with something."""
        return self.path / "start"

    @property
    def wandb(self) -> Path:
        """Return the mirror's folder."""
        return self.path / "wandb"

    @property
    def rollouts(self) -> Path:
        """Return the folder of pictures that evaluations wrote."""
        return self.path / "rollouts"

    @property
    def replays(self) -> Path:
        """Return the folder of replays."""
        return self.path / "replays"

    @property
    def agents(self) -> Path:
        """Return the folder of the agents' journals, one folder an agent."""
        return self.path / "agents"

    @property
    def jobs(self) -> Path:
        """Return the folder of what the server was asked to work out beside the run."""
        return self.path / "jobs"

    @property
    def server(self) -> Path:
        """Return the server's address file."""
        return self.path / "server.json"

    @property
    def tokens(self) -> Path:
        """Return the file of tokens by role, readable by its owner only."""
        return self.path / "tokens.json"

    @property
    def named_tokens(self) -> Path:
        """Return the file of the tokens of agents that have a name, readable by its owner only."""
        return self.path / "named_tokens.json"

    @property
    def trainer_lock(self) -> Path:
        """Return the lock that the run's one trainer holds."""
        return self.path / "trainer.lock"

    @classmethod
    def create(cls, path: Path, *, config: str, info: RunInfo) -> RunFolder:
        """Make a run folder; its ``run.json`` appears last, so a half-made one is no run.

        Args:
            path: the folder; it may be there already, without a run in it.
            config: the text of the resolved configuration.
            info: what is fixed from now on.

        Raises:
            RunExists: the folder holds a run.
            RunUnwritable: the folder cannot be made or written.
        """
        folder = cls(path)
        if folder.info_file.exists():
            raise RunExists(f"{path} holds a run already", "continue it, or name another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
            for part in (folder.checkpoints, folder.rollouts, folder.replays):
                part.mkdir(exist_ok=True)
            write_whole(folder.config, config)
            write_whole(folder.info_file, json.dumps(asdict(info), indent=2) + "\n")
        except OSError as error:
            raise _unwritable(path, error) from error
        return folder

    @classmethod
    def open(cls, path: Path, *, writable: bool = True) -> RunFolder:
        """Open a run folder.

        Raises:
            RunMissing: there is no run.
            RunVersionMismatch: the run was written in another format.
            RunUnwritable: it must be written and cannot be.
        """
        folder = cls(path)
        version = folder._read_info().get("format_version")
        if version != FORMAT_VERSION:
            raise RunVersionMismatch(
                f"{path} is a run of format {version}, this program reads {FORMAT_VERSION}",
                "use the version of the program that wrote it, or start a new run",
            )
        if writable and not os.access(path, os.W_OK):
            raise _unwritable(path, PermissionError("permission denied"))
        return folder

    def info(self) -> RunInfo:
        """Return what was fixed at creation."""
        return RunInfo(**self._read_info())

    def build_trainer(self) -> SteppingTrainer:
        """Call the run's entry point and return the fresh trainer.

        Raises:
            BadEntryPoint: it names nothing that can be called.
        """
        entry_point = self.info().entry_point
        if not entry_point:
            raise BadEntryPoint(
                f"{self.path} has no entry point: a script's own loop made it",
                "start that script; to replay: neuralos ctl replay RUN -- python train.py",
            )
        module, _, function = entry_point.partition(":")
        try:
            build = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise BadEntryPoint(
                f"entry point {entry_point!r} of {self.path}: {error}",
                "it must be module:function, importable here",
            ) from error
        trainer: SteppingTrainer = build(self.config, self.path)
        return trainer

    def write_server(self, address: ServerAddress) -> None:
        """Say where the server listens."""
        write_whole(self.server, json.dumps(asdict(address)) + "\n")

    def read_server(self) -> ServerAddress | None:
        """Return where the server listens, or None where none has said so."""
        try:
            return ServerAddress(**json.loads(self.server.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def read_token(self, role: str) -> str | None:
        """Return the token of a role, or None where the server has made none yet."""
        try:
            rows = json.loads(self.tokens.read_text("utf-8"))["tokens"]
            return next((str(row["token"]) for row in rows if row["role"] == role), None)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _read_info(self) -> dict[str, Any]:
        try:
            info = json.loads(self.info_file.read_text("utf-8"))
        except FileNotFoundError:
            raise RunMissing(f"{self.path} holds no run", "check the folder's name") from None
        except ValueError as error:
            raise RunVersionMismatch(
                f"{self.info_file} cannot be read: {error}", "restore the file, or start a new run"
            ) from error
        return info if isinstance(info, dict) else {}


def _unwritable(path: Path, error: OSError) -> RunUnwritable:
    return RunUnwritable(
        f"{path} cannot be written: {error.strerror or error}",
        "choose another folder, or make this one writable",
    )
