"""Sizes and choices of ``fast``. Reading a configuration does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuralos.diffusion.config import PathConfig

AUTOENCODERS = ("small", "patches")
CURSORS = ("map", "offsets", "table")
RECURRENCES = ("lstm", "mingru")
HEADS = ("upsampling", "linear")


@dataclass(frozen=True, slots=True)
class SmallAutoencoderConfig:
    """Sizes of the small convolutional autoencoder: its width, and residual blocks a level."""

    width: int = 64
    encoder_blocks: tuple[int, ...] = (1, 3, 3, 3)
    decoder_blocks: tuple[int, ...] = (3, 3, 3, 1)


@dataclass(frozen=True, slots=True)
class InputConfig:
    """What the networks are told of an action, beyond place, clicks and keys.

    ``cursor``: ``map``, the paper's bump of one cell around the pointer; ``offsets``, with
    how far each cell is from the pointer; ``table``, with a learned look of ``table``
    channels for every place within a cell. ``buttons``: which buttons are held, and double
    clicks; ``wheel``: notches; ``period``: how long the frame took.
    """

    cursor: str = "offsets"
    table: int = 16
    keys: int = 32
    waves: int = 6
    buttons: bool = True
    wheel: bool = True
    period: bool = True

    def __post_init__(self) -> None:
        """Refuse a cursor that there is not.

        Raises:
            ValueError: its name is unknown.
        """
        _check(self.cursor, CURSORS, "cursor")


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Sizes of the recurrent network.

    ``glance`` are the channels of the convolutions that look at the frame before, each of
    which halves the grid; ``recurrence`` is ``lstm`` or ``mingru`` of ``hidden`` numbers in
    ``layers``; ``head`` is ``upsampling``, from ``coarse`` channels of the grid halved so
    often, or ``linear``, straight to the ``context``.
    """

    glance: tuple[int, ...] = (64, 128, 64)
    recurrence: str = "lstm"
    hidden: int = 2048
    layers: int = 1
    head: str = "upsampling"
    coarse: int = 512
    context: int = 32

    def __post_init__(self) -> None:
        """Refuse parts that there are not.

        Raises:
            ValueError: a name is unknown, or the head's channels cannot be halved so often.
        """
        _check(self.recurrence, RECURRENCES, "recurrence")
        _check(self.head, HEADS, "head")
        if not self.glance or self.coarse % 2 ** len(self.glance):
            raise ValueError(f"coarse = {self.coarse} is halved {len(self.glance)} times")


@dataclass(frozen=True, slots=True)
class RendererConfig:
    """Sizes of the UNet, from fine to coarse; ``attention`` says which levels have it."""

    widths: tuple[int, ...] = (128, 256, 384, 512)
    layers: int = 2
    attention: tuple[bool, ...] = (False, False, True, True)
    head_channels: int = 32
    groups: int = 32

    def __post_init__(self) -> None:
        """Refuse levels that do not fit each other.

        Raises:
            ValueError: a level lacks its attention flag, or does not divide.
        """
        if len(self.attention) != len(self.widths):
            raise ValueError(f"{len(self.widths)} widths, {len(self.attention)} attention flags")
        for width in self.widths:
            if width % self.groups or width % self.head_channels:
                raise ValueError(
                    f"groups of {self.groups} or heads of {self.head_channels} "
                    f"do not divide {width} channels"
                )


@dataclass(frozen=True, slots=True)
class FastConfig:
    """Parts of ``fast``.

    ``autoencoder``: ``small``, convolutional, or ``patches``, the linear code of ``tiny``.
    ``gate``: cells that are predicted not to change keep their latent exactly. ``memory``:
    what the cursor covers is remembered. ``same``: latents closer than this are the same.
    ``spill``: so many cells around a change have another latent, as the encoder sees far.
    """

    autoencoder: str = "small"
    gate: bool = True
    memory: bool = True
    same: float = 0.05
    spill: int = 1
    small: SmallAutoencoderConfig = field(default_factory=SmallAutoencoderConfig)
    inputs: InputConfig = field(default_factory=InputConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    renderer: RendererConfig = field(default_factory=RendererConfig)
    path: PathConfig = field(default_factory=PathConfig)

    def __post_init__(self) -> None:
        """Refuse an autoencoder that there is not.

        Raises:
            ValueError: its name is unknown.
        """
        _check(self.autoencoder, AUTOENCODERS, "autoencoder")


def _check(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise ValueError(f"no {what} {name!r}; there are: {', '.join(known)}")
