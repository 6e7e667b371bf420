from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interactive.integrations.loop import steer
from interactive.integrations.worker import run_worker
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import (
    BadEntryPoint,
    RunExists,
    RunFolder,
    RunFolderError,
    RunInfo,
    RunMissing,
    RunUnwritable,
    RunVersionMismatch,
    ServerAddress,
)
from interactive.steering.boundary import Cadence
from interactive.steering.steered import Steered
from tests.fakes import build_fake_trainer, make_run

ROOT = Path(__file__).parents[3]


def test_a_hand_written_loop_is_steered_in_three_lines(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    for end in (3, 6):
        trainer = build_fake_trainer(folder.config, folder.path)
        with steer(folder.path, trainer, cadence=Cadence(end_step=end)) as boundary:
            while boundary.cross():
                boundary.record(trainer.train_step())
    assert [row.step for row in read_metrics(folder.metrics)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_worker_with_a_checkpoint_and_without_a_stop(
    tmp_path: Path, number: int
) -> None:
    folder = make_run(tmp_path / "run")
    before = signal.getsignal(number)
    run_worker(folder.path, cadence=Cadence(), on_open=lambda _: signal.raise_signal(number))
    assert signal.getsignal(number) is before
    kinds = [entry.kind for entry in read_ledger(folder.ledger)]
    assert kinds == [EntryKind.SESSION, EntryKind.CHECKPOINT]
    run_worker(folder.path, cadence=Cadence(end_step=4))
    assert [row.step for row in read_metrics(folder.metrics)] == [1, 2, 3, 4]


def test_a_process_that_dies_is_continued_by_another(tmp_path: Path) -> None:
    """A real process, ended without any clean-up, as by kill -9."""
    folder, whole = make_run(tmp_path / "run"), make_run(tmp_path / "whole")
    code = f"""
import os
from pathlib import Path
from interactive.steering.boundary import Cadence
from interactive.integrations.worker import run_worker
from tests.fakes import FakeTrainer
step = FakeTrainer.train_step
def dying(self):
    if self.step == 12:
        os._exit(9)
    return step(self)
FakeTrainer.train_step = dying
run_worker(Path({str(folder.path)!r}), cadence=Cadence(checkpoint_every=5))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, check=False)
    assert died.returncode == 9
    ends: list[Steered] = []
    run_worker(folder.path, cadence=Cadence(end_step=20), on_open=ends.append)
    run_worker(whole.path, cadence=Cadence(end_step=20))
    digests = [[row.digest for row in read_metrics(f.metrics)] for f in (folder, whole)]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 20
    session = [e for e in read_ledger(folder.ledger) if e.kind is EntryKind.SESSION][-1]
    assert (session.body["base"], session.body["redone_steps"]) == ("main-000010", 2)


def test_a_run_folder_says_what_is_in_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", seed=5)
    assert RunFolder.open(folder.path).info().seed == 5
    with pytest.raises(RunExists):
        make_run(tmp_path / "run")
    assert folder.read_server() is None
    assert folder.read_token("trainer") is None
    folder.write_server(ServerAddress("http://127.0.0.1:8000", 42))
    assert folder.read_server() == ServerAddress("http://127.0.0.1:8000", 42)
    for broken in ("", "[]", "3", '{"tokens": 3}', '{"tokens": [{}]}'):
        folder.server.write_text(broken)
        folder.tokens.write_text(broken)
        assert folder.read_server() is None
        assert folder.read_token("trainer") is None


def _other_version(path: Path) -> None:
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, "format_version": 99}))


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_other_version, RunVersionMismatch),
        (lambda path: (path / "run.json").write_text("{"), RunVersionMismatch),
        (lambda path: (path / "run.json").unlink(), RunMissing),
    ],
)
def test_a_folder_that_cannot_be_used_says_why_and_what_to_do(
    tmp_path: Path, spoil: Callable[[Path], object], error: type[RunFolderError]
) -> None:
    folder = make_run(tmp_path / "run")
    spoil(folder.path)
    with pytest.raises(error) as caught:
        RunFolder.open(folder.path)
    assert str(folder.path) in str(caught.value)
    assert caught.value.hint


def test_a_folder_that_cannot_be_written_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    info = RunInfo(entry_point="", seed=0, code_version="test")
    with pytest.raises(RunUnwritable, match="cannot be written"):
        RunFolder.create(tmp_path / "file" / "run", config="", info=info)
    folder = make_run(tmp_path / "run")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunUnwritable, match="cannot be written"):
        RunFolder.open(folder.path)
    assert RunFolder.open(folder.path, writable=False) == folder


@pytest.mark.parametrize("entry_point", ["", "nowhere", "no.module:build", "tests.fakes:nothing"])
def test_an_entry_point_that_leads_nowhere_is_named(tmp_path: Path, entry_point: str) -> None:
    info = RunInfo(entry_point=entry_point, seed=0, code_version="test")
    folder = RunFolder.create(tmp_path / "run", config="", info=info)
    with pytest.raises(BadEntryPoint, match="entry point"):
        folder.build_trainer()
