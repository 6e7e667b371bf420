"""Which codec suits which frames: bands, gradient, XOR, or x264 without loss?

python benchmarks/pixel_codecs.py --store x11-traces --json

Recorded seconds (``--store``, or a scripted user's), and what is hard on a recorder: a
photograph that is scrolled, video in a window and over the whole screen, and noise. The
photograph is made from a seed, with the spectrum of natural pictures. Times are processor
time on one core; every codec's frames are compared with the originals.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import click
import numpy as np
import numpy.typing as npt
import zstandard
from PIL import Image
from report import circumstances
from rich.console import Console
from rich.progress import Progress
from trace_store import Recorded, make_traces

from data_collection.storage import pixels
from data_collection.storage.changes import changed_bands
from data_collection.storage.pixels import PixelCodec
from data_collection.storage.reading import read_clip
from data_collection.trace import FPS

SCHEMA = "neuralos.benchmark.pixel_codecs/1"
HEIGHT, WIDTH = 384, 512
CLIPS = 3
PACKAGES = ("numpy", "zstandard", "pillow", "av")

Frames = npt.NDArray[np.uint8]
Encode = Callable[[Frames], list[bytes]]
Decode = Callable[[list[bytes], tuple[int, int, int, int]], Frames]


@dataclass(frozen=True)
class Row:
    """One codec on one kind of frames; frames a second of processor time."""

    frames: str
    codec: str
    bytes_per_frame: float
    write_fps: float
    read_fps: float


def photograph(height: int, width: int, seed: int) -> Frames:
    """Return a picture whose spectrum falls as in nature (1/f), with a little sensor noise."""
    rng = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    radius = np.hypot(y, x)
    radius[0, 0] = 1
    shape = (3, *radius.shape)
    phases = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    planes = np.fft.irfft2(phases / radius**1.3, s=(height, width))
    planes /= planes.std(axis=(1, 2), keepdims=True)
    # The colours of a scene go together.
    planes = 0.85 * planes[:1] + 0.3 * planes
    picture = 128 + 50 * planes.transpose(1, 2, 0) + rng.normal(0, 1.5, (height, width, 1))
    return picture.round().clip(0, 255).astype(np.uint8)


def scrolled(count: int) -> Frames:
    """Scroll a tall photograph in a window by 13 rows a frame."""
    picture = photograph(320 + 13 * count, 420, 1)
    frames = np.full((count, HEIGHT, WIDTH, 3), (58, 110, 165), np.uint8)
    for i in range(count):
        frames[i, 40:360, 40:460] = picture[13 * i : 13 * i + 320]
    return frames


def video(count: int, height: int, width: int, noise: float) -> Frames:
    """Zoom slowly into a photograph, with fresh noise a frame, in the middle of the screen."""
    picture = Image.fromarray(photograph(600, 800, 2))
    rng = np.random.default_rng(3)
    frames = np.full((count, HEIGHT, WIDTH, 3), (240, 240, 240), np.uint8)
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    for i in range(count):
        box = (2 * i, 1.5 * i, 800 - 2 * i, 600 - 1.5 * i)
        shown = picture.resize((width, height), Image.Resampling.BICUBIC, box=box)
        grain = rng.normal(0, noise, (height, width, 1)) if noise else 0.0
        grainy = (np.asarray(shown) + grain).round().clip(0, 255)
        frames[i, top : top + height, left : left + width] = grainy
    return frames


def hard_frames() -> dict[str, Frames]:
    """Return what barely compresses."""
    count = CLIPS * FPS
    rng = np.random.default_rng(4)
    return {
        "photograph, scrolled": scrolled(count),
        "video in a window": video(count, 240, 320, 3.0),
        "video, whole screen": video(count, HEIGHT, WIDTH, 0.0),
        "noise": rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8),
    }


def recorded_frames(root: Path, clips: int) -> Frames:
    """Return the first seconds of a store's traces, as many from each."""
    recorded = Recorded.of(root)
    share = -(-clips // len(recorded.traces))
    rows = [row for _, rows in recorded.traces for row in rows[:share] if row.frames == FPS]
    return np.concatenate([read_clip(root, row).frames for row in rows[:clips]])


def ours(codec: PixelCodec, encode: Callable[[Frames], bytes]) -> tuple[Encode, Decode]:
    return (
        lambda frames: [encode(frames)],
        lambda data, shape: pixels.decode_pixels(codec, data[0], shape),
    )


def xor(frames: Frames) -> bytes:
    """Encode as bodies of version 1 did."""
    delta = frames.copy()
    delta[1:] ^= frames[:-1]
    return zstandard.ZstdCompressor(level=3).compress(delta.tobytes())


def x264(preset: str) -> tuple[Encode, Decode]:
    """Encode as lossless H.264 in RGB: a key frame a clip, one thread, no B-frames."""

    def encode(frames: Frames) -> list[bytes]:
        context = av.CodecContext.create("libx264rgb", "w")
        context.width, context.height, context.pix_fmt = frames.shape[2], frames.shape[1], "rgb24"
        context.time_base, context.thread_count = Fraction(1, FPS), 1
        context.options = {"preset": preset, "qp": "0", "g": str(FPS), "bf": "0"}
        pictures = [
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24") for frame in frames
        ]
        packets = [packet for picture in pictures for packet in context.encode(picture)]
        return [bytes(packet) for packet in (*packets, *context.encode(None))]

    def decode(data: list[bytes], shape: tuple[int, int, int, int]) -> Frames:
        context = av.CodecContext.create("h264", "r")
        context.thread_count = 1
        found = [frame for part in data for frame in context.decode(av.Packet(part))]
        return np.stack(
            [frame.to_ndarray(format="rgb24") for frame in (*found, *context.decode(None))]
        )

    return encode, decode


CODECS: dict[str, tuple[Encode, Decode]] = {
    "bands": ours(
        PixelCodec.BANDS, lambda frames: pixels._encode_bands(frames, changed_bands(frames))
    ),
    "gradient": ours(PixelCodec.GRADIENT, pixels._encode_gradient),
    "XOR (version 1)": ours(PixelCodec.XOR, xor),
    "x264rgb ultrafast": x264("ultrafast"),
    "x264rgb superfast": x264("superfast"),
    "x264rgb medium": x264("medium"),
}


def measure(kind: str, name: str, frames: Frames) -> Row:
    """Encode and decode frames clip by clip."""
    encode, decode = CODECS[name]
    size, write_s, read_s = 0, 0.0, 0.0
    for first in range(0, len(frames), FPS):
        clip = frames[first : first + FPS]
        start_s = time.process_time()
        data = encode(clip)
        write_s += time.process_time() - start_s
        start_s = time.process_time()
        back = decode(data, clip.shape)
        read_s += time.process_time() - start_s
        np.testing.assert_array_equal(back, clip)
        size += sum(map(len, data))
    count = len(frames)
    return Row(kind, name, round(size / count), round(count / write_s), round(count / read_s))


@click.command()
@click.option(
    "--store", "stores", multiple=True, type=click.Path(path_type=Path, exists=True),
    help="A folder of recorded traces; may be given more than once.",
)  # fmt: skip
@click.option("--clips", default=12, show_default=True, help="Recorded seconds of each store.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(stores: tuple[Path, ...], clips: int, as_json: bool) -> None:
    """Set the pixel codecs side by side on recorded and on hard frames."""
    av.logging.set_level(None)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as made, Progress(console=Console(stderr=True)) as progress:
        if not stores:
            make_traces(Path(made) / "scripted", 1, clips)
            stores = (Path(made) / "scripted",)
        cases = {root.name: recorded_frames(root, clips) for root in stores} | hard_frames()
        task = progress.add_task("codecs", total=len(cases) * len(CODECS))
        print(f"{'frames':<24}{'codec':<20}{'B/frame':>10}{'write/s':>9}{'read/s':>9}")
        for kind, frames in cases.items():
            for name in CODECS:
                rows.append(measure(kind, name, frames))
                progress.advance(task)
                row = rows[-1]
                print(
                    f"{kind:<24}{name:<20}{row.bytes_per_frame:>10.0f}"
                    f"{row.write_fps:>9.0f}{row.read_fps:>9.0f}"
                )
    if as_json:
        report = {
            "schema": SCHEMA,
            "rows": [asdict(row) for row in rows],
            **circumstances(PACKAGES),
        }
        print(json.dumps(report))


if __name__ == "__main__":
    main()
