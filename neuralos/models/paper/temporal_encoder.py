"""The public model's recurrent network: two LSTMs with a look at the previous frame between."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neuralos.models.paper.attention import FrameAttention
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.inputs import PaperInput
from neuralos.models.paper.lstm import lstm_step, through

_SMALL = 0.02
_LEAK = 0.01


@dataclass(frozen=True)
class Track:
    """What the network carries from frame to frame, B lanes: five tensors (B, hidden) float32."""

    lower_hidden: Tensor
    lower_cell: Tensor
    upper_hidden: Tensor
    upper_cell: Tensor
    feedback: Tensor

    @classmethod
    def choose(cls, which_B: Tensor, yes: Track, no: Track) -> Track:
        """Return, lane by lane, ``yes`` where ``which_B`` holds, else ``no``."""
        pairs = zip(yes.tensors(), no.tensors(), strict=True)
        return cls(*(torch.where(which_B.unsqueeze(1), a, b) for a, b in pairs))

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Passing:
    """The values of one step on their way through the network, each (B, its width)."""

    lower_in: Tensor
    lower_out: Tensor
    asked: Tensor
    attended: Tensor
    projected: Tensor
    upper_in: Tensor
    upper_out: Tensor
    head_in: Tensor


class StartOfTrack(nn.Module):
    """A learned state to begin in."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lower_hidden = nn.Parameter(torch.randn(hidden) * _SMALL)
        self.lower_cell = nn.Parameter(torch.randn(hidden) * _SMALL)
        self.upper_hidden = nn.Parameter(torch.randn(hidden) * _SMALL)
        self.upper_cell = nn.Parameter(torch.randn(hidden) * _SMALL)
        self.feedback = nn.Parameter(torch.randn(hidden) * _SMALL)

    def track(self, batch: int) -> Track:
        """Return it for so many lanes."""
        return Track(*(getattr(self, name).float().expand(batch, -1) for name in _CARRIED))


_CARRIED = tuple(field.name for field in fields(Track))
"""Named once: a step that is compiled cannot ask a class for its fields."""


