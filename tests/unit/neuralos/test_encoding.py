from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import numpy as np
import pytest
from PIL import Image

from data_collection.desktops.scripted import ScriptedDesktop
from neuralos.runtime.encoding import (
    FORMATS,
    FRAMES_DROPPED,
    Encoded,
    Encoder,
    EncodingConfig,
    Frame,
    Outlet,
    encode,
)

WAIT_S = 60


def shade(value: int) -> Frame:
    return np.full((8, 8, 3), value, dtype=np.uint8)


def shown(encoded: Encoded) -> int:
    return int(np.asarray(Image.open(io.BytesIO(encoded.data)))[0, 0, 0])


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    encoder = Encoder(EncodingConfig("png", workers=1))
    yield encoder
    encoder.close()


@pytest.fixture
def counters() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize(("name", "most"), zip(FORMATS, (3.0, 4.0, 0.0), strict=True))
def test_formats_show_the_frame(name: str, most: float) -> None:
    frame = ScriptedDesktop().reset(3)
    data = encode(frame, EncodingConfig(name))
    picture = Image.open(io.BytesIO(data))
    assert picture.format == name.upper()
    back = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(back - frame).mean() <= most


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": "gif"}, "no format 'gif'; there are: jpeg, webp, png"),
        ({"quality": 0}, "quality 0"),
        ({"workers": 0}, "0 workers"),
    ],
)
def test_bad_configurations_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EncodingConfig(**fields)  # type: ignore[arg-type]


def test_who_asks_first_gets_the_next_frame(encoder: Encoder, counters: Counter[str]) -> None:
    outlet = Outlet(encoder, counters)
    future = outlet.take()
    assert outlet.take() is future
    outlet.put(shade(10), 1)
    encoded = future.result(WAIT_S)
    assert (encoded.index, shown(encoded)) == (1, 10)
    assert not counters[FRAMES_DROPPED]


def test_who_is_slow_gets_the_newest_and_the_rest_is_counted(
    encoder: Encoder, counters: Counter[str]
) -> None:
    outlet = Outlet(encoder, counters)
    for index in range(1, 6):
        outlet.put(shade(index), index)
    assert outlet.take().result(WAIT_S).index == 5
    assert counters[FRAMES_DROPPED] == 4
    later = outlet.take()
    assert not later.done()
    outlet.put(shade(6), 6)
    assert later.result(WAIT_S).index == 6


def test_offering_does_not_wait_for_the_encoder(counters: Counter[str]) -> None:
    """The first frame is stuck in the encoder while others are offered and dropped."""
    entered, go = threading.Event(), threading.Event()

    class StuckEncoder(Encoder):
        def submit(self, frame: Frame, index: int, done: Callable[[Future[Encoded]], None]) -> None:
            if index == 1:
                self._pool.submit(lambda: (entered.set(), go.wait(WAIT_S)))
            super().submit(frame, index, done)

    encoder = StuckEncoder(EncodingConfig("png", workers=1))
    outlet = Outlet(encoder, counters)
    first = outlet.take()
    outlet.put(shade(1), 1)
    assert entered.wait(WAIT_S)
    second = outlet.take()
    for index in range(2, 6):
        outlet.put(shade(index), index)
    assert not first.done()
    go.set()
    assert [first.result(WAIT_S).index, second.result(WAIT_S).index] == [1, 2]
    assert outlet.take().result(WAIT_S).index == 5
    encoder.close()


def test_a_frame_that_is_no_longer_wanted_is_kept_for_the_next(
    encoder: Encoder, counters: Counter[str]
) -> None:
    outlet = Outlet(encoder, counters)
    assert outlet.take().cancel()
    outlet.put(shade(1), 1)
    assert outlet.take().result(WAIT_S).index == 1
    assert outlet.take().cancel()
    wanted = outlet.take()
    outlet.put(shade(2), 2)
    assert wanted.result(WAIT_S).index == 2


def test_a_frame_that_cannot_be_encoded_fails_for_who_asked(
    encoder: Encoder, counters: Counter[str]
) -> None:
    outlet = Outlet(encoder, counters)
    future = outlet.take()
    outlet.put(np.zeros((2, 2, 7), dtype=np.uint8), 1)
    with pytest.raises(TypeError):
        future.result(WAIT_S)


def test_the_end_is_told_to_whoever_asks(encoder: Encoder, counters: Counter[str]) -> None:
    outlet = Outlet(encoder, counters)
    waiting = outlet.take()
    outlet.end(LookupError("it has left"))
    for future in (waiting, outlet.take()):
        with pytest.raises(LookupError, match="it has left"):
            future.result(WAIT_S)
