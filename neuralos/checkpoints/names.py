"""Public names of tensors beside ours: one table or generator for each part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from neuralos.models.paper.config import PaperConfig

UNET_PREFIX = "model.diffusion_model."
AUTOENCODER_PREFIX = "first_stage_model."
TEMPORAL_PREFIX = "temporal_encoder."


@dataclass(frozen=True, slots=True)
class Form:
    """How a public tensor differs from ours.

    ``before`` and ``after`` are axes of length 1 that it has too many in front and, if it is
    a weight, at its end. ``heads`` above 0: it is three of ours in one, head after head, each
    with its rows of q, then k, then v. ``joint`` stands between its name and its kind.
    """

    before: int = 0
    after: int = 0
    heads: int = 0
    joint: str = "."


Pair = tuple[str, tuple[str, ...], Form]
"""A public name, ours, and how they differ; all without ``weight`` and ``bias``."""

_SAME = Form()


def unet_pairs(config: PaperConfig) -> Iterator[Pair]:
    """Yield the pairs of the UNet."""
    sizes = config.unet
    levels = len(sizes.widths)
    for public, name in _UNET_ENDS.items():
        yield public, (name,), _SAME
    index = 1
    for level in range(levels):
        heads = sizes.widths[level] // sizes.head_channels
        for layer in range(sizes.layers):
            ours = f"down_blocks.{level}"
            yield from _resnet(f"input_blocks.{index}.0", f"{ours}.resnets.{layer}")
            if sizes.attention[level]:
                attention = f"{ours}.attentions.{layer}"
                yield from _attention(f"input_blocks.{index}.1", attention, heads)
            index += 1
        if level < levels - 1:
            conv = f"down_blocks.{level}.downsamplers.0.conv"
            yield f"input_blocks.{index}.0.op", (conv,), _SAME
            index += 1
    yield from _resnet("middle_block.0", "mid_block.resnets.0")
    heads = sizes.widths[-1] // sizes.head_channels
    yield from _attention("middle_block.1", "mid_block.attentions.0", heads)
    yield from _resnet("middle_block.2", "mid_block.resnets.1")
    index = 0
    for up, level in enumerate(reversed(range(levels))):
        heads = sizes.widths[level] // sizes.head_channels
        for layer in range(sizes.layers + 1):
            ours = f"up_blocks.{up}"
            yield from _resnet(f"output_blocks.{index}.0", f"{ours}.resnets.{layer}")
            if sizes.attention[level]:
                attention = f"{ours}.attentions.{layer}"
                yield from _attention(f"output_blocks.{index}.1", attention, heads)
            if level > 0 and layer == sizes.layers:
                place = 2 if sizes.attention[level] else 1
                conv = f"{ours}.upsamplers.0.conv"
                yield f"output_blocks.{index}.{place}.conv", (conv,), _SAME
            index += 1


_UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def _resnet(public: str, ours: str) -> Iterator[Pair]:
    for theirs, name in _RESNET.items():
        yield f"{public}.{theirs}", (f"{ours}.{name}",), _SAME


def _attention(public: str, ours: str, heads: int) -> Iterator[Pair]:
    yield f"{public}.norm", (f"{ours}.group_norm",), _SAME
    yield (
        f"{public}.qkv",
        (f"{ours}.to_q", f"{ours}.to_k", f"{ours}.to_v"),
        Form(after=1, heads=heads),
    )
    yield f"{public}.proj_out", (f"{ours}.to_out.0",), Form(after=1)


def autoencoder_pairs(config: PaperConfig) -> Iterator[Pair]:
    """Yield the pairs of the autoencoder; upstream numbers its decoder from fine to coarse."""
    sizes = config.autoencoder
    levels = len(sizes.widths)
    yield "quant_conv", ("quant_conv",), _SAME
    yield "post_quant_conv", ("post_quant_conv",), _SAME
    for half in ("encoder", "decoder"):
        for end in ("conv_in", "conv_out"):
            yield f"{half}.{end}", (f"{half}.{end}",), _SAME
        yield f"{half}.norm_out", (f"{half}.conv_norm_out",), _SAME
        for index in (0, 1):
            middle = f"{half}.mid_block.resnets.{index}"
            yield from _autoencoder_resnet(f"{half}.mid.block_{index + 1}", middle)
        for theirs, name in _AUTOENCODER_ATTENTION.items():
            ours = f"{half}.mid_block.attentions.0.{name}"
            yield f"{half}.mid.attn_1.{theirs}", (ours,), Form(after=0 if theirs == "norm" else 2)
    for level in range(levels):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{levels - 1 - level}"
        for layer in range(sizes.layers):
            public = f"encoder.down.{level}.block.{layer}"
            yield from _autoencoder_resnet(public, f"{down}.resnets.{layer}")
        for layer in range(sizes.layers + 1):
            public = f"decoder.up.{level}.block.{layer}"
            yield from _autoencoder_resnet(public, f"{up}.resnets.{layer}")
        if level < levels - 1:
            yield f"encoder.down.{level}.downsample.conv", (f"{down}.downsamplers.0.conv",), _SAME
        if level > 0:
            yield f"decoder.up.{level}.upsample.conv", (f"{up}.upsamplers.0.conv",), _SAME


_AUTOENCODER_ATTENTION = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
}


def _autoencoder_resnet(public: str, ours: str) -> Iterator[Pair]:
    for name in ("norm1", "conv1", "norm2", "conv2"):
        yield f"{public}.{name}", (f"{ours}.{name}",), _SAME
    yield f"{public}.nin_shortcut", (f"{ours}.conv_shortcut",), _SAME


def temporal_pairs(config: PaperConfig) -> Iterator[Pair]:
    """Yield the pairs of the recurrent network."""
    for public, name in _TEMPORAL.items():
        yield public, (name,), _SAME
    yield "image_position_embeddings", ("attention.place",), Form(before=1)
    packed = tuple(f"attention.{name}" for name in ("query", "key", "value"))
    yield "multi_head_attention.in_proj", packed, Form(heads=1, joint="_")
    for half in ("lower", "upper"):
        for matrix in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            yield f"lstm_{half}.{matrix}_l0", (f"{half}.{matrix}",), _SAME
    for public, start in (("padding", "session"), ("unknown", "midway")):
        for half in ("lower", "upper"):
            state = f"initial_state_{public}"
            yield f"{state}_h_{half}", (f"{start}.{half}_hidden",), Form(before=2)
            yield f"{state}_c_{half}", (f"{start}.{half}_cell",), Form(before=2)
        yield f"initial_feedback_{public}", (f"{start}.feedback",), Form(before=1)


_TEMPORAL = {
    "embedding_x": "x",
    "embedding_y": "y",
    "embedding_is_leftclick": "left",
    "embedding_is_rightclick": "right",
    "embedding_key_events": "keys",
    "image_feature_projection": "attention.look",
    "lstm_projection_pre": "attention.ask",
    "multi_head_attention.out_proj": "attention.out",
    "lstm_projection_post": "answer",
    "projection.0": "head_in",
    "projection.2": "head_out",
    "log_sigma": "log_sigma",
}