class TemporalEncoder(nn.Module):
    """Tracks the computer's state and says what the UNet needs (arXiv 2507.08800, sec. 3).

    The lower LSTM reads pointer, buttons, keys and what the upper one last said; its output
    asks the previous frame; the upper LSTM reads the answer. The head makes a context of both.
    """

    def __init__(self, config: PaperConfig) -> None:
        super().__init__()
        sizes = config.temporal
        self.config = config
        self.x = nn.Embedding(config.width_px, sizes.hidden)
        self.y = nn.Embedding(config.height_px, sizes.hidden)
        self.left = nn.Embedding(2, sizes.hidden)
        self.right = nn.Embedding(2, sizes.hidden)
        self.keys = nn.Embedding(2 * sizes.keys, sizes.hidden)
        self.lower = nn.LSTMCell(4 * sizes.hidden, sizes.hidden)
        self.attention = FrameAttention(config)
        self.answer = nn.Linear(sizes.token, sizes.hidden)
        self.upper = nn.LSTMCell(sizes.hidden, sizes.hidden)
        self.head_in = nn.Linear(2 * sizes.hidden, sizes.head)
        self.head_out = nn.Linear(sizes.head, sizes.context * config.cells)
        self.log_sigma = nn.Parameter(torch.zeros(1))
        self.session = StartOfTrack(sizes.hidden)
        self.midway = StartOfTrack(sizes.hidden)

    def start(self, batch: int) -> Track:
        """Return the state in which a clip begins that is not the beginning of a session."""
        return self.midway.track(batch)

    def step(self, inputs: PaperInput, latent_BCHW: Tensor, track: Track) -> tuple[Tensor, Track]:
        """Follow one frame.

        Args:
            inputs: pointer, buttons and keys of this frame.
            latent_BCHW: the previous frame.
            track: what was carried; lanes whose session begins here do not read it.

        Returns:
            The context (B, X, H, W), whose first C channels are a guess of this frame's latent
            and whose last is the cursor's map, and what is carried on.
        """
        passing, track = self.follow(self.read(inputs), inputs, latent_BCHW, track)
        return self.context(passing.head_in, inputs), track

    def unroll(
        self, inputs: PaperInput, latent_BTCHW: Tensor, track: Track
    ) -> tuple[Tensor, Track]:
        """Follow T frames whose previous latents are known; as T calls of ``step``.

        The feedback makes every frame wait for the one before; embeddings and head, which hold
        most of the parameters, take all frames at once.

        Returns:
            The contexts (B, T, X, H, W) and what is carried on.
        """
        batch, frames = latent_BTCHW.shape[:2]
        read, heads = self.read(inputs), []
        for t in range(frames):
            passing, track = self.follow(read[:, t], inputs.at(t), latent_BTCHW[:, t], track)
            heads.append(passing.head_in)
        flat = PaperInput(*(getattr(inputs, f.name).flatten(0, 1) for f in fields(PaperInput)))
        context = self.context(torch.stack(heads, 1).flatten(0, 1), flat)
        return context.view(batch, frames, *context.shape[1:]), track

    def read(self, inputs: PaperInput) -> Tensor:
        """Return pointer, buttons and keys as numbers, (..., 3·hidden).

        Each key adds the difference between its rows for down and up.
        """
        rows = self.keys.weight.view(-1, 2, self.config.temporal.hidden)
        pressed = inputs.keys.to(rows.dtype) @ (rows[:, 1] - rows[:, 0])
        action = self.left(inputs.left.long()) + self.right(inputs.right.long()) + pressed
        return torch.cat((self.x(inputs.x), self.y(inputs.y), action), -1)

    def follow(
        self, read: Tensor, inputs: PaperInput, latent_BCHW: Tensor, track: Track
    ) -> tuple[Passing, Track]:
        """Take one step of the recurrence, without the head.

        Args:
            read: what ``read`` returns for this frame.
            inputs: pointer, buttons and keys of this frame.
            latent_BCHW: the previous frame.
            track: what was carried.
        """
        track = Track.choose(inputs.session_start, self.session.track(len(read)), track)
        lower_in = torch.cat((read, track.feedback), 1)
        lower, lower_cell = lstm_step(self.lower, lower_in, track.lower_hidden, track.lower_cell)
        asked = through(self.attention.ask, lower)
        attended = self.attention(asked, latent_BCHW)
        projected = through(self.answer, attended)
        upper_in = projected + lower
        upper, upper_cell = lstm_step(self.upper, upper_in, track.upper_hidden, track.upper_cell)
        passing = Passing(
            lower_in=lower_in,
            lower_out=lower,
            asked=asked,
            attended=attended,
            projected=projected,
            upper_in=upper_in,
            upper_out=upper,
            head_in=torch.cat((upper, lower), 1),
        )
        return passing, Track(lower, lower_cell, upper, upper_cell, upper)

    def context(self, head_in: Tensor, inputs: PaperInput) -> Tensor:
        """Return the contexts (N, X, H, W) of N frames; the last channel shows the cursor."""
        grid = self.config.grid_height, self.config.grid_width
        flat = through(self.head_out, F.leaky_relu(through(self.head_in, head_in), _LEAK))
        context = flat.view(len(head_in), -1, *grid)
        cursor = self.cursor_map(inputs.x, inputs.y).unsqueeze(1)
        return torch.cat((context[:, :-1].float(), cursor), 1)

    def cursor_map(self, x_N: Tensor, y_N: Tensor) -> Tensor:
        """Return a bump (N, H, W) around the cursor, one cell wide at first, highest 1."""
        config = self.config
        rows = torch.arange(config.grid_height, device=x_N.device).view(1, -1, 1)
        columns = torch.arange(config.grid_width, device=x_N.device).view(1, 1, -1)
        x, y = (place.view(-1, 1, 1) / config.cell_px for place in (x_N, y_N))
        away = (columns - x).square() + (rows - y).square()
        return torch.exp(-away / (2 * self.log_sigma.float().exp().square()))
