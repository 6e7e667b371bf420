"""The sizes of a public checkpoint, read from its tensors: its configuration is often wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt

from torch import Tensor

from neuralos.checkpoints.names import AUTOENCODER_PREFIX, TEMPORAL_PREFIX, UNET_PREFIX
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.models.paper.config import KlConfig, PaperConfig, TemporalConfig, UnetConfig


@dataclass(frozen=True, slots=True)
class Told:
    """What no tensor shows: channels of an attention head, what the UNet predicts, variances."""

    head_channels: int = 32
    prediction: str = "x0"
    beta_start: float = 0.0015
    beta_end: float = 0.0195


def sizes_of(tensors: Mapping[str, Tensor], told: Told) -> PaperConfig:
    """Return the sizes of a public checkpoint.

    Raises:
        CheckpointRefused: a tensor that shows a size is missing or shapeless, or two of them
            contradict each other; the message names it.
    """
    shapes = _Shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    hidden = shapes.size(f"{TEMPORAL_PREFIX}lstm_projection_pre.weight", 1)
    token = shapes.size(f"{TEMPORAL_PREFIX}image_feature_projection.weight", 0)
    channels = shapes.size(f"{TEMPORAL_PREFIX}image_feature_projection.weight", 1)
    cells = shapes.size(f"{TEMPORAL_PREFIX}image_position_embeddings", 1)
    width, height, cell_px = _grid(shapes, cells)
    outputs = shapes.size(f"{TEMPORAL_PREFIX}projection.2.weight", 0)
    try:
        return PaperConfig(
            channels=channels,
            grid_width=width,
            grid_height=height,
            cell_px=cell_px,
            prediction=told.prediction,
            beta_start=told.beta_start,
            beta_end=told.beta_end,
            temporal=TemporalConfig(
                hidden=hidden,
                token=token,
                head=shapes.size(f"{TEMPORAL_PREFIX}projection.0.weight", 0),
                keys=shapes.size(f"{TEMPORAL_PREFIX}embedding_key_events.weight", 0) // 2,
                context=outputs // cells,
            ),
            unet=_unet(shapes, told.head_channels),
            autoencoder=_autoencoder(shapes),
        )
    except ValueError as error:
        if isinstance(error, CheckpointRefused):
            raise
        raise CheckpointRefused(str(error)) from None


@dataclass(frozen=True, slots=True)
class _Shapes:
    shapes: Mapping[str, tuple[int, ...]]

    def size(self, name: str, axis: int) -> int:
        """Return the length of one axis of a tensor."""
        shape = self.shapes.get(name)
        if shape is None:
            raise CheckpointRefused(f"tensor {name!r} is missing")
        if len(shape) <= axis or 0 in shape:
            raise CheckpointRefused(f"tensor {name!r} is {shape}, which shows no size")
        return shape[axis]

    def numbers(self, prefix: str) -> list[int]:
        """Return the numbers that follow a prefix in names, sorted."""
        pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
        return sorted({int(m.group(1)) for name in self.shapes if (m := pattern.match(name))})

    def any(self, prefix: str) -> bool:
        """Return whether some name begins so."""
        return any(name.startswith(prefix) for name in self.shapes)


def _grid(shapes: _Shapes, cells: int) -> tuple[int, int, int]:
    """Return columns, rows and pixels of a cell: positions are learned per pixel."""
    columns = f"{TEMPORAL_PREFIX}embedding_x.weight"
    rows = f"{TEMPORAL_PREFIX}embedding_y.weight"
    width_px, height_px = shapes.size(columns, 0), shapes.size(rows, 0)
    cell_px = isqrt(width_px * height_px // cells)
    if cell_px == 0 or width_px * height_px != cells * cell_px**2 or width_px % cell_px:
        raise CheckpointRefused(
            f"tensor {columns!r} has {width_px} rows and {rows!r} {height_px}, which are no "
            f"{cells} cells"
        )
    return width_px // cell_px, height_px // cell_px, cell_px


def _unet(shapes: _Shapes, head_channels: int) -> UnetConfig:
    block = f"{UNET_PREFIX}input_blocks."
    levels: list[list[int]] = [[]]
    attention = [False]
    for index in shapes.numbers(block):
        if shapes.any(f"{block}{index}.0.op."):
            levels.append([])
            attention.append(False)
        elif index > 0:
            levels[-1].append(shapes.size(f"{block}{index}.0.in_layers.2.weight", 0))
            attention[-1] |= shapes.any(f"{block}{index}.1.")
    if not levels[-1]:
        raise CheckpointRefused(f"tensor {block}1.0.in_layers.2.weight is missing")
    layers = max(_lengths(levels))
    return UnetConfig(
        widths=tuple(level[0] if level else 1 for level in levels),
        layers=layers,
        attention=tuple(attention),
        head_channels=head_channels,
    )


def _autoencoder(shapes: _Shapes) -> KlConfig:
    down = f"{AUTOENCODER_PREFIX}encoder.down."
    levels = shapes.numbers(down)
    if not levels:
        raise CheckpointRefused(f"tensor {down}0.block.0.conv1.weight is missing")
    layers = max(_lengths(shapes.numbers(f"{down}{level}.block.") for level in levels))
    widths = (shapes.size(f"{down}{n}.block.0.conv1.weight", 0) for n in range(max(levels) + 1))
    return KlConfig(widths=tuple(widths), layers=layers)


def _lengths(levels: Iterable[list[int]]) -> list[int]:
    return [len(level) for level in levels]
