"""The collage: what it copies is exact, what it counts is right, and it learns."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from data_collection.action import Action, fold
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Button, ButtonChanged, Event, PointerMoved
from neuralos.build import build_simulator
from neuralos.data.batch import Batch
from neuralos.data.encode import (
    ACTION_SIZE,
    CLICKED,
    DOUBLE,
    HELD,
    PERIODS,
    encode_action,
    encode_keys,
    reduce_frames,
)
from neuralos.keyed import torch_generator
from neuralos.models.collage import (
    DRAW,
    FATES,
    KEEP,
    LOOK,
    PIECE,
    RESTORE,
    UNCOVER,
    CollageSimulator,
)
from neuralos.models.config import CollageConfig, DenoiserConfig, RnnConfig, SimulatorConfig
from neuralos.models.cursor import covered_cells
from neuralos.models.looks import CellCounts
from neuralos.models.patch_code import PatchCode
from neuralos.models.pieces import PIECES, cut, join, maps_of_cells, rows_of_cells
from neuralos.models.timers import displacement, tick, timer_numbers, unknown
from neuralos.shapes import Screen
from neuralos.training.collage_loss import Fates, collage_loss, true_fates
from neuralos.training.config import ObjectiveConfig, OptimizerConfig
from neuralos.training.optim import Optimizer

SMALL = SimulatorConfig(
    rnn=RnnConfig(
        overview=8, entry=8, lstm=8, exit=8, spatial=4, look=4, cursor=4, stem=4, map=4, keys=4
    ),
    denoiser=DenoiserConfig(widths=(16, 16), look=4, cursor=4),
    collage=CollageConfig(looks=512, look_width=8, look_hidden=8),
)


class Sitting:
    """A scripted desktop and all that was shown and done at it."""

    def __init__(self) -> None:
        self.desktop = ScriptedDesktop()
        self.frames = [self.desktop.reset(5)]
        self.action = Action(x_px=300, y_px=300)
        self.actions, self.keys = [encode_action(self.action)], [encode_keys(self.action, Action())]

    def do(self, *events: Event) -> None:
        before, self.action = self.action, fold(events, self.action)
        self.frames.append(self.desktop.step(events))
        self.actions.append(encode_action(self.action))
        self.keys.append(encode_keys(self.action, before))

    def press(self, x_px: int, y_px: int, down: bool) -> None:
        self.do(ButtonChanged(Button.LEFT, down, x_px, y_px))

    def double_click(self, x_px: int, y_px: int) -> None:
        for down in (True, False, True, False):
            self.press(x_px, y_px, down)

    def middle(self, rect: list[int]) -> tuple[int, int]:
        return rect[0] + rect[2] // 2, rect[1] + rect[3] // 2


@pytest.fixture(scope="module")
def sitting() -> Sitting:
    """Home is opened, dragged in a few steps, and closed."""
    here = Sitting()
    icon = here.middle(here.desktop.state()["icons"][0]["rect"])
    here.do(PointerMoved(*icon))
    here.double_click(*icon)
    bar = here.desktop.state()["windows"][0]["title_bar"]
    grip = (bar[0] + 40, bar[1] + 9)
    here.do(PointerMoved(*grip))
    here.press(*grip, True)
    for step in range(1, 6):
        here.do(PointerMoved(grip[0] + 13 * step, grip[1] + 9 * step))
    here.press(grip[0] + 65, grip[1] + 45, False)
    close = here.middle(here.desktop.state()["windows"][0]["close_button"])
    here.do(PointerMoved(*close))
    here.press(*close, True)
    here.press(*close, False)
    for step in range(4):
        here.do(PointerMoved(close[0] - 40 * step, close[1] + 30 * step))
    return here


@pytest.fixture(scope="module")
def fitted(sitting: Sitting) -> CollageSimulator:
    """A small collage fitted to the sitting, its weights still random."""
    simulator = build_simulator(SMALL, seed=0)
    assert isinstance(simulator, CollageSimulator)
    frames = reduce_frames(np.stack(sitting.frames))
    simulator.autoencoder.fit(frames)
    counts = CellCounts(SMALL.screen)
    for _ in range(2):
        counts.add(frames)
    empty = reduce_frames(np.stack(sitting.frames[:1] * 2))
    for _ in range(9):
        counts.add(empty)
    simulator.fit(counts)
    return simulator


def batch_of(simulator: CollageSimulator, sitting: Sitting) -> Batch:
    frames = torch.from_numpy(reduce_frames(np.stack(sitting.frames)))
    count = len(frames) - 1
    return Batch(
        simulator.autoencoder.encode(frames)[None],
        torch.from_numpy(np.stack(sitting.actions))[None],
        torch.from_numpy(np.stack(sitting.keys))[None, 1:],
        torch.ones(1, count, dtype=torch.bool),
        torch.tensor([True]),
        torch.tensor([0]),
    )


def fates_of(simulator: CollageSimulator, batch: Batch) -> Fates:
    """Return the true fates, the memory kept frame by frame."""
    state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    memory, before = state.memory, []
    for t in range(1, batch.latent_BUCHW.shape[1]):
        before.append(memory)
        memory = simulator.remember(memory, batch.latent_BUCHW[:, t], batch.action_BUA[:, t])
    seen = simulator.observe(
        batch.latent_BUCHW[:, :-1],
        torch.stack(before, 1),
        batch.action_BUA,
        batch.keys_BTK,
        state,
    )
    return true_fates(simulator, batch.latent_BUCHW[0, 1:], seen, batch.valid_BT.flatten())


def action(x_px: float = 0.0, y_px: float = 0.0, **numbers: float) -> Tensor:
    row = torch.zeros(1, ACTION_SIZE)
    row[0, 0], row[0, 1], row[0, PERIODS] = x_px, y_px, 1
    places = {"held": HELD.start, "left": CLICKED.start, "double": DOUBLE, "periods": PERIODS}
    for name, number in numbers.items():
        row[0, places[name]] = number
    return row


def test_pieces_are_squares_of_two_pixels() -> None:
    pixels = torch.arange(192.0).repeat(3, 1) + 1000 * torch.arange(3.0)[:, None]
    pieces = cut(pixels)
    assert pieces.shape == (3, PIECES, 12)
    # Red of the second piece of the second row: columns 2 and 3 of rows 2 and 3, of 8.
    assert pieces[0, 5, :4].tolist() == [18.0, 19.0, 26.0, 27.0]
    assert torch.equal(join(pieces), pixels)
    assert join(cut(torch.zeros(0, 192))).shape == (0, 192)


def test_cells_go_back_to_their_places() -> None:
    maps = torch.randn(2, 5, 3, 4)
    assert torch.equal(maps_of_cells(rows_of_cells(maps), 3, 4), maps)


def test_timers_tell_one_frame_from_the_next() -> None:
    timers, anchors = unknown(1, torch.device("cpu"))
    keys = torch.zeros(1, 8, dtype=torch.long)
    assert timer_numbers(timers).abs().max() < 0.01
    timers, anchors = tick(timers, anchors, action(40, 24, left=1, double=1), keys)
    told = []
    for _ in range(60):
        timers, anchors = tick(timers, anchors, action(90, 90), keys)
        told.append(timer_numbers(timers)[0])
    assert timers[0].tolist() == [60.0, 60.0, 160.0, 160.0]
    assert anchors[0].tolist() == [40.0, 24.0, 40.0, 24.0]
    steps = (torch.stack(told[1:]) - torch.stack(told[:-1])).norm(dim=1)
    assert steps.min() > 0.5
    timers, _ = tick(timers, anchors, action(periods=3), keys)
    assert timers[0, 0] == 63


def test_displacements_add_up_to_the_snapped_way() -> None:
    way = np.cumsum(np.random.default_rng(1).uniform(-3, 3, (20, 2)), 0)
    anchors = torch.zeros(1, 4)
    moves = [
        displacement(anchors, action(*before, held=1), action(*now, held=1), 2.0)
        for before, now in pairwise(way)
    ]
    assert torch.stack(moves).sum(0)[0].tolist() == [
        2 * np.floor(end / 2 + 0.5) - 2 * np.floor(begin / 2 + 0.5)
        for begin, end in zip(way[0], way[-1], strict=True)
    ]
    assert not displacement(anchors, action(0, 0), action(9, 9), 2.0).any()


def test_a_shifted_picture_is_the_picture_shifted(sitting: Sitting) -> None:
    frames = reduce_frames(np.stack(sitting.frames[6:8]))
    code = PatchCode(192, Screen())
    code.fit(frames)
    latent = code.encode(torch.from_numpy(frames))
    moved = code.decode(code.shift(latent, torch.tensor([[6.0, -4.0], [0.0, 0.0]]))).numpy()
    inside = np.roll(frames[0], (-4, 6), (0, 1))[:-4, 6:]
    assert np.abs(moved[0][:-4, 6:].astype(int) - inside).max() <= 1
    assert np.abs(moved[1].astype(int) - frames[1]).max() <= 1


def test_looks_are_found_again_exactly(sitting: Sitting, fitted: CollageSimulator) -> None:
    looks, basis = fitted.looks, fitted.autoencoder.basis
    count = int(looks.count)
    assert 0 < count <= 512
    assert looks.match(looks.pixels(), basis).tolist() == list(range(count))
    assert looks.match(looks.pixels()[:3] + 0.1, basis).tolist() == [-1, -1, -1]
    empty = reduce_frames(np.stack(sitting.frames[:1]))[0]
    assert np.array_equal(fitted.scenery.numpy(), empty)


def test_opening_dragging_and_closing_need_no_drawing_but_the_cursor(
    sitting: Sitting, fitted: CollageSimulator
) -> None:
    batch = batch_of(fitted, sitting)
    fates = fates_of(fitted, batch)
    covered = covered_cells(batch.action_BUA[0, 1:, :2] / 4, SMALL.screen)[:, 0]
    assert covered[fates.fate_NHW == DRAW].all()
    found = [int((fates.fate_NHW == fate).sum()) for fate in range(FATES)]
    assert all(found), found
    # A click changes far from the cursor; a move of the pointer alone does not.
    assert fates.surprising_NHW[3].any()
    assert not fates.surprising_NHW[-1].any()
    # Held and moved: the window's cells come from the picture moved.
    assert fates.offers[:, 3].any(0).all()
    assert len(fates.pieced) == found[PIECE]
    assert len(fates.looked) == found[LOOK]


@pytest.mark.parametrize(
    ("fate", "missing"),
    [(UNCOVER, {"scenery": False}), (PIECE, {"move": False}), (LOOK, {"looks": 0})],
)
def test_what_is_turned_off_is_no_cells_fate(
    sitting: Sitting, fate: int, missing: dict[str, int]
) -> None:
    config = replace(SMALL, collage=replace(SMALL.collage, **missing))
    simulator = build_simulator(config, seed=0)
    assert isinstance(simulator, CollageSimulator)
    frames = reduce_frames(np.stack(sitting.frames))
    simulator.autoencoder.fit(frames)
    counts = CellCounts(config.screen)
    counts.add(frames)
    simulator.fit(counts)
    batch = batch_of(simulator, sitting)
    assert not (fates_of(simulator, batch).fate_NHW == fate).any()
    with torch.no_grad():
        simulator.fate.bias[fate] = 99.0
        state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
        noise = torch.zeros_like(batch.latent_BUCHW[:, 0])
        latent, _ = simulator.step(state, batch.action_BUA[:, 1], batch.keys_BTK[:, 0], noise)
    assert latent.isfinite().all()


@pytest.mark.parametrize("fate", [KEEP, RESTORE, UNCOVER, PIECE, LOOK, DRAW])
def test_a_row_of_a_batch_is_the_single_run(
    sitting: Sitting, fitted: CollageSimulator, fate: int
) -> None:
    batch = batch_of(fitted, sitting)
    simulator = build_simulator(SMALL, seed=0).eval()
    assert isinstance(simulator, CollageSimulator)
    simulator.load_state_dict(fitted.state_dict())
    at = torch.tensor([10, 3])
    latents, actions = batch.latent_BUCHW[0, at], batch.action_BUA[0]
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    keys = batch.keys_BTK[0, at]
    with torch.no_grad():
        simulator.fate.bias[fate] += 50
        simulator.piece.bias[3 * PIECES :] += 50
        state = simulator.initial_state(latents, actions[at])
        # The press is where the drag began, so that the picture moves.
        state = replace(state, anchors=torch.full((2, 4), 2.0))
        both, after = simulator.step(state, actions[at + 1], keys, noise)
        for row in (0, 1):
            only = slice(row, row + 1)
            alone, then = simulator.step(
                state.map(lambda tensor: tensor[only]),  # noqa: B023
                actions[at + 1][only],
                keys[only],
                noise[only],
            )
            assert torch.allclose(both[only], alone, atol=1e-4)
            for one, other in zip(after.tensors(), then.tensors(), strict=True):
                assert torch.allclose(one[only], other, atol=1e-4)
    if fate == PIECE:
        moved = simulator.autoencoder.shift(
            latents[:1], displacement(state.anchors[:1], *_pair(actions, 10), 2.0)
        )
        shown = simulator.autoencoder.decode(torch.cat((both[:1], moved, latents[:1]))).int()
        assert (shown[0] - shown[1]).abs().max() <= 1
        assert (shown[2] - shown[1]).abs().max() > 50


def _pair(actions: Tensor, t: int) -> tuple[Tensor, Tensor]:
    before, now = actions[t : t + 1].clone(), actions[t + 1 : t + 2].clone()
    for one in (before, now):
        one[:, :2] /= 4
    return before, now


def test_unrolled_is_stepped(sitting: Sitting, fitted: CollageSimulator) -> None:
    batch = batch_of(fitted, sitting)
    state = fitted.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
    with torch.no_grad():
        loss = collage_loss(
            fitted, batch, state, ObjectiveConfig(feedback_noise=0.0), torch_generator(0, "a")
        )
        for t in range(1, batch.latent_BUCHW.shape[1]):
            state = fitted.take(
                state, batch.latent_BUCHW[:, t], batch.action_BUA[:, t], batch.keys_BTK[:, t - 1]
            )
    for one, other in zip(loss.state.tensors(), state.tensors(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_every_part_of_the_loss_falls(sitting: Sitting, fitted: CollageSimulator) -> None:
    simulator = build_simulator(SMALL, seed=1)
    assert isinstance(simulator, CollageSimulator)
    buffers = dict(simulator.named_buffers())
    for name, buffer in fitted.named_buffers():
        buffers[name].copy_(buffer)
    batch = batch_of(simulator, sitting)
    optimizer = Optimizer(simulator, OptimizerConfig(lr=1e-2, warmup_steps=1))
    losses = []
    for step in range(1, 31):
        state = simulator.initial_state(batch.latent_BUCHW[:, 0], batch.action_BUA[:, 0])
        loss = collage_loss(
            simulator, batch, state, ObjectiveConfig(drawn_frames=4), torch_generator(0, "b")
        )
        losses.append({name: part.item() for name, part in loss.parts.items()})
        optimizer.update(loss.total, step)
    for part in losses[0]:
        assert losses[-1][part] < 0.9 * losses[0][part], part
