"""The folder of a rerun: a run folder of its own that a killed rerun goes on in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from interactive.record.branch import failed_seqs, loaded_checkpoints
from interactive.record.checkpoints import CheckpointLibrary, Manifest
from interactive.record.durable import write_whole
from interactive.record.journal import seal
from interactive.record.ledger import Entry, EntryKind
from interactive.record.metrics import MetricsRow, MetricsWriter
from interactive.record.run_folder import RunExists, RunFolder, RunInfo
from interactive.steering.retrace import Divergence, by_step
from interactive.steering.session import RunBusy

_ORDER = "rerun.json"
_DIVERGENCE = "divergence.json"
_RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Base:
    """A checkpoint to begin at, and the run's own checkpoints that later branches need."""

    manifest: Manifest
    needed: frozenset[str]
    checkpoints: CheckpointLibrary


@dataclass(frozen=True, slots=True)
class Order:
    """What a rerun is to bring about; decided at its start and kept through every restart.

    Args:
        source: the run whose configuration and data are used; nothing of it is changed.
        entries: the facts to bring about; they need not be those of the record.
        records: the rows to compare with, from step 0 on; none where there is no record.
        base: where to begin; at step 0 if None.
        config: the text of the configuration, where it is not the run's own.
        lost: commits that are known to be gone, which is why it begins at a base.
    """

    source: RunFolder
    entries: Sequence[Entry]
    records: Sequence[MetricsRow]
    base: Base | None = None
    config: str | None = None
    lost: tuple[int, ...] = ()

    def config_text(self) -> str:
        """Return the configuration to train under."""
        return self.source.config.read_text("utf-8") if self.config is None else self.config

    def to_json(self) -> dict[str, Any]:
        """Return what tells this order from another one."""
        return {
            "source": str(self.source.path.resolve()),
            "entries": len(self.entries),
            "ledger_sha256": _sha256(_ledger_text(self.entries)),
            "config_sha256": _sha256(self.config_text()),
            "steps": len(self.records),
            "base": self.base.manifest.id if self.base else None,
            "lost": list(self.lost),
        }


