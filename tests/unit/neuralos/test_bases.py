"""Bases: packed from a run's checkpoint, begun with by another run, replayed bit for bit."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from data_collection.trace import ClipRow
from experiments.cli import cli
from experiments.config import load_config, open_or_create
from experiments.console import run_cli
from experiments.packing import Extra, pack_base, size_bytes
from interactive.record.checkpoints import CheckpointDamaged
from interactive.record.ledger import EntryKind, read_ledger
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.steering.boundary import Cadence
from interactive.trainer import DataRow
from neuralos import packing
from neuralos.bases import UnknownBase, base_folder
from neuralos.config import ConfigError
from neuralos.control import create_trainer
from neuralos.training.checkpoint import check_like
from neuralos.weights import load_simulator
from tests.fakes import World, run_session

Recorded = tuple[Path, list[ClipRow]]


def train(folder: RunFolder, recorded: Recorded, steps: int) -> None:
    traces, rows = recorded
    folder.traces.symlink_to(traces / "traces", target_is_directory=True)
    world = World(rows={("main", 0): [DataRow(row.commit, row.to_json()) for row in rows]})
    trainer: Any = folder.build_trainer()
    run_session(folder, world, cadence=Cadence(end_step=steps, checkpoint_every=2), trainer=trainer)


@pytest.fixture
def run(micro_config: Path, recorded: Recorded, tmp_path: Path) -> RunFolder:
    """A run of five steps."""
    info = RunInfo("neuralos.control:create_trainer", seed=0, code_version="test")
    folder = RunFolder.create(tmp_path / "run", config=micro_config.read_text(), info=info)
    train(folder, recorded, 5)
    return folder


@pytest.fixture
def packed(run: RunFolder, tmp_path: Path) -> Path:
    pack_base(run, tmp_path / "mini", None, Extra(cpu_s=12.5, scores={"cursor": 0.9}))
    return tmp_path / "mini"


def test_a_base_holds_what_is_played_and_how_it_was_made(run: RunFolder, packed: Path) -> None:
    card = json.loads((packed / "card.json").read_text())
    entries = read_ledger(run.ledger)
    last = [entry for entry in entries if entry.kind is EntryKind.CHECKPOINT][-1]
    assert card["checkpoint"] == last.body["checkpoint"]
    assert (card["step"], card["training"]["cpu_s"]) == (last.step - 1, 12.5)
    assert card["training"]["frames"] == card["step"] * 2 * 4
    assert card["scores"] == {"cursor": 0.9}
    ledger = gzip.decompress((packed / "ledger.jsonl.gz").read_bytes())
    assert run.ledger.read_bytes().startswith(ledger)
    assert ledger.count(b"\n") == last.seq + 1
    assert len((packed / "curve.csv").read_text().splitlines()) == 1 + card["step"]
    assert (packed / "config.toml").read_bytes() == run.config.read_bytes()
    whole = run.checkpoints / card["checkpoint"] / "simulator.safetensors"
    assert size_bytes(packed) < whole.stat().st_size


def test_packing_changes_little_and_no_latent(run: RunFolder, packed: Path) -> None:
    card = json.loads((packed / "card.json").read_text())
    whole = load_simulator(run.checkpoints / card["checkpoint"]).simulator
    half = load_simulator(packed).simulator
    assert half.autoencoder.digest() == whole.autoencoder.digest()
    for name, tensor in whole.state_dict().items():
        assert half.state_dict()[name].dtype == tensor.dtype
        assert torch.allclose(
            half.state_dict()[name].double(), tensor.double(), rtol=1e-3, atol=1e-6
        )


def test_large_matrices_are_kept_in_eight_bits_and_others_in_half() -> None:
    generator = torch.Generator().manual_seed(0)
    large = torch.randn(1024, 1024, generator=generator) * torch.rand(1024, 1, generator=generator)
    tensors = {"large": large, "small": large[:4], "code.large": large, "count": torch.arange(3)}
    stored = packing.packed(tensors, "code.")
    assert {name: t.dtype for name, t in stored.items() if "scale" not in name} == {
        "large": torch.int8,
        "small": torch.float16,
        "code.large": torch.float32,
        "count": torch.int64,
    }
    again = packing.unpacked(stored, tensors)
    check_like("file", again, tensors)
    assert torch.equal(again["code.large"], large)
    assert torch.allclose(again["small"], large[:4], rtol=1e-3)
    most = large.abs().amax(1, keepdim=True)
    assert ((again["large"] - large).abs() <= most / 254 * 1.001).all()
    with pytest.raises(ValueError, match="'huge'"):
        packing.packed({"huge": torch.full((2,), 1e6)}, "code.")


def test_packing_twice_gives_the_same_bytes(run: RunFolder, packed: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in packed.iterdir()}
    pack_base(run, packed, None, Extra(cpu_s=12.5, scores={"cursor": 0.9}))
    assert {file.name: file.read_bytes() for file in packed.iterdir()} == before


def test_a_run_without_a_checkpoint_gives_no_base(run: RunFolder, tmp_path: Path) -> None:
    shutil.rmtree(run.checkpoints)
    with pytest.raises(CheckpointDamaged, match="no whole checkpoint"):
        pack_base(run, tmp_path / "mini", None, Extra())
    assert not (tmp_path / "mini").exists()


def test_a_run_begins_with_a_base_and_replays_without_it(
    packed: Path, recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(None, (f'training.start="{packed}"', "lanes.segments=3"), seed=4)
    folder = open_or_create(tmp_path / "tuned", config, print)
    assert (config.neuralos.lanes.frames, config.neuralos.lanes.segments) == (4, 3)
    trainer = create_trainer(folder.config, folder.path)
    begun, base = trainer._trainer.simulator.state_dict(), load_simulator(packed).simulator
    assert all(torch.equal(begun[name], tensor) for name, tensor in base.state_dict().items())
    train(folder, recorded, 4)
    shutil.rmtree(packed)
    assert run_cli(cli, ["ctl", "replay", str(folder.path), "--json"]) == 0
    replayed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (replayed["identical"], replayed["steps"]) == (4, 4)
    shutil.rmtree(folder.start)
    with pytest.raises(ValueError, match="simulator"):
        create_trainer(folder.config, folder.path)


def test_other_sizes_than_the_bases_are_refused(packed: Path) -> None:
    overrides = (f'training.start="{packed}"', "simulator.components=24")
    with pytest.raises(ConfigError, match="leave the section out"):
        load_config(None, overrides, None)


def test_a_start_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="'bse'"):
        load_config(None, ('training.start="bse"',), None)
    with pytest.raises(UnknownBase):
        base_folder("bse")


def test_a_damaged_base_is_refused_with_the_tensors_name(packed: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(packed / "simulator.safetensors")
    name = next(name for name in tensors if name.endswith("weight"))
    save_file({**tensors, name: tensors[name].double()}, packed / "simulator.safetensors")
    with pytest.raises(ValueError, match=name):
        load_simulator(packed)
