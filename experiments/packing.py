"""From a run's checkpoint to a base: what is played, in little room, and how it was made."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from experiments.summary import loss_ends
from interactive.record.checkpoints import CheckpointDamaged, CheckpointLibrary, Manifest
from interactive.record.ledger import Entry, EntryKind, read_ledger
from interactive.record.metrics import MetricsRow, read_metrics
from interactive.record.run_folder import RunFolder
from neuralos.bases import CARD_FILE
from neuralos.run_config import read_config
from neuralos.weights import SIZES_FILE, WEIGHTS_FILE, load_simulator, write_packed

CARD_SCHEMA = "neuralos.base/1"
LEDGER_FILE = "ledger.jsonl.gz"
CURVE_FILE = "curve.csv"
CONFIG_FILE = "config.toml"
_CURVE_ROWS = 1000
_BREAK_S = 60.0
"""A longer time between two steps was a break, and no training."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What a run's files do not say: who measured what of it elsewhere.

    ``cpu_s`` is the processor's time, ``scores`` the object of ``neuralos evaluate --json``.
    """

    cpu_s: float | None = None
    scores: Mapping[str, Any] | None = None


def pack_base(run: RunFolder, folder: Path, checkpoint: str | None, extra: Extra) -> dict[str, Any]:
    """Make a base of a run's checkpoint, in place of what the folder holds; return its card.

    It holds the averaged weights in little room, the configuration, the ledger up to the
    checkpoint, and a thinned curve of the loss.

    Args:
        run: where it was trained.
        folder: where it goes; its name is the base's.
        checkpoint: which one; the newest if None.
        extra: goes into the card.

    Raises:
        CheckpointDamaged: the checkpoint is missing, or not what its manifest says.
        ValueError: its weights do not load, or do not fit into half precision.
    """
    manifest = _manifest(run, checkpoint)
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_packed(CheckpointLibrary(run.checkpoints).path(manifest.id), partial)
    shutil.copyfile(run.config, partial / CONFIG_FILE)
    lines = run.ledger.read_bytes().splitlines(keepends=True)[: manifest.ledger_entries]
    (partial / LEDGER_FILE).write_bytes(gzip.compress(b"".join(lines), mtime=0))
    rows = list(read_metrics(run.metrics))[: manifest.metrics_rows]
    (partial / CURVE_FILE).write_text(_curve(rows), encoding="utf-8")
    card = _card(run, folder.name, manifest, rows, extra, partial)
    (partial / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return card


def read_card(folder: Path) -> dict[str, Any]:
    """Return how a base was made."""
    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    return card


def size_bytes(folder: Path) -> int:
    """Return how much room a base takes."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _manifest(run: RunFolder, checkpoint: str | None) -> Manifest:
    library = CheckpointLibrary(run.checkpoints)
    if checkpoint is None:
        newest = library.newest_whole()[0]
        if newest is None:
            raise CheckpointDamaged(f"{run.path} has no whole checkpoint")
        return newest
    return library.verify(checkpoint)


def _card(
    run: RunFolder,
    name: str,
    manifest: Manifest,
    rows: Sequence[MetricsRow],
    extra: Extra,
    folder: Path,
) -> dict[str, Any]:
    info, config = run.info(), read_config(run.config)
    entries = read_ledger(run.ledger)[: manifest.ledger_entries]
    weights = folder / WEIGHTS_FILE
    simulator = load_simulator(folder).simulator
    return {
        "schema": CARD_SCHEMA,
        "name": name,
        "command": f"neuralos train {CONFIG_FILE} --seed {info.seed}",
        "checkpoint": manifest.id,
        "step": manifest.step,
        "seed": info.seed,
        "code_version": info.code_version,
        "fingerprint": _fingerprint(entries),
        "parameters": sum(parameter.numel() for parameter in simulator.parameters()),
        "weights": {
            "file": WEIGHTS_FILE,
            "sizes": SIZES_FILE,
            "precision": "half, matrices of a million numbers and more in 8 bits",
            "size_bytes": weights.stat().st_size,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        },
        "training": {
            "frames": len(rows) * config.lanes.lanes * config.lanes.frames,
            "clips": manifest.mark,
            "stepping_wall_s": round(_stepping_s(rows)),
            "cpu_s": extra.cpu_s,
            "loss": loss_ends(rows),
            "interventions": sum(entry.kind is EntryKind.INTERVENTION for entry in entries),
        },
        "last_evaluation": _last_evaluation(entries),
        "scores": extra.scores,
    }


def _fingerprint(entries: Sequence[Entry]) -> Mapping[str, str]:
    sessions = [entry for entry in entries if entry.kind is EntryKind.SESSION]
    found: Mapping[str, str] = sessions[-1].body["fingerprint"] if sessions else {}
    return found


def _last_evaluation(entries: Sequence[Entry]) -> dict[str, Any] | None:
    made = [entry for entry in entries if entry.kind is EntryKind.EVALUATION]
    return {"step": made[-1].step - 1, **made[-1].body} if made else None


def _stepping_s(rows: Sequence[MetricsRow]) -> float:
    """Return how long the steps took by the wall clock, without breaks."""
    gaps = [after.wall_s - before.wall_s for before, after in pairwise(rows)]
    return sum(gap for gap in gaps if 0.0 < gap < _BREAK_S)


def _curve(rows: Sequence[MetricsRow]) -> str:
    """Return the curve as CSV, each line the mean of as many steps."""
    stride = max(1, -(-len(rows) // _CURVE_ROWS))
    lines = ["step,loss,lr"]
    for first in range(0, len(rows), stride):
        part = rows[first : first + stride]
        mean = sum(row.loss for row in part) / len(part)
        lines.append(f"{part[-1].step},{mean:.5f},{part[-1].lr:.6g}")
    return "\n".join(lines) + "\n"
