"""Bytes of withdrawn clips go when no redo can need them, and not before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from data_collection.storage.codec import ClipCorrupt, encode_clip
from data_collection.storage.store import EncodedClip, TraceStore, read_clip
from data_collection.trace import Clip, ClipRow, Consent, TraceHeader
from experiments.purge import Purger, has_trainer, purging
from interactive.record.checkpoints import CheckpointLibrary
from interactive.record.run_folder import RunFolder
from interactive.steering.boundary import Cadence
from interactive.trainer import DataRow
from tests.fakes import World, build_fake_trainer, delivered, make_run, run_session


def header(trace_id: str) -> TraceHeader:
    return TraceHeader(trace_id, "scripted", 32, 16, 0, "live", Consent.SYNTHETIC, 0.0, 0)


def clip(trace_id: str, seq: int) -> Clip:
    frames = np.full((15, 16, 32, 3), 7 * seq, dtype=np.uint8)
    frames[:, 0, :15] = np.arange(15, dtype=np.uint8)[:, None, None]
    times = tuple(range(15 * seq + 1, 15 * seq + 16))
    return Clip(trace_id, seq, 15 * seq, frames, times, ((),) * 15)


@dataclass
class Setting:
    """A run, its store, and a trainer that fetches rows when a test says so."""

    folder: RunFolder
    store: TraceStore
    may_train: bool = True
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.purger = Purger(self.folder, self.store, lambda: self.may_train)

    def record(self, trace_id: str, *seqs: int) -> list[ClipRow]:
        """Store clips; return their rows."""
        self.store.open_trace(header(trace_id))
        return [
            self.store.append(
                header(trace_id),
                EncodedClip.of(clip(trace_id, seq), encode_clip(clip(trace_id, seq))),
                0.0,
            ).row
            for seq in seqs
        ]

    def fetch(self, branch: str, step: int) -> None:
        """The rows that the store has now reach the trainer at a step."""
        taken = [row.commit for rows in self.world.rows.values() for row in rows]
        rows = self.store.index.rows_after(max(taken, default=0), 1000)
        self.world.rows[(branch, step)] = [DataRow(row.commit, row.to_json()) for row in rows]

    def train(self, end: int, *commands: tuple[int, dict[str, str]]) -> None:
        for seq, (step, command) in enumerate(commands, start=1):
            self.world.commands[("main", step)] = [delivered(seq, command)]
        cadence = Cadence(checkpoint_every=4, keep_checkpoints=9, end_step=end)
        trainer = build_fake_trainer(self.folder.config, self.folder.path)
        run_session(self.folder, self.world, cadence=cadence, trainer=trainer)

    def is_there(self, row: ClipRow) -> bool:
        try:
            read_clip(self.store.root, row)
        except ClipCorrupt:
            return False
        return True

    def purges(self, row: ClipRow) -> bool:
        """Let the purger look; say whether a clip's bytes went with that."""
        assert self.is_there(row)
        destroyed = self.purger.look()
        assert (destroyed > 0) is not self.is_there(row)
        return destroyed > 0


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    folder = make_run(tmp_path / "run", min_rows=2)
    store = TraceStore.open(folder.traces)
    yield Setting(folder, store)
    store.close()


def test_bytes_stay_until_a_whole_checkpoint_has_the_withdrawal_in_force(setting: Setting) -> None:
    gone, kept, _ = setting.record("a", 0, 1, 2)
    setting.fetch("main", 0)
    setting.train(4)
    setting.store.withdraw("a", 0, 0)
    assert not setting.purges(gone), "the trainer has not heard of it"
    setting.fetch("main", 5)
    setting.train(7)
    library = CheckpointLibrary(setting.folder.checkpoints)
    newest = library.manifests()[-1]
    assert newest.step == 7
    last = next(library.path(newest.id).glob("state.json"))
    text = last.read_text()
    last.write_text("damaged")
    assert not setting.purges(gone), "a redo from step 4 may read it"
    last.write_text(text)
    assert setting.purges(gone)
    assert setting.is_there(kept)
    assert setting.purger.look() == 0


def test_a_checkpoint_of_a_branch_from_before_counts_only_with_its_own_withdrawal(
    setting: Setting,
) -> None:
    gone = setting.record("a", 0, 1, 2)[0]
    setting.fetch("main", 0)
    setting.store.withdraw("a", 0, 0)
    setting.fetch("main", 6)
    setting.train(12, (9, {"command": "load_checkpoint", "checkpoint": "main-000004"}))
    assert setting.purges(gone)


def test_a_clip_that_the_trainer_never_had_goes_at_once(setting: Setting) -> None:
    setting.record("a", 0, 1)
    setting.fetch("main", 0)
    setting.train(4)
    late = setting.record("a", 2)[0]
    setting.store.withdraw("a", 2, 2)
    assert setting.purges(late)


def test_a_clip_on_its_way_to_the_trainer_waits(setting: Setting) -> None:
    setting.record("a", 0, 1)
    setting.fetch("main", 0)
    setting.train(4)
    late = setting.record("a", 2)[0]
    rows = setting.store.index.rows_after(2, 9)
    data = setting.world.rows[("main", 5)] = [DataRow(r.commit, r.to_json()) for r in rows]
    frozen = {"command": "update_mixture", "live_intake": False}
    setting.train(6, (4, frozen))
    assert [row.commit for row in data] == [late.commit]
    setting.store.withdraw("a", 2, 2)
    assert not setting.purges(late), "its row is here, and its withdrawal is not"
    setting.fetch("main", 6)
    setting.train(7)
    assert setting.purges(late), "both are: no mark adopts the one without the other"


def test_a_run_that_has_ended_needs_nothing_any_more(setting: Setting) -> None:
    gone = setting.record("a", 0, 1, 2)[0]
    setting.fetch("main", 0)
    setting.train(6)
    setting.store.withdraw("a")
    assert not setting.purges(gone), "a trainer may be drawing it now"
    setting.may_train = False
    assert setting.purges(gone)


def test_steps_after_the_last_checkpoint_keep_their_clips(setting: Setting) -> None:
    gone = setting.record("a", 0, 1, 2)[0]
    setting.fetch("main", 0)
    setting.train(6)
    library = CheckpointLibrary(setting.folder.checkpoints)
    (library.path(library.manifests()[-1].id) / "manifest.json").unlink()
    setting.store.withdraw("a")
    setting.may_train = False
    assert not setting.purges(gone)


def test_a_store_without_a_training_purges_at_once(setting: Setting) -> None:
    gone = setting.record("a", 0)[0]
    setting.store.withdraw("a")
    setting.may_train = False
    assert setting.purges(gone)


def test_a_trainer_is_known_by_the_lock_it_holds(setting: Setting) -> None:
    assert not has_trainer(setting.folder)
    with FileLock(setting.folder.trainer_lock).acquire(timeout=0):
        assert has_trainer(setting.folder)
    assert not has_trainer(setting.folder)


def test_the_thread_goes_on_after_a_failure_and_says_it_once(setting: Setting) -> None:
    gone = setting.record("a", 0)[0]
    setting.store.withdraw("a")
    setting.may_train = False
    said: list[str] = []
    looks, done = iter([OSError("no"), OSError("no")]), threading.Event()
    look = setting.purger.look

    def flaky() -> int:
        error = next(looks, None)
        if error is not None:
            raise error
        destroyed = look()
        done.set()
        return destroyed

    setting.purger.look = flaky  # type: ignore[method-assign]
    with purging(setting.purger, said.append, period_s=0.001):
        assert done.wait(20)
    assert not setting.is_there(gone)
    assert len(said) == 2