class RerunFolder:
    """Holds what a rerun made, as a run folder, and the points from which it may go on.

    ``config.toml``, ``run.json``, ``ledger.jsonl`` (the driving ledger), ``data.jsonl``,
    ``metrics.jsonl`` and ``checkpoints/`` are those of any run; ``traces`` leads to the
    source's. ``resume/`` holds the newest points, ``rerun.json`` the order. Each file is
    made whole or not at all, so a kill at any moment leaves a folder that ``opened`` mends.
    """

    def __init__(self, path: Path, order: Order) -> None:
        """Store where, and what is to be done; use ``opened``."""
        self.run = RunFolder(path)
        self.order = order
        self.entries: list[Entry] = by_step(order.entries)
        self.failed = failed_seqs(order.entries)
        self.checkpoints = CheckpointLibrary(self.run.checkpoints)
        self.points = CheckpointLibrary(path / _RESUME)

    @classmethod
    @contextmanager
    def opened(cls, path: Path, order: Order) -> Iterator[RerunFolder]:
        """Begin a rerun in a folder, or take the one up that was begun there.

        Raises:
            RunExists: the folder holds something else.
            RunBusy: another process makes this rerun.
        """
        folder = cls(path, order)
        refuse_others(path, order)
        path.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(folder.run.trainer_lock).acquire(timeout=0)
        except Timeout:
            raise RunBusy(f"{path} is being made", "wait for it, or name another folder") from None
        with lock:
            folder._prepare()
            yield folder

    @property
    def taken(self) -> int:
        """Return the number of rows taken over from the record rather than made."""
        return self.order.base.manifest.metrics_rows if self.order.base else 0

    @property
    def first_entry(self) -> int:
        """Return the number of entries that lie before the base."""
        return self.order.base.manifest.ledger_entries if self.order.base else 0

    def claim(self, fingerprint: Mapping[str, str]) -> None:
        """Say on which machine it is made; the whole of it must be made on one.

        Raises:
            RunExists: it was begun where bits may differ.
        """
        info = self.run.info()
        if not info.fingerprint:
            write_info(self.run, replace(info, fingerprint=dict(fingerprint)))
        elif dict(info.fingerprint) != dict(fingerprint):
            fields = ", ".join(name for name, _, _ in differences(info.fingerprint, fingerprint))
            raise RunExists(
                f"{self.run.path} was begun under another fingerprint ({fields})",
                "name another folder: its halves could not be compared",
            )

    def point(self, rows: int) -> Manifest | None:
        """Return the newest point to go on from that the rows in the file reach."""

        def bears(manifest: Manifest) -> bool:
            later = loaded_checkpoints(self.entries[manifest.ledger_entries :], self.failed)
            made = {
                str(entry.body["checkpoint"])
                for entry in self.entries[: manifest.ledger_entries]
                if entry.kind is EntryKind.CHECKPOINT
            }
            needed = later & (made | (self.order.base.needed if self.order.base else set()))
            is_there = all(self.checkpoints.is_whole(name) for name in needed)
            return manifest.metrics_rows <= rows and is_there

        return self.points.newest_whole(bears)[0]

    def save_point(self, manifest: Manifest, save: Callable[[Path], None]) -> None:
        """Keep a point to go on from, and the one before it."""
        if not self.points.is_whole(manifest.id):
            self.points.publish(manifest, save)
            self.points.prune(2, ())

    def divergence(self) -> tuple[Divergence, int] | None:
        """Return the first difference that was found, and how many rows were identical."""
        try:
            found = json.loads((self.run.path / _DIVERGENCE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return Divergence(**found["divergence"]), int(found["identical"])

    def keep_divergence(self, divergence: Divergence, identical: int) -> None:
        """Make the first difference durable: a later process does not pass it again."""
        found = {"divergence": divergence.to_json(), "identical": identical}
        write_whole(self.run.path / _DIVERGENCE, json.dumps(found) + "\n")

    def _prepare(self) -> None:
        path, source = self.run.path, self.order.source
        for partial in path.glob(".*.*"):
            partial.unlink(missing_ok=True)
        self.checkpoints.sweep()
        self.points.sweep()
        order = self.order.to_json()
        if _read_order(path) != order:
            # Another base: what was made from the one before is of no use.
            for part in (self.run.checkpoints, self.points.folder):
                shutil.rmtree(part, ignore_errors=True)
            for file in (self.run.metrics, path / _DIVERGENCE):
                file.unlink(missing_ok=True)
            write_whole(path / _ORDER, json.dumps(order, indent=1) + "\n")
        shadow(self.run, source, self.order.config_text())
        _write_once(self.run.ledger, _ledger_text(self.order.entries))
        if source.data.exists():
            _write_once(self.run.data, source.data.read_text("utf-8"))
        if self.order.base is not None:
            self._take_over(self.order.base)

    def _take_over(self, base: Base) -> None:
        """Take over what lies before the base: its rows, and the checkpoints needed."""
        for name in base.needed | {base.manifest.id}:
            if not self.checkpoints.is_whole(name):
                partial = self.checkpoints.folder / f".partial-{name}"
                shutil.copytree(base.checkpoints.path(name), partial)
                os.replace(partial, self.checkpoints.path(name))
        writer = MetricsWriter.open(self.run.metrics)
        for row in self.order.records[writer.rows : self.taken]:
            writer.append(row)
        writer.close()


def shadow(run: RunFolder, source: RunFolder, config: str) -> None:
    """Make what a trainer of a run is built from in another folder, for it to write into.

    What is there stays. Clips are read through a link, and not copied.
    """
    for part in (run.path, run.checkpoints, run.rollouts):
        part.mkdir(exist_ok=True)
    _write_once(run.config, config)
    _link(run.traces, source.traces)
    _link(run.start, source.start)
    if not run.info_file.exists():
        write_info(run, replace(source.info(), fingerprint={}))


def forget_points(path: Path) -> None:
    """Let the points go, once there is nothing to go on with."""
    shutil.rmtree(path / _RESUME, ignore_errors=True)


def begun_order(path: Path) -> dict[str, Any] | None:
    """Return what the rerun in a folder was to bring about, if one was begun there."""
    return _read_order(path)


def differences(
    recorded: Mapping[str, str], here: Mapping[str, str]
) -> list[tuple[str, str | None, str | None]]:
    """Return the fields in which two fingerprints differ, each with both values."""
    names = [name for name in {**recorded, **here} if recorded.get(name) != here.get(name)]
    return [(name, recorded.get(name), here.get(name)) for name in names]


def refuse_others(path: Path, order: Order) -> None:
    """Refuse a folder that holds a run, or the rerun of something else.

    Raises:
        RunExists: it does.
    """
    begun = _read_order(path)
    if begun is None:
        lock = RunFolder(path).trainer_lock.name
        if path.is_dir() and any(
            not file.name.startswith(".") and file.name != lock for file in path.iterdir()
        ):
            raise RunExists(f"{path} is not empty", "name a new folder")
        return
    wanted = order.to_json()
    # Which base it begins at is found out on the way.
    fixed = [name for name in wanted if name not in ("base", "lost")]
    changed = [name for name in fixed if begun.get(name) != wanted[name]]
    if changed:
        hint = f"name another folder: {', '.join(changed)} differ"
        raise RunExists(f"{path} holds the rerun of something else", hint)


def _read_order(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((path / _ORDER).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_info(run: RunFolder, info: RunInfo) -> None:
    """Write what is fixed of a run."""
    write_whole(run.info_file, json.dumps(asdict(info), indent=2) + "\n")


def _ledger_text(entries: Sequence[Entry]) -> str:
    return "".join(seal(entry.to_json()).decode("ascii") for entry in entries)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        write_whole(path, text)


def _link(path: Path, target: Path) -> None:
    """Let a folder appear at another place; its clips are read there and not copied."""
    if target.is_dir() and not path.exists():
        path.unlink(missing_ok=True)
        with suppress(FileExistsError):
            path.symlink_to(target.resolve(), target_is_directory=True)
