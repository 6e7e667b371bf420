"""Checkpoints that are not taken, and the tensor that each refusal names."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from experiments.cli import cli
from experiments.console import run_cli
from neuralos.checkpoints.container import read_container
from neuralos.checkpoints.folder import Sampling, load_parts, save_parts
from neuralos.checkpoints.public import ImportChoices, read_public, to_parts
from neuralos.checkpoints.refusal import CheckpointRefused

FIXTURE = Path(__file__).parents[2] / "data" / "neuralos_reference"
UNET = "model.diffusion_model."

Weights = dict[str, Tensor]


def _without(name: str) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        del weights[name]

    return change


def _with(name: str, tensor: Tensor) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        weights[name] = tensor

    return change


def _spoiled(name: str, value: float) -> Callable[[Weights], None]:
    def change(weights: Weights) -> None:
        weights[name].view(-1)[0] = value

    return change


CASES = {
    "another shape": (_with(f"{UNET}out.2.bias", torch.zeros(5)), f"{UNET}out.2.bias"),
    "another shape of a size": (
        _with("temporal_encoder.embedding_x.weight", torch.zeros(65, 64)),
        "temporal_encoder.embedding_x.weight",
    ),
    "no axes": (
        _with("temporal_encoder.projection.2.weight", torch.zeros(())),
        "temporal_encoder.projection.2.weight",
    ),
    "missing bias": (
        _without("first_stage_model.decoder.conv_in.bias"),
        "first_stage_model.decoder.conv_in.bias",
    ),
    "missing in a middle block": (
        _without(f"{UNET}input_blocks.3.0.in_layers.2.weight"),
        f"{UNET}input_blocks.3.0.in_layers.2.weight",
    ),
    "missing size": (
        _without("temporal_encoder.image_position_embeddings"),
        "temporal_encoder.image_position_embeddings",
    ),
    "missing vector": (_without("posterior_variance"), "posterior_variance"),
    "extra": (_with("temporal_encoder.extra.weight", torch.zeros(1)), "temporal_encoder.extra"),
    "extra block": (
        _with("first_stage_model.encoder.down.1.attn.0.q.weight", torch.zeros(1)),
        "first_stage_model.encoder.down.1.attn.0.q.weight",
    ),
    "NaN": (
        _spoiled("temporal_encoder.log_sigma", float("nan")),
        "temporal_encoder.log_sigma",
    ),
    "infinity": (_spoiled(f"{UNET}time_embed.0.weight", float("inf")), "time_embed.0.weight"),
    "integers": (
        _with("temporal_encoder.log_sigma", torch.zeros(1, dtype=torch.int64)),
        "temporal_encoder.log_sigma",
    ),
    "another noise schedule": (_spoiled("betas", 0.4), "betas"),
    "an average of nothing": (
        _with("model_ema.nothing", torch.zeros(1)),
        "model_ema.nothing",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_public_checkpoint_that_does_not_fit_is_refused_by_name(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, named = CASES[case]
    weights = load_file(FIXTURE / "weights.safetensors")
    change(weights)
    source = _source(tmp_path)
    save_file(weights, source / "model.safetensors")
    out = tmp_path / "out"
    command = ["checkpoint", "import", str(source), "--to", str(out), "--head-channels", "16"]
    assert run_cli(cli, [*command, "--json"]) == 3
    shown = capsys.readouterr()
    error = json.loads(shown.out.splitlines()[-1])["error"]
    assert error["code"] == "checkpoint_refused"
    assert named in error["message"]
    assert "\n" not in error["message"]
    assert not out.exists()


@pytest.mark.parametrize("module", ["unet", "vae", "temporal_encoder"])
@pytest.mark.parametrize("case", ["missing", "shape", "nan", "extra"])
def test_a_folder_that_does_not_fit_is_refused_by_name(
    module: str, case: str, saved: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    for path in saved.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(saved)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    file = folder / module / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    name = sorted(weights)[3]
    if case == "missing":
        del weights[name]
    elif case == "shape":
        weights[name] = torch.zeros(2, 2, 2)
    elif case == "nan":
        weights[name].view(-1)[-1] = float("nan")
    else:
        name = "extra.weight"
        weights[name] = torch.zeros(1)
    save_file(weights, file)
    with pytest.raises(CheckpointRefused, match=f"{module}: tensor '{name}'"):
        load_parts(folder)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_parts(folder, to_parts(read_public(FIXTURE, ImportChoices())), Sampling())
    return folder


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


def test_what_would_run_code_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.safetensors"
    torch.save({"good.weight": torch.zeros(2), "bad.weight": _Harm()}, path)
    with pytest.raises(CheckpointRefused, match=r"tensor 'bad\.weight' would run \w+\.system"):
        read_container(path)
    assert not (tmp_path / "harmed").exists()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"w": _Harm()}))
    with pytest.raises(CheckpointRefused, match="neither a safetensors file nor a zip"):
        read_container(path)


def test_what_is_no_tensor_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"good.weight": torch.zeros(2), "bad.weight": "text"}, path)
    with pytest.raises(CheckpointRefused, match=r"tensor 'bad\.weight' is a str"):
        read_container(path)
    torch.save([torch.zeros(2)], path)
    with pytest.raises(CheckpointRefused, match="a list, not tensors by name"):
        read_container(path)


@pytest.mark.parametrize("kept", [0, 1, 7, 40, 5000, 100_000])
def test_a_zip_that_is_cut_short_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    whole = (FIXTURE / "published_sample" / "model.safetensors").read_bytes()
    path.write_bytes(whole[:kept])
    with pytest.raises(CheckpointRefused, match="cut short"):
        read_container(path)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no tensors")
    with pytest.raises(CheckpointRefused, match=r"model\.safetensors: "):
        read_container(path)


def test_a_safetensors_file_that_is_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    whole = (FIXTURE / "weights.safetensors").read_bytes()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(whole[: len(whole) - 100])
    last = list(load_file(FIXTURE / "weights.safetensors"))
    with pytest.raises(CheckpointRefused, match="cut short within tensor") as caught:
        read_container(path)
    assert any(f"'{name}'" in str(caught.value) for name in last)
    for kept in (0, 5, 8, 300):
        path.write_bytes(whole[:kept])
        with pytest.raises(CheckpointRefused, match="cut short"):
            read_container(path)


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    whole = bytearray((FIXTURE / "weights.safetensors").read_bytes())
    whole[8] = ord("[")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(whole)
    with pytest.raises(CheckpointRefused, match="header is damaged"):
        read_container(path)


@pytest.mark.parametrize(
    ("stats", "message"),
    [
        ("{}", "no statistics"),
        ('{"mean": [0, 0, 0], "std": [1, 1, 1]}', "'mean' is not 4 numbers"),
        ('{"mean": [0, 0, 0, NaN], "std": [1, 1, 1, 1]}', "'mean' is not 4 numbers"),
        ('{"mean": [0, 0, 0, 0], "std": [1, 1, 0, 1]}', "'std' is not above 0"),
    ],
)
def test_statistics_that_cannot_be_are_refused(stats: str, message: str, tmp_path: Path) -> None:
    source = _source(tmp_path)
    weights = (FIXTURE / "weights.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(weights)
    (source / "latent_stats.json").write_text(stats)
    with pytest.raises(CheckpointRefused, match=message):
        read_public(source, ImportChoices())


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRefused, match=r"holds no model\.safetensors"):
        read_public(tmp_path, ImportChoices())


def _source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    stats = FIXTURE / "latent_stats.json"
    (source / "latent_stats.json").write_bytes(stats.read_bytes())
    return source
