from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from data_collection.action import Action
from data_collection.desktops.desktop import WarmStart
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import PointerMoved
from data_collection.trace import ClipRow
from interactive.trainer import DataRow
from neuralos.control import create_trainer
from neuralos.play import NewestSimulator, SimulatorDesktop, create
from neuralos.weights import load_simulator

Recorded = tuple[Path, list[ClipRow]]


def data_rows(rows: list[ClipRow]) -> list[DataRow]:
    return [DataRow(row.commit, row.to_json()) for row in rows]


@pytest.fixture
def checkpoints(micro_config: Path, recorded: Recorded, tmp_path: Path) -> Path:
    """Two checkpoints of one run, after steps 1 and 2; the second is not published yet."""
    run_dir, rows = recorded
    trainer = create_trainer(micro_config, run_dir)
    trainer.adopt(len(rows), data_rows(rows))
    folder = tmp_path / "run" / "checkpoints"
    for name in ("1", ".2"):
        trainer.train_step()
        (folder / name).mkdir(parents=True)
        trainer.save(folder / name)
    return folder


def test_waits_grey_until_there_is_a_checkpoint(tmp_path: Path) -> None:
    desktop = create(run_dir=str(tmp_path))
    frame = desktop.step([PointerMoved(10, 10)])
    assert frame.shape == (384, 512, 3)
    assert len(np.unique(frame)) == 1
    assert "waiting" in desktop.label
    desktop.close()


def test_same_checkpoint_and_events_give_the_same_frames(checkpoints: Path) -> None:
    one, two = create(checkpoint=str(checkpoints / "1")), create(checkpoint=str(checkpoints / "1"))
    assert isinstance(one, WarmStart)
    for x_px in (100, 200, 300):
        assert (one.step([PointerMoved(x_px, 90)]) == two.step([PointerMoved(x_px, 90)])).all()
    assert one.label == "simulator: step 1"


def test_new_weights_are_taken_between_two_frames(checkpoints: Path) -> None:
    newest = NewestSimulator(checkpoints)
    newest.look()
    desktop = SimulatorDesktop(newest, None)
    desktop.reset(0)
    assert desktop.label == "simulator: step 1, still learning"
    before = desktop.step([])
    (checkpoints / ".2").rename(checkpoints / "2")
    os.utime(checkpoints / "2")
    newest.look()
    after = desktop.step([])
    assert desktop.label == "simulator: step 2, still learning"
    assert np.abs(after.astype(int) - before).mean() < 20


def test_warm_start_goes_on_from_real_frames(checkpoints: Path) -> None:
    real = ScriptedDesktop()
    frames = [real.reset(5), real.step([PointerMoved(200, 300)])]
    desktop = create(checkpoint=str(checkpoints / "1"))
    desktop.warm_start(frames, [Action(), Action(x_px=200, y_px=300)])
    shown = desktop.step([])
    assert np.abs(shown.astype(int) - frames[-1]).mean() < 12


def test_one_of_checkpoint_and_run_must_be_named() -> None:
    with pytest.raises(ValueError, match="either checkpoint or run_dir"):
        create()


def test_damaged_weights_are_refused(checkpoints: Path) -> None:
    path = checkpoints / "1" / "simulator.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"simulator\.safetensors"):
        load_simulator(checkpoints / "1")
