"""From desktop pixels and actions to what the models read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data_collection.action import Action
from neuralos.shapes import HEIGHT_PX, REDUCTION, WIDTH_PX

ACTION_SIZE = 10
"""x and y in simulated pixels, three buttons held, three clicked, wheel notches, double click."""

KEY_SLOTS = 8
"""The first half are keys pressed in this frame, the second half keys held on."""

KEY_TABLE = 512
"""SDL scancodes are below this; 0 is no key."""

_WHEEL_MOST = 3

Floats = npt.NDArray[np.float32]
Keys = npt.NDArray[np.int64]
Frames = npt.NDArray[np.uint8]


def reduce_frames(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return frames (N, 384, 512, 3) at 128×96, each pixel the rounded mean of 4×4.

    Raises:
        ValueError: the frames have another size.
    """
    count = len(frames)
    wanted = (count, HEIGHT_PX * REDUCTION, WIDTH_PX * REDUCTION, 3)
    if frames.shape != wanted:
        raise ValueError(f"frames of shape {frames.shape}, not {wanted}")
    rows = frames.reshape(count, HEIGHT_PX, REDUCTION, -1)
    lines = np.zeros((count, HEIGHT_PX, rows.shape[3]), dtype=np.uint16)
    for index in range(REDUCTION):
        lines += rows[:, :, index]
    columns = lines.reshape(count, HEIGHT_PX, WIDTH_PX, REDUCTION, 3)
    blocks = np.full((count, HEIGHT_PX, WIDTH_PX, 3), REDUCTION**2 // 2, dtype=np.uint16)
    for index in range(REDUCTION):
        blocks += columns[:, :, :, index]
    return (blocks // REDUCTION**2).astype(np.uint8)


def enlarge_frame(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a frame (96, 128, 3) at 512×384, each pixel repeated 4×4 times."""
    return frame.repeat(REDUCTION, 0).repeat(REDUCTION, 1)


def encode_action(action: Action) -> Floats:
    """Return the numbers of an action, (A,)."""
    wheel = max(-_WHEEL_MOST, min(_WHEEL_MOST, action.wheel_dy))
    numbers = (action.x_px / REDUCTION, action.y_px / REDUCTION, *action.held, *action.clicked)
    return np.array((*numbers, wheel, action.clicks == 2), dtype=np.float32)


def encode_keys(action: Action, previous: Action) -> Keys:
    """Return the key slots of an action, (K,): pressed just now, then held on."""
    slots = np.zeros(KEY_SLOTS, dtype=np.int64)
    half = KEY_SLOTS // 2
    pressed = sorted(action.keys - previous.keys_held)[:half]
    held = sorted(action.keys & previous.keys_held)[:half]
    slots[: len(pressed)] = [key % KEY_TABLE for key in pressed]
    slots[half : half + len(held)] = [key % KEY_TABLE for key in held]
    return slots
