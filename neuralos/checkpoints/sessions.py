"""The recorded end-to-end sessions, run from their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neuralos.checkpoints.recorded import (
    Bench,
    frame_values,
    input_values,
    network_of,
    state_values,
)
from neuralos.diffusion.ddim import Ladder, sample_ddim
from neuralos.models.paper.inputs import BrowserInputs

PADDING = "padding"
"""A session that starts from nothing; any other starts from an encoded screenshot."""

_GUESSED = "e2e/session/frame0/rnn_out"
"""The frame whose latent the recurrent network alone was asked for, too."""


@torch.no_grad()
def session_values(
    bench: Bench, sessions: Mapping[str, Any], keys: Mapping[str, int]
) -> dict[str, Tensor]:
    """Return every frame of every session, driven by events and its own latents.

    Args:
        bench: parts, inputs and names.
        sessions: by name: ``start``, ``events`` and the sampler steps of each frame.
        keys: the rows of the model's keys by public name.
    """
    values: dict[str, Tensor] = {}
    for name, session in sessions.items():
        values |= _run(bench, f"e2e/{name}/", session, BrowserInputs(bench.parts.config, keys))
    if _GUESSED in values:
        guess = values[_GUESSED][:, : bench.parts.config.channels]
        values |= frame_values("e2e/recurrent_only/", bench.parts, guess)
    return values


def _run(
    bench: Bench, root: str, session: Mapping[str, Any], browser: BrowserInputs
) -> dict[str, Tensor]:
    parts, values = bench.parts, dict[str, Tensor]()
    starts = session["start"] == PADDING
    latent = _first_latent(bench, root, starts, values)
    track = parts.temporal.start(1)
    for index, (event, steps) in enumerate(
        zip(session["events"], session["sampling_steps"], strict=True)
    ):
        here = f"{root}frame{index}/"
        frame = browser.frame(
            event["x"],
            event["y"],
            (event["is_left_click"], event["is_right_click"]),
            event["keys_down"],
            event["keys_up"],
            starts and index == 0,
        )
        values |= input_values(f"{here}in/", frame)
        values[f"{here}in/image_features"] = latent
        context, track = parts.temporal.step(frame, latent, track)
        values[f"{here}rnn_out"] = context
        values |= state_values(f"{here}state/", track)
        network, prediction = network_of(parts, context), parts.config.prediction
        noise, ladder = bench.inputs[f"{here}noise"], Ladder.of(parts.table(), steps)
        latent = sample_ddim(network, noise, ladder, prediction)
        values |= frame_values(here, parts, latent)
    return values


def _first_latent(bench: Bench, root: str, starts: bool, values: dict[str, Tensor]) -> Tensor:
    parts = bench.parts
    if starts:
        shape = (1, parts.config.channels, parts.config.grid_height, parts.config.grid_width)
        return parts.autoencoder.normalise(torch.zeros(shape))
    image, noise = bench.inputs[f"{root}image"], bench.inputs[f"{root}posterior_noise"]
    raw = parts.autoencoder.sample(image, noise)
    values[f"{root}raw_latent"] = raw
    values[f"{root}latent"] = parts.autoencoder.normalise(raw)
    return values[f"{root}latent"]
