"""What our code computes from a fixture's inputs, under the names of what was recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from neuralos.diffusion.ddim import Ladder, evaluations, sample_ddim
from neuralos.models.paper.autoencoder import frames_of
from neuralos.models.paper.inputs import PaperInput
from neuralos.models.paper.parts import PaperParts
from neuralos.models.paper.temporal_encoder import Passing, Track

_STATE_NAMES = {
    "h_lower": "lower_hidden",
    "c_lower": "lower_cell",
    "h_upper": "upper_hidden",
    "c_upper": "upper_cell",
    "feedback": "feedback",
}
_PASSING_NAMES = {
    "lstm_lower_in": "lower_in",
    "lstm_lower_out": "lower_out",
    "attn_query_in": "asked",
    "attn_out": "attended",
    "attn_projected": "projected",
    "lstm_upper_in": "upper_in",
    "lstm_upper_out": "upper_out",
    "head_in": "head_in",
}


@dataclass(frozen=True)
class Bench:
    """Parts to try, the inputs to try them on, and the names that were recorded."""

    parts: PaperParts
    inputs: Mapping[str, Tensor]
    names: Sequence[str]

    def numbers(self, pattern: str) -> list[int]:
        """Return the numbers that a pattern's group finds in the recorded names, rising."""
        found = (re.match(pattern, name) for name in self.names)
        return sorted({int(match.group(1)) for match in found if match})


@torch.no_grad()
def autoencoder_values(bench: Bench) -> dict[str, Tensor]:
    """Return moments, samples, decoded images and the normalisation."""
    autoencoder, inputs = bench.parts.autoencoder, bench.inputs
    code = autoencoder.kl.encode(inputs["vae/image"]).latent_dist
    zeros = torch.zeros(1, *inputs["vae/latent"].shape[1:])
    return {
        "vae/moments": code.parameters,
        "vae/mean": code.mean,
        "vae/logvar": code.logvar,
        "vae/std": code.std,
        "vae/sample": autoencoder.sample(inputs["vae/image"], inputs["vae/noise"]),
        "vae/decoded": autoencoder.image(autoencoder.normalise(inputs["vae/latent"])),
        "norm/mean": autoencoder.mean,
        "norm/std": autoencoder.std,
        "norm/padding_latent": autoencoder.normalise(zeros),
    }


@torch.no_grad()
def temporal_values(bench: Bench) -> dict[str, Tensor]:
    """Return every step of the recurrent network, and the last of the unrolled path."""
    network, values = bench.parts.temporal, dict[str, Tensor]()
    steps = bench.numbers(r"rnn/step(\d+)/")
    frames = [input_of(bench.inputs, f"rnn/step{step}/in/") for step in steps]
    latents = [bench.inputs[f"rnn/step{step}/in/image_features"] for step in steps]
    start = network.start(len(latents[0]))
    track = start
    for step, frame, latent in zip(steps, frames, latents, strict=True):
        passing, track = network.follow(network.read(frame), frame, latent, track)
        values[f"rnn/step{step}/out"] = network.context(passing.head_in, frame)
        values |= state_values(f"rnn/step{step}/state/", track)
        values |= _passing_values(f"rnn/step{step}/dbg/", passing)
        values[f"rnn/step{step}/dbg/attn_keyvalue_in"] = network.attention.tokens(latent)
    unrolled, _ = network.unroll(PaperInput.stack(frames), torch.stack(latents, 1), start)
    values["rnn/sequence/out_last"] = unrolled[:, -1]
    return values


@torch.no_grad()
def unet_values(bench: Bench) -> dict[str, Tensor]:
    """Return the UNet's outputs and what it makes of a timestep."""
    parts, values = bench.parts, dict[str, Tensor]()
    noisy, context = bench.inputs["unet/x"], bench.inputs["unet/cond"]
    for timestep in bench.numbers(r"unet/t(\d+)/"):
        at = torch.full((len(noisy),), timestep)
        values[f"unet/t{timestep}/out"] = parts.predict(noisy, at, context)
        wave = parts.unet.time_proj(at[:1])
        values[f"unet/t{timestep}/sinusoid"] = wave
        values[f"unet/t{timestep}/time_embedding"] = parts.unet.time_embedding(wave)
    mixed = bench.inputs["unet/mixed/t"]
    values["unet/mixed/out"] = parts.predict(noisy, mixed, context)
    return values


