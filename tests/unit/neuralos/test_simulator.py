from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from data_collection.action import Action, fold
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.events import Button, ButtonChanged, PointerMoved
from data_collection.storage.store import read_clip
from data_collection.trace import Clip, ClipRow
from neuralos.data.batch import Batch
from neuralos.data.encode import encode_action, encode_keys, enlarge_frame, reduce_frames
from neuralos.data.latents import LatentStore, encode_frames
from neuralos.data.reading import ClipReader, ClipSource
from neuralos.data.rows import AdoptedClips
from neuralos.models.config import SimulatorConfig
from neuralos.models.cursor import CursorTable, covered_cells
from neuralos.models.gated import DRAW, KEEP, RESTORE, GatedSimulator
from neuralos.models.patch_code import PatchCode
from neuralos.shapes import Screen
from neuralos.training.objective import memories, true_fates

Recorded = tuple[Path, list[ClipRow]]


def fitted(frames: np.ndarray, components: int = 48) -> PatchCode:
    code = PatchCode(components, Screen())
    code.fit(frames)
    return code


def desktop_frames(count: int = 20) -> np.ndarray:
    desktop = ScriptedDesktop()
    frames = [desktop.reset(3)]
    for index in range(1, count):
        frames.append(desktop.step([PointerMoved(20 * index, 15 * index)]))
    return reduce_frames(np.stack(frames))


def test_reduction_is_the_rounded_mean() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (1, 384, 512, 3), dtype=np.uint8)
    mean = frame.reshape(96, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(reduce_frames(frame)[0] - mean).max() <= 0.5
    small = reduce_frames(frame)
    assert (reduce_frames(enlarge_frame(small[0])[None]) == small).all()


def test_patch_code_shows_what_it_was_fitted_on() -> None:
    frames = desktop_frames()
    code = fitted(frames, 96)
    error = code.decode(code.encode(torch.from_numpy(frames))).numpy().astype(float) - frames
    assert 10 * np.log10(255**2 / (np.square(error).mean() + 1e-9)) > 38


def test_latents_do_not_depend_on_how_many_are_coded_together() -> None:
    frames = desktop_frames(15)
    code = fitted(frames)
    alone = encode_frames(code, frames[4:5])
    assert torch.equal(alone[0], encode_frames(code, frames)[4])
    assert code.digest() == fitted(frames).digest()


def test_action_at_a_clips_start_comes_from_the_clips_before(recorded: Recorded) -> None:
    run_dir, rows = recorded
    clips = AdoptedClips()
    clips.adopt(len(rows), rows)

    def read(row: ClipRow) -> Clip:
        return read_clip(run_dir / "traces", row)

    code = fitted(desktop_frames())
    last_first, in_order = (
        LatentStore(ClipReader(ClipSource(read, lambda row: read(row).events)), clips, code, kept)
        for kept in (1, 9)
    )
    for row in rows[:2]:
        in_order.get([row])
    one, two = (store.get([rows[2]])[rows[2].commit] for store in (last_first, in_order))
    assert (one.actions == two.actions).all()
    assert torch.equal(one.latents, two.latents)
    cursor = read(rows[1]).state["cursor"]
    before = in_order.get([rows[1]])[rows[1].commit].actions[-1]
    assert tuple(before[:2]) == (cursor["x_px"], cursor["y_px"])


def test_keys_pressed_and_held_take_different_slots() -> None:
    before = Action(keys=frozenset({4}), keys_held=frozenset({4}))
    now = Action(keys=frozenset({4, 7}), keys_held=frozenset({4, 7}))
    assert encode_keys(now, before).tolist() == [7, 0, 0, 0, 4, 0, 0, 0]


def test_cells_that_the_cursor_leaves_are_restored() -> None:
    frames = desktop_frames(12)
    code = fitted(frames, 96)
    latent = code.encode(torch.from_numpy(frames))[None]
    position = np.array([(5.0 * t, 3.75 * t) for t in range(12)])
    action = torch.zeros(1, 12, 11)
    action[0, :, :2] = torch.from_numpy(position) * 4
    batch = Batch(
        latent,
        action,
        torch.zeros(1, 11, 8, dtype=torch.long),
        torch.ones(1, 11, dtype=torch.bool),
        torch.tensor([True]),
        torch.tensor([0]),
    )
    memory, _ = memories(GatedSimulator(SimulatorConfig()), batch, latent[:, 0])
    fate = true_fates(latent[:, 1:], latent[:, :-1], memory)[0]
    late = fate[6:]
    assert (late == KEEP).float().mean() > 0.9
    assert (late == RESTORE).any()
    covered = covered_cells(action[0, 7:, :2] / 4, Screen())[:, 0]
    assert covered[late == DRAW].all()


def test_cursor_table_lies_around_the_pointer() -> None:
    table = CursorTable(2, Screen())
    drawn = table(torch.tensor([[20.0, 44.0]]))[0].abs().sum(0)
    rows, columns = torch.nonzero(drawn, as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == (4, 6)
    assert (int(columns.min()), int(columns.max())) == (1, 3)


def test_button_events_reach_the_action() -> None:
    action = fold([ButtonChanged(Button.RIGHT, True, 40, 80)], Action())
    assert encode_action(action).tolist() == [40, 80, 0, 0, 1, 0, 0, 1, 0, 0, 1]
    twice = [ButtonChanged(Button.LEFT, down, 40, 80) for down in (True, False, True)]
    assert encode_action(fold(twice, Action())).tolist() == [40, 80, 1, 0, 0, 1, 0, 0, 0, 1, 1]
