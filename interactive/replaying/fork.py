"""A run that continues from a checkpoint of another, while that one goes on."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from interactive.record.checkpoints import CheckpointDamaged, CheckpointLibrary, Manifest
from interactive.record.durable import write_whole
from interactive.record.journal import seal
from interactive.record.ledger import Entry, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunExists, RunFolder
from interactive.replaying.dry_run import NoCheckpoint
from interactive.replaying.rerun_folder import shadow, write_info


def fork(run_dir: Path, checkpoint: str, out: Path) -> RunFolder:
    """Make a run folder whose past is that of another run up to a checkpoint.

    It is a manifest, not a copy: clips are read through a link, the checkpoint's files are
    linked, ``run.json`` names the run and the checkpoint. Facts and rows up to the
    checkpoint are taken over, so that the new run is redone and replayed like any other.
    The other run is only read, and may go on.

    Args:
        run_dir: the run.
        checkpoint: the id of one of its checkpoints.
        out: a folder that is not there yet, or empty.

    Raises:
        NoCheckpoint: it is not there, or not whole.
        RunExists: the folder is not empty.
    """
    source = RunFolder.open(run_dir, writable=False)
    if out.is_dir() and any(out.iterdir()):
        raise RunExists(f"{out} is not empty", "name a new folder")
    library = CheckpointLibrary(source.checkpoints)
    manifest = _find(library, checkpoint)
    entries = read_ledger(source.ledger)[: manifest.ledger_entries]
    rows = list(read_metrics(source.metrics))[: manifest.metrics_rows]
    # Made beside its place: a fork that is cut short is no run.
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    made = RunFolder(partial)
    shadow(made, source, source.config.read_text("utf-8"))
    _write_past(made, source, entries, rows)
    _link_files(library.path(manifest.id), made.checkpoints / manifest.id)
    parent = {"run": str(source.path.resolve()), "checkpoint": manifest.id}
    write_info(made, replace(source.info(), parent=parent))
    if out.is_dir():
        out.rmdir()
    os.replace(partial, out)
    return RunFolder.open(out)


def _find(library: CheckpointLibrary, checkpoint: str) -> Manifest:
    known = [manifest.id for manifest in library.manifests()]
    if checkpoint not in known:
        raise NoCheckpoint(f"there is no checkpoint {checkpoint!r}", f"there are {known}")
    try:
        return library.verify(checkpoint)
    except CheckpointDamaged as error:
        raise NoCheckpoint(str(error), "name another one") from error


def _write_past(
    made: RunFolder, source: RunFolder, entries: list[Entry], rows: list[MetricsRow]
) -> None:
    for file, lines in ((made.ledger, entries), (made.metrics, rows)):
        write_whole(file, "".join(seal(line.to_json()).decode("ascii") for line in lines))
    if source.data.exists():
        write_whole(made.data, source.data.read_text("utf-8"))


def _link_files(folder: Path, target: Path) -> None:
    """Give files a second name, or copy them where the system has no such names."""
    target.mkdir()
    for file in folder.iterdir():
        if file.is_dir():
            # What other ranks added.
            _link_files(file, target / file.name)
            continue
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copy2(file, target / file.name)
