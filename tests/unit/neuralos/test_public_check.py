"""What the public code computed, and what ours computes from the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from experiments.cli import cli
from experiments.console import run_cli
from neuralos.checkpoints.check import check_fixture
from neuralos.checkpoints.public import ImportChoices, read_public
from neuralos.checkpoints.quantity import Quantity, compare
from neuralos.diffusion.noise_table import VECTOR_NAMES

FIXTURE = Path(__file__).parents[2] / "data" / "neuralos_reference"
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def quantities() -> list[Quantity]:
    return check_fixture(FIXTURE)


def test_every_recorded_quantity_is_compared(quantities: list[Quantity]) -> None:
    config = json.loads((FIXTURE / "config.json").read_text())
    wanted = set(config["io_expected"])
    wanted |= {f"inert/{name}" for name in config["inert_parameters"]}
    wanted |= {f"schedule/{name}" for name in VECTOR_NAMES}
    assert {quantity.name for quantity in quantities} == wanted
    assert len(quantities) == len(wanted)
    recorded = set(load_file(FIXTURE / "io.safetensors"))
    assert recorded == set(config["io_expected"]) | set(config["io_inputs"])


def test_every_quantity_is_within_its_tolerance(quantities: list[Quantity]) -> None:
    assert [quantity for quantity in quantities if not quantity.ok] == []


def test_errors_are_within_the_closer_tolerance_of_the_fixture(
    quantities: list[Quantity],
) -> None:
    """The fixture's own bound is absolute, but for samplers of predicted noise."""
    recorded = load_file(FIXTURE / "io.safetensors")
    for quantity in quantities:
        if quantity.name.endswith("image_u8"):
            continue
        bound = TOLERANCE
        if quantity.name.startswith("ddim") and "/eps/" in quantity.name:
            bound += 1e-5 * float(recorded[quantity.name].abs().max())
        assert quantity.max_abs_err is not None
        assert quantity.max_abs_err <= bound, quantity


def test_inert_parameters_are_equal_to_the_last_bit(quantities: list[Quantity]) -> None:
    inert = [quantity for quantity in quantities if quantity.name.startswith("inert/")]
    assert len(inert) == 35
    assert {quantity.max_abs_err for quantity in inert} == {0.0}


def test_a_wrong_weight_is_found(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    weights = load_file(folder / "weights.safetensors")
    weights["temporal_encoder.log_sigma"] += 0.25
    save_file(weights, folder / "weights.safetensors")
    wrong = {quantity.name for quantity in check_fixture(folder) if not quantity.ok}
    assert "rnn/step0/out" in wrong
    assert "e2e/session/frame0/latent" in wrong
    assert "unet/t1/out" not in wrong


def test_a_quantity_that_nobody_computes_is_a_failure(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["io_expected"].append("vae/something_else")
    (folder / "config.json").write_text(json.dumps(config))
    wrong = [quantity for quantity in check_fixture(folder) if not quantity.ok]
    assert [(quantity.name, quantity.max_abs_err) for quantity in wrong] == [
        ("vae/something_else", None)
    ]


def test_the_command_prints_its_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(cli, ["checkpoint", "check", str(FIXTURE), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["schema"] == "neuralos.checkpoint.check/1"
    assert shown["ok"] is True
    assert len(shown["quantities"]) == 269
    assert set(shown["quantities"][0]) == {"name", "shape", "max_abs_err", "tolerance", "ok"}


def test_the_command_fails_where_a_quantity_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _copy(tmp_path)
    values = load_file(folder / "io.safetensors")
    values["vae/decoded"][0, 0, 0, 0] = float("nan")
    save_file(values, folder / "io.safetensors")
    assert run_cli(cli, ["checkpoint", "check", str(folder), "--json"]) == 1
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    wrong = [quantity for quantity in shown["quantities"] if not quantity["ok"]]
    assert [quantity["name"] for quantity in wrong] == ["vae/decoded"]
    assert wrong[0]["max_abs_err"] is None


def test_sizes_come_from_the_tensors(tmp_path: Path) -> None:
    """The published configuration beside the weights describes another model."""
    folder = _copy(tmp_path)
    told = json.loads((FIXTURE / "published_sample" / "config.json").read_text())
    assert told["model"]["params"]["temporal_encoder_config"]["params"]["hidden_size"] == 32
    (folder / "config.json").write_text(json.dumps(told))
    public = read_public(folder, ImportChoices(head_channels=16))
    assert public.config == read_public(FIXTURE, ImportChoices()).config
    assert any("not believed" in note for note in public.notes)
    assert read_public(folder, ImportChoices()).config.unet.head_channels == 32


@pytest.mark.parametrize(
    ("found", "recorded", "ok"),
    [
        (torch.tensor([5e-5]), torch.tensor([0.0]), True),
        (torch.tensor([2e-4]), torch.tensor([0.0]), False),
        (torch.tensor([100.009]), torch.tensor([100.0]), True),
        (torch.tensor([float("nan")]), torch.tensor([0.0]), False),
        (torch.tensor([[0.0]]), torch.tensor([0.0]), False),
        (torch.tensor([0]), torch.tensor([0.0]), False),
        (torch.tensor([1]), torch.tensor([2]), False),
        (torch.tensor([True]), torch.tensor([True]), True),
        (torch.tensor([7], dtype=torch.uint8), torch.tensor([8], dtype=torch.uint8), True),
        (torch.tensor([0], dtype=torch.uint8), torch.tensor([255], dtype=torch.uint8), False),
        (None, torch.tensor([0.0]), False),
        (torch.tensor([0.0]), None, False),
    ],
)
def test_what_counts_as_equal(
    found: torch.Tensor | None, recorded: torch.Tensor | None, ok: bool
) -> None:
    assert compare("x", found, recorded).ok is ok


def _copy(tmp_path: Path) -> Path:
    folder = tmp_path / "fixture"
    folder.mkdir()
    for name in ("config.json", "latent_stats.json", "io.safetensors", "weights.safetensors"):
        (folder / name).write_bytes((FIXTURE / name).read_bytes())
    return folder
