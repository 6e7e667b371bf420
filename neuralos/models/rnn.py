"""The recurrent network that tracks the computer: an LSTM for the screen, a GRU per cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.data.encode import ACTION_SIZE, KEY_SLOTS, KEY_TABLE
from neuralos.models.config import RnnConfig
from neuralos.models.cursor import CursorTable, cursor_cell
from neuralos.shapes import Screen

_SILU_GAIN = 1.68
"""Restores the mean square that SiLU takes from a normal input."""

_GLANCE_CHANNELS = 8
"""What each cell tells of itself to the LSTM, which sees all cells."""

_WAVE_LENGTHS_PX = (256.0, 128.0, 64.0, 32.0, 16.0)
WAVES = 4 * len(_WAVE_LENGTHS_PX)


class Recurrent(nn.Module):
    """Reads latents and actions in time order and returns a context per frame."""

    wave_lengths_px: Tensor

    def __init__(
        self, config: RnnConfig, channels: int, screen: Screen, others: int = 1, numbers: int = 0
    ) -> None:
        """Build it for ``others`` pictures beside the last latent and further ``numbers``."""
        super().__init__()
        self.config = config
        self.screen = screen
        c = config
        cells = screen.grid_height * screen.grid_width
        lengths_px = torch.tensor(_WAVE_LENGTHS_PX)
        self.register_buffer("wave_lengths_px", lengths_px, persistent=False)
        self.key_table = nn.Embedding(2 * KEY_TABLE, c.keys)
        self.components = min(channels, c.components)
        self.look = nn.Conv2d(self.components, c.look, 1)
        self.look_others = nn.Conv2d(others * self.components, c.look, 1, bias=False)
        self.table = CursorTable(c.cursor, screen)
        self.table_before = CursorTable(c.cursor, screen)
        self.press = nn.Linear(ACTION_SIZE - 2 + c.keys, c.cursor)
        self.stem = nn.Conv2d(c.look + c.cursor, c.stem, 3, padding=1)
        self.glance = nn.Conv2d(c.stem, _GLANCE_CHANNELS, 1)
        self.overview = nn.Linear(_GLANCE_CHANNELS * cells, c.overview)
        numbers += ACTION_SIZE + WAVES + c.keys
        self.entry = nn.Linear(2 * c.stem + c.overview + numbers, c.entry)
        self.lstm = nn.LSTM(c.entry, c.lstm, batch_first=True)
        self.level = nn.LayerNorm(c.lstm)
        self.exit = nn.Linear(c.entry + c.lstm, c.exit)
        self.to_map = nn.Linear(c.exit, c.map * cells)
        self.spatial_in = nn.Conv2d(c.stem + c.map, 2 * c.spatial, 3, padding=1)
        self.fuse = nn.Conv2d(c.stem + c.map + c.spatial, c.context, 1)
        self._initialise_weights()
        self._initialise_memory()

    def _initialise_weights(self) -> None:
        """Let every layer pass on what it gets at the same strength, in spite of SiLU."""
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                fan_in = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=_SILU_GAIN / fan_in**0.5)

    def _initialise_memory(self) -> None:
        """Chrono initialisation (arXiv 1804.11188), as many units for each octave of time."""
        size = self.config.lstm
        span = (self.config.span_frames ** torch.rand(size)).clamp_min(1.5)
        biases = dict(self.lstm.named_parameters())
        with torch.no_grad():
            biases["bias_hh_l0"].zero_()
            biases["bias_ih_l0"].zero_()
            biases["bias_ih_l0"][size : 2 * size] = span.log()
            biases["bias_ih_l0"][:size] = -span.log()

    def forward(
        self,
        looks: tuple[Tensor, ...],
        action_BTA: Tensor,
        previous_BTA: Tensor,
        keys_BTK: Tensor,
        carry: tuple[Tensor, Tensor, Tensor],
        numbers_NJ: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Track a segment.

        Args:
            looks: the previous latent and other pictures, each (N, C, H, W), N = B·T.
            action_BTA: the action of each frame, (B, T, A), its place in simulated pixels.
            previous_BTA: the action of the frame before, (B, T, A).
            keys_BTK: key indices of each frame, (B, T, K); 0 is no key.
            carry: ``hidden`` (B, R), ``cell`` (B, R) and ``spatial`` (B, S, H, W).
            numbers_NJ: further numbers of each frame.

        Returns:
            The context (N, X, H, W), what the LSTM tracked (N, ``exit``), and the new carry.
        """
        batch, frames = action_BTA.shape[:2]
        action, previous = action_BTA.flatten(0, 1), previous_BTA.flatten(0, 1)
        keys = self._pool_keys(keys_BTK.flatten(0, 1))
        stem = self._stem(looks, action, previous, keys)
        places = tuple(cursor_cell(one[:, :2], self.screen) for one in (action, previous))
        overview = F.silu(self.overview(self.glance(stem).flatten(1)))
        seen = (*(_at(stem, place) for place in places), overview)
        told = (_normalised(action, self.screen), self.waves(action[:, :2]), keys)
        more = () if numbers_NJ is None else (numbers_NJ,)
        numbers = torch.cat((*seen, *told, *more), 1)
        hidden, cell, spatial = carry
        entering = F.silu(self.entry(numbers)).view(batch, frames, -1)
        leaving, (hidden, cell) = self.lstm(entering, (hidden[None], cell[None]))
        tracked = F.silu(self.exit(torch.cat((entering, self.level(leaving)), 2).flatten(0, 1)))
        grid = (self.screen.grid_height, self.screen.grid_width)
        wide = F.silu(self.to_map(tracked).view(-1, self.config.map, *grid))
        maps, spatial = self._track_cells(torch.cat((stem, wide), 1), spatial, frames)
        context = F.silu(self.fuse(torch.cat((stem, wide, maps), 1)))
        return context, tracked, (hidden[0], cell[0], spatial)

    def waves(self, position_N2: Tensor) -> Tensor:
        """Return positions as waves (N, WAVES) of several lengths, which tell places apart."""
        turns = position_N2.unsqueeze(2) * (2 * torch.pi / self.wave_lengths_px)
        return torch.cat((turns.sin(), turns.cos()), 2).flatten(1)

    def _pool_keys(self, keys_NK: Tensor) -> Tensor:
        held = torch.arange(KEY_SLOTS, device=keys_NK.device) >= KEY_SLOTS // 2
        present = (keys_NK > 0).unsqueeze(2)
        pooled: Tensor = (self.key_table(keys_NK + held * KEY_TABLE) * present).sum(1)
        return pooled

    def _stem(
        self, looks: tuple[Tensor, ...], action: Tensor, previous: Tensor, keys: Tensor
    ) -> Tensor:
        table = self.table(action[:, :2]) + self.table_before(previous[:, :2])
        press = self.press(torch.cat((action[:, 2:], keys), 1))[:, :, None, None]
        last, *others = (look[:, : self.components] for look in looks)
        seen = self.look(last) + self.look_others(torch.cat(others, 1))
        return F.silu(self.stem(torch.cat((F.silu(seen), table * (1 + press)), 1)))

    def _track_cells(self, inputs: Tensor, spatial: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Run a minimal GRU (arXiv 2410.01201) per cell.

        Its gates see no state, so one convolution serves all frames.
        """
        driven = self.spatial_in(inputs)
        gate, new = driven.view(-1, frames, *driven.shape[1:]).chunk(2, 2)
        take, new = torch.sigmoid(gate - 2), torch.tanh(new)
        outputs = []
        for t in range(frames):
            spatial = torch.lerp(spatial, new[:, t], take[:, t])
            outputs.append(spatial)
        return torch.stack(outputs, 1).flatten(0, 1), spatial


def _at(maps: Tensor, cell_N: Tensor) -> Tensor:
    """Return what maps (N, X, H, W) hold in one cell each, (N, X)."""
    cells = maps.flatten(2)
    return cells.gather(2, cell_N.view(-1, 1, 1).expand(-1, cells.shape[1], 1)).squeeze(2)


def _normalised(action: Tensor, screen: Screen) -> Tensor:
    x, y = action[:, :1] * (2 / screen.width_px) - 1, action[:, 1:2] * (2 / screen.height_px) - 1
    return torch.cat((x, y, action[:, 2:]), 1)
