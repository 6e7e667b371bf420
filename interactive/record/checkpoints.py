"""The checkpoints of a run: published whole by a rename, verified before they are used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from interactive.record.durable import sync_folder, write_whole

MANIFEST = "manifest.json"
_PARTIAL = ".partial-"


class CheckpointDamaged(Exception):
    """A checkpoint is missing, or its files are not those of its manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint is, and the hash of each of its files.

    ``step`` is the number of updates done; ``ledger_entries`` and ``metrics_rows`` are how
    many of them the state covers, so that recovery knows where to go on; ``parent`` is the
    checkpoint before it on its line.
    """

    id: str
    branch: str
    step: int
    mark: int
    ledger_entries: int
    metrics_rows: int
    digest: str
    kept: bool
    parent: str | None
    files: dict[str, str] = field(default_factory=dict)


class CheckpointLibrary:
    """The folder of a run's checkpoints, one folder each."""

    def __init__(self, folder: Path) -> None:
        """Store the folder."""
        self.folder = folder

    def path(self, checkpoint: str) -> Path:
        """Return the folder of a checkpoint that the ledger knows."""
        return self.folder / checkpoint

    def publish(self, manifest: Manifest, save: Callable[[Path], None]) -> Manifest:
        """Save a checkpoint beside its place, then give it its name in one rename.

        Args:
            manifest: what it is; ``files`` is filled in here.
            save: writes the state into an existing empty folder.

        Returns:
            The manifest as it was written.

        Raises:
            OSError: nothing was published.
        """
        partial = self.folder / f"{_PARTIAL}{manifest.id}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            save(partial)
            whole = Manifest(**{**asdict(manifest), "files": _hash_files(partial)})
            write_whole(partial / MANIFEST, json.dumps(asdict(whole), indent=1))
            target = self.path(manifest.id)
            if target.exists():
                shutil.rmtree(target)
            os.replace(partial, target)
        except Exception:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        sync_folder(self.folder)
        return whole

    def verify(self, checkpoint: str) -> Manifest:
        """Return the manifest of a checkpoint after reading every file of it.

        Raises:
            CheckpointDamaged: the message says what is wrong with which file.
        """
        folder = self.path(checkpoint)
        manifest = self._manifest(folder)
        for name, sha256 in manifest.files.items():
            file = folder / name
            if not file.is_file():
                raise CheckpointDamaged(f"checkpoint {checkpoint}: {name} is missing")
            if _sha256(file) != sha256:
                raise CheckpointDamaged(f"checkpoint {checkpoint}: {name} has other bytes")
        return manifest

    def is_whole(self, checkpoint: str) -> bool:
        """Return whether ``verify`` passes."""
        try:
            self.verify(checkpoint)
        except CheckpointDamaged:
            return False
        return True

    def manifests(self) -> list[Manifest]:
        """Return the manifests that can be read, in ledger order; the files are not verified."""
        found = []
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if not folder.name.startswith("."):
                try:
                    found.append(self._manifest(folder))
                except CheckpointDamaged:
                    continue
        return sorted(found, key=lambda manifest: manifest.ledger_entries)

    def newest_whole(
        self, fits: Callable[[Manifest], bool] = lambda manifest: True
    ) -> tuple[Manifest | None, list[str]]:
        """Return the newest whole checkpoint that fits, and why newer ones were passed over."""
        warnings: list[str] = []
        for manifest in reversed(self.manifests()):
            if not fits(manifest):
                continue
            try:
                return self.verify(manifest.id), warnings
            except CheckpointDamaged as error:
                warnings.append(str(error))
        return None, warnings

    def sweep(self) -> None:
        """Delete what a save that was cut short left behind."""
        for partial in self.folder.glob(f"{_PARTIAL}*"):
            shutil.rmtree(partial, ignore_errors=True)

    def prune(self, keep: int, protected: Collection[str]) -> list[str]:
        """Delete all but the newest ``keep`` that nobody asked for or depends on.

        Args:
            keep: how many of the periodic ones stay.
            protected: ids that stay whatever their age: those that branches continue from.

        Returns:
            The ids that were deleted.
        """
        periodic = [m.id for m in self.manifests() if not m.kept and m.id not in protected]
        doomed = periodic[: max(0, len(periodic) - keep)]
        for checkpoint in doomed:
            shutil.rmtree(self.path(checkpoint), ignore_errors=True)
        return doomed

    def _manifest(self, folder: Path) -> Manifest:
        try:
            manifest = Manifest(**json.loads((folder / MANIFEST).read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointDamaged(f"checkpoint {folder.name}: no manifest: {error}") from error
        if manifest.id != folder.name:
            raise CheckpointDamaged(f"checkpoint {folder.name}: its manifest says {manifest.id}")
        return manifest


def _hash_files(folder: Path) -> dict[str, str]:
    hashes = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(file, "rb+") as opened:
            os.fsync(opened.fileno())
        hashes[file.relative_to(folder).as_posix()] = _sha256(file)
    return hashes


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
