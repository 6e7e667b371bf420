"""Sizes are read from the tensors, whatever they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from neuralos.checkpoints.folder import Sampling, load_parts, save_parts
from neuralos.checkpoints.layout import Entry, layout_of
from neuralos.checkpoints.playing import load_paper
from neuralos.checkpoints.public import ImportChoices, PublicCheckpoint, to_parts
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.checkpoints.sizes import Told, sizes_of
from neuralos.models.paper.config import KlConfig, PaperConfig, TemporalConfig, UnetConfig
from neuralos.models.paper.parts import PaperParts
from tests.unit.neuralos.micro_paper import MICRO_PAPER, micro_parts

SIZES = {
    "the micro one": MICRO_PAPER,
    "another grid, cells of 4": PaperConfig(
        channels=2,
        grid_width=5,
        grid_height=3,
        cell_px=4,
        temporal=TemporalConfig(hidden=16, token=24, heads=8, head=20, keys=11, context=3),
        unet=UnetConfig((32, 64, 96), 2, (True, False, True), 32),
        autoencoder=KlConfig((32, 64, 32), 2),
    ),
    "attention everywhere, upright": PaperConfig(
        channels=3,
        grid_width=4,
        grid_height=8,
        cell_px=16,
        temporal=TemporalConfig(hidden=8, token=192, heads=8, head=8, keys=3, context=4),
        unet=UnetConfig((32, 32), 3, (True, True), 32),
        autoencoder=KlConfig((32, 32, 32, 64, 32), 1),
    ),
    "one level": PaperConfig(
        channels=1,
        grid_width=4,
        grid_height=4,
        cell_px=1,
        temporal=TemporalConfig(hidden=8, token=16, heads=8, head=8, keys=1, context=1),
        unet=UnetConfig((32,), 1, (False,), 32),
        autoencoder=KlConfig((32,), 1),
    ),
    "the full one": PaperConfig(),
}


def as_public(parts: PaperParts) -> dict[str, Tensor]:
    """Return parts in the public layout, with the vectors of the noise schedule."""
    modules = {name: module.state_dict() for name, module in parts.modules().items()}
    tensors = {
        public: _outer(entry, [modules[entry.part][name] for name in entry.names])
        for public, entry in layout_of(parts).items()
    }
    return {**tensors, **parts.table().vectors()}


def _outer(entry: Entry, ours: list[Tensor]) -> Tensor:
    if len(ours) == 1:
        return ours[0].reshape(entry.shape)
    rows = [tensor.reshape(entry.heads, -1, *tensor.shape[1:]) for tensor in ours]
    return torch.stack(rows, 1).reshape(entry.shape)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_come_out_as_they_went_in(name: str) -> None:
    config = SIZES[name]
    tensors = as_public(PaperParts.blank(config))
    assert sizes_of(tensors, Told(head_channels=config.unet.head_channels)) == config


@pytest.mark.parametrize("name", ["the micro one", "another grid, cells of 4"])
def test_any_size_goes_to_the_public_layout_and_back(name: str, tmp_path: Path) -> None:
    parts = micro_parts(1, SIZES[name])
    ones = (1.0,) * parts.config.channels
    public = PublicCheckpoint(as_public(parts), parts.config, ones, ones)
    back = to_parts(public)
    save_parts(tmp_path, back, Sampling(3))
    again, sampling = load_parts(tmp_path)
    assert (again.config, sampling) == (parts.config, Sampling(3))
    for part, module in parts.modules().items():
        for found in (back, again):
            tensors = found.modules()[part].state_dict()
            assert all(torch.equal(tensors[k], v) for k, v in module.state_dict().items())


def test_an_autoencoder_of_other_cells_is_imported_but_not_played(tmp_path: Path) -> None:
    """Positions in pixels of cells that the autoencoder does not make would be other places."""
    config = replace(MICRO_PAPER, cell_px=16)
    tensors = as_public(PaperParts.blank(config))
    assert sizes_of(tensors, Told(head_channels=16)) == config
    save_parts(tmp_path, micro_parts(1, config), Sampling())
    assert load_parts(tmp_path)[0].config == config
    with pytest.raises(ValueError, match="cells of 16 pixels, the autoencoder makes cells of 8"):
        load_paper(tmp_path)


def test_heads_that_do_not_divide_are_refused() -> None:
    tensors = as_public(PaperParts.blank(MICRO_PAPER))
    with pytest.raises(CheckpointRefused, match="heads of 24 channels do not divide 32"):
        sizes_of(tensors, Told(head_channels=24))


def test_choices_are_used_for_what_no_tensor_shows() -> None:
    assert ImportChoices().head_channels is None
    assert (Told().head_channels, Told().prediction) == (32, "x0")
