"""Which checkpoints a run can be taken up from, or replayed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from interactive.record.branch import failed_seqs, loaded_checkpoints
from interactive.record.checkpoints import CheckpointLibrary, Manifest
from interactive.record.ledger import Entry, EntryKind


@dataclass(frozen=True, slots=True)
class Past:
    """What a checkpoint must fit: the facts, the number of steps recorded, the other ones."""

    entries: Sequence[Entry]
    steps: int
    checkpoints: CheckpointLibrary

    def bears(self, manifest: Manifest) -> bool:
        """Return whether a run can go on from a checkpoint: its past is there, its future too."""
        entries = self.entries
        seq = manifest.ledger_entries - 1
        if not 0 <= seq < len(entries) or manifest.metrics_rows > self.steps:
            return False
        failed = failed_seqs(entries)
        if seq in failed or entries[seq].body.get("checkpoint") != manifest.id:
            return False
        return all(self.checkpoints.is_whole(name) for name in self.needed(manifest))

    def needed(self, manifest: Manifest) -> frozenset[str]:
        """Return the earlier checkpoints from which later entries open branches."""
        seq = manifest.ledger_entries - 1
        made = {
            str(e.body["checkpoint"]) for e in self.entries[seq:] if e.kind is EntryKind.CHECKPOINT
        }
        return loaded_checkpoints(self.entries[seq + 1 :], failed_seqs(self.entries)) - made

    def bases_after(self, steps: int) -> Iterator[Manifest]:
        """Yield the whole checkpoints that cover at least so many recorded steps, but not all."""
        for manifest in self.checkpoints.manifests():
            is_between = steps <= manifest.metrics_rows < self.steps
            if is_between and self.bears(manifest) and self.checkpoints.is_whole(manifest.id):
                yield manifest