def schedule_values(bench: Bench) -> dict[str, Tensor]:
    """Return the noise schedule and the ladders of the samplers."""
    table = bench.parts.table()
    vectors = table.vectors()
    values = {f"sched/{name}": vector for name, vector in vectors.items()}
    for steps in bench.numbers(r"sched/ddim(\d+)/"):
        ladder = Ladder.of(table, steps)
        values[f"sched/ddim{steps}/timesteps"] = torch.tensor(ladder.timesteps)
        values[f"sched/ddim{steps}/alpha"] = torch.tensor(ladder.alphas)
        values[f"sched/ddim{steps}/alpha_prev"] = torch.tensor(ladder.lower)
    return values


@torch.no_grad()
def sampler_values(bench: Bench) -> dict[str, Tensor]:
    """Return each sampler's result, and every evaluation on its way."""
    table, noise = bench.parts.table(), bench.inputs["ddim/noise"]
    network, values = network_of(bench.parts, bench.inputs["ddim/cond"]), dict[str, Tensor]()
    for prediction in ("x0", "eps"):
        for steps in bench.numbers(rf"ddim(\d+)/{prediction}/"):
            root, ladder = f"ddim{steps}/{prediction}", Ladder.of(table, steps)
            for index, seen in enumerate(evaluations(network, noise, ladder, prediction)):
                values[f"{root}/eval{index}/t"] = torch.full((len(noise),), seen.timestep)
                values[f"{root}/eval{index}/pred_x0"] = seen.clean_NCHW
                values[f"{root}/eval{index}/x_next"] = seen.next_NCHW
            values[f"{root}/sample"] = sample_ddim(network, noise, ladder, prediction)
        values[f"single/{prediction}/sample"] = sample_ddim(
            network, noise, Ladder.of(table, 1), prediction
        )
    return values


def network_of(parts: PaperParts, context: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the UNet as the sampler calls it, for one context."""
    return lambda noisy, timestep: parts.predict(noisy, timestep, context)


def input_of(inputs: Mapping[str, Tensor], root: str) -> PaperInput:
    """Return a recorded frame's inputs."""
    return PaperInput(
        x=inputs[f"{root}x"].flatten(),
        y=inputs[f"{root}y"].flatten(),
        left=inputs[f"{root}is_leftclick"].flatten(),
        right=inputs[f"{root}is_rightclick"].flatten(),
        keys=inputs[f"{root}key_events"],
        session_start=inputs[f"{root}is_padding"],
    )


def input_values(root: str, frame: PaperInput) -> dict[str, Tensor]:
    """Return one lane's inputs in the form in which they were recorded."""
    return {
        f"{root}x": frame.x[:, None],
        f"{root}y": frame.y[:, None],
        f"{root}is_leftclick": frame.left[:, None],
        f"{root}is_rightclick": frame.right[:, None],
        f"{root}key_events": frame.keys[0].long(),
        f"{root}is_padding": frame.session_start,
    }


def state_values(root: str, track: Track) -> dict[str, Tensor]:
    """Return carried state in the form in which it was recorded."""
    values = {f"{root}{name}": getattr(track, field) for name, field in _STATE_NAMES.items()}
    return {
        name: value if name.endswith("feedback") else value[None] for name, value in values.items()
    }


def frame_values(root: str, parts: PaperParts, latent: Tensor) -> dict[str, Tensor]:
    """Return what becomes of a normalised latent on its way to the screen."""
    image = parts.autoencoder.image(latent)
    return {
        f"{root}latent": latent,
        f"{root}raw_latent": parts.autoencoder.denormalise(latent),
        f"{root}decoded": image,
        f"{root}image_u8": frames_of(image)[0],
    }


def _passing_values(root: str, passing: Passing) -> dict[str, Tensor]:
    assert {f.name for f in fields(Passing)} == set(_PASSING_NAMES.values())
    return {f"{root}{name}": getattr(passing, field) for name, field in _PASSING_NAMES.items()}
